package uwsgi

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The limits of a packet. The first is the wire format's, the others are the
// servers' own: one variable more and uWSGI drops the request without a word.
const (
	HeaderBytes      = 4     // modifier1, size (little endian), modifier2
	MaxVarsBytes     = 65535 // the block of variables, and any key or value in it
	MaxPairs         = 128   // uWSGI's default
	MaxPairsGunicorn = 1000
)

// Errors of ParseVars. They are wrapped with the offset at which they were met.
var (
	ErrEmptyKey = errors.New("uwsgi: variable with an empty name")
	ErrCutVar   = errors.New("uwsgi: variable runs past the end of the block")
)

// AppendHeader appends the four bytes that open a packet whose block is size
// bytes long. It panics if no packet can have that size.
func AppendHeader(dst []byte, modifier1 byte, size int, modifier2 byte) []byte {
	if size < 0 || size > MaxVarsBytes {
		panic(fmt.Sprintf("uwsgi: block of %d bytes", size))
	}
	return append(dst, modifier1, byte(size), byte(size>>8), modifier2)
}

// AppendVar appends one variable to a block. It panics if key is empty or if
// key or value is longer than MaxVarsBytes; the size of the whole block is for
// the caller to watch.
func AppendVar(dst []byte, key, value string) []byte {
	if key == "" || len(key) > MaxVarsBytes || len(value) > MaxVarsBytes {
		panic(fmt.Sprintf("uwsgi: variable with a name of %d and a value of %d bytes", len(key), len(value)))
	}
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(key)))
	dst = append(dst, key...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}

// ParseHeader takes a packet's first four bytes apart. Every value is valid.
func ParseHeader(b [HeaderBytes]byte) (modifier1 byte, size int, modifier2 byte) {
	return b[0], int(binary.LittleEndian.Uint16(b[1:3])), b[3]
}

// ParseVars reads a whole block of variables, by the rules of uWSGI: an empty
// value is legal, an empty name is not, and nothing else is checked. Order and
// duplicates are kept. The result does not share memory with block. On an error
// (ErrEmptyKey, ErrCutVar) it also returns the variables before the fault.
func ParseVars(block []byte) ([]Var, error) {
	var vars []Var
	for at := 0; at < len(block); {
		key, next, ok := cutString(block, at)
		if !ok {
			return vars, fmt.Errorf("%w: name at byte %d of %d", ErrCutVar, at, len(block))
		}
		if key == "" {
			return vars, fmt.Errorf("%w at byte %d", ErrEmptyKey, at)
		}
		value, end, ok := cutString(block, next)
		if !ok {
			return vars, fmt.Errorf("%w: value of %q at byte %d of %d", ErrCutVar, key, next, len(block))
		}
		vars = append(vars, Var{Key: key, Value: value})
		at = end
	}
	return vars, nil
}

// cutString reads a length and that many bytes at an offset of block, and
// returns the offset behind them.
func cutString(block []byte, at int) (s string, next int, ok bool) {
	if len(block)-at < 2 {
		return "", at, false
	}
	size := int(binary.LittleEndian.Uint16(block[at:]))
	at += 2
	if len(block)-at < size {
		return "", at, false
	}
	return string(block[at : at+size]), at + size, true
}
