package h2

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// encoder writes header blocks (RFC 7541). It is x/net's Encoder for answers: it
// knows which fields are worth a place in the table, and remembers few of them,
// so that a search is a look at some numbers.
//
// It remembers only the newest entries of the table that the client keeps; those
// that are older are never named again.
type encoder struct {
	entries []tableEntry // the newest last
	size    int          // of entries, as HPACK counts
	max     int          // that the client allows, at most tableSize
	low     int          // the least max since the last block
	told    bool         // the client knows max
	name    []byte       // scratch
}

type tableEntry struct {
	key         uint32 // what differs in most that are not the same
	name, value string
}

const (
	maxEntries   = 32
	maxEntrySize = tableSize / 2
	staticLen    = 61
)

func newEncoder() encoder { return encoder{max: tableSize, low: tableSize, told: true} }

// setMax takes the client's word on the size of the table.
func (e *encoder) setMax(n uint32) {
	e.max = int(min(n, tableSize))
	e.low = min(e.low, e.max)
	e.told = false
	e.evict(0)
}

// begin opens a header block. A table that was to be smaller and may be larger
// again is emptied: some decoders take a second change only then.
func (e *encoder) begin(dst []byte) []byte {
	if e.told {
		return dst
	}
	if e.low < e.max {
		dst = appendInt(dst, 0x20, 5, 0)
		clear(e.entries)
		e.entries, e.size = e.entries[:0], 0
	}
	dst = appendInt(dst, 0x20, 5, uint64(e.max))
	e.low, e.told = e.max, true
	return dst
}

// status appends the field :status.
func (e *encoder) status(dst []byte, code int) []byte {
	switch code {
	case 200:
		return append(dst, 0x80|8)
	case 204:
		return append(dst, 0x80|9)
	case 206:
		return append(dst, 0x80|10)
	case 304:
		return append(dst, 0x80|11)
	case 400:
		return append(dst, 0x80|12)
	case 404:
		return append(dst, 0x80|13)
	case 500:
		return append(dst, 0x80|14)
	}
	return append(dst, 8, 3, byte('0'+code/100%10), byte('0'+code/10%10), byte('0'+code%10))
}

// length appends the field content-length.
func (e *encoder) length(dst []byte, n int64) []byte {
	dst = append(dst, 0x0f, 28-15, 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}

// field appends one field, if it may be sent, and reports whether it is Date.
func (e *encoder) field(dst []byte, name, value string) (_ []byte, date bool) {
	e.name = appendLower(e.name[:0], name)
	index, kind := known(e.name)
	if kind == fieldOfHop || name == "" || !all(name, inToken) || !all(value, inValue) {
		return dst, false
	}
	value = strings.Trim(value, " \t")
	switch kind {
	case fieldUnique:
		return e.literal(dst, 0, 4, uint64(index), value), false
	case fieldSecret:
		return e.literal(dst, 0x10, 4, uint64(index), value), false
	}
	return e.shared(dst, index, value), kind == fieldDate
}

// shared appends a field whose name is in e.name and that is worth a place in the table.
func (e *encoder) shared(dst []byte, index byte, value string) []byte {
	key := entryKey(e.name, value)
	named := uint64(index)
	for i := len(e.entries) - 1; i >= 0; i-- {
		t := &e.entries[i]
		if t.key == key && t.value == value && t.name == string(e.name) {
			return appendInt(dst, 0x80, 7, uint64(staticLen+len(e.entries)-i))
		}
		if named == 0 && t.name == string(e.name) {
			named = uint64(staticLen + len(e.entries) - i)
		}
	}
	size := len(e.name) + len(value) + 32
	if size > e.max || size > maxEntrySize {
		return e.literal(dst, 0, 4, named, value)
	}
	dst = e.literal(dst, 0x40, 6, named, value)
	e.evict(size)
	e.size += size
	e.entries = append(e.entries, tableEntry{key, string(e.name), strings.Clone(value)}) // a substring would keep the whole
	return dst
}

// evict makes room for an entry of the given size.
func (e *encoder) evict(size int) {
	n := 0
	for n < len(e.entries) && (e.size+size > e.max || size > 0 && len(e.entries)-n >= maxEntries) {
		t := &e.entries[n]
		e.size -= len(t.name) + len(t.value) + 32
		n++
	}
	if n > 0 {
		kept := copy(e.entries, e.entries[n:])
		clear(e.entries[kept:])
		e.entries = e.entries[:kept]
	}
}

func entryKey(name []byte, value string) uint32 {
	key := uint32(len(name))<<24 | uint32(len(value)&0xff)<<16 | uint32(name[len(name)-1])<<8
	if value != "" {
		key |= uint32(value[len(value)-1])
	}
	return key
}

// literal appends a field by its value; index is that of its name, or 0.
func (e *encoder) literal(dst []byte, pattern, prefix byte, index uint64, value string) []byte {
	dst = appendInt(dst, pattern, prefix, index)
	if index == 0 {
		dst = appendInt(dst, 0, 7, uint64(len(e.name)))
		dst = append(dst, e.name...)
	}
	return appendString(dst, value)
}

// appendInt appends i behind a pattern, in the low bits of the first byte (RFC 7541, 5.1).
func appendInt(dst []byte, pattern, prefix byte, i uint64) []byte {
	k := uint64(1)<<prefix - 1
	if i < k {
		return append(dst, pattern|byte(i))
	}
	dst = append(dst, pattern|byte(k))
	for i -= k; i >= 128; i >>= 7 {
		dst = append(dst, 0x80|byte(i))
	}
	return append(dst, byte(i))
}

func appendString(dst []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInt(dst, 0x80, 7, n), s)
	}
	return append(appendInt(dst, 0, 7, uint64(len(s))), s...)
}
