package proxyproto

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/pires/go-proxyproto"
)

// Errors of Read, also in its errors.
var (
	// ErrNone is what does not begin with a header.
	ErrNone = errors.New("proxyproto: there is no PROXY header")
	// ErrBroken is a header that is not one of the protocol.
	ErrBroken = errors.New("proxyproto: the PROXY header is broken")
)

const (
	smallest = 15   // bytes of a header: "PROXY UNKNOWN\r\n"
	maxLine  = 107  // of version 1, with the end of the line
	prefix   = 16   // of version 2, ahead of the addresses
	maxRest  = 4096 // of it behind the prefix

	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
)

// Read reads one header and nothing behind it. It blocks until the header is whole,
// r has an error, or what came is none: deadlines are the caller's. An error of r is
// in the error.
func Read(r io.Reader) (Header, error) {
	b := make([]byte, 0, maxLine+1)
	b, err := signature(r, b)
	if err != nil {
		return Header{}, err
	}
	if b[0] == signature2[0] {
		return read2(r, b)
	}
	return read1(r, b)
}

// signature reads as much as every header has, and no more than shows that it is none.
func signature(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < smallest {
		n, err := r.Read(b[len(b):smallest])
		b = b[:len(b)+n]
		if !begins(b, signature1) && !begins(b, signature2) {
			return nil, ErrNone
		}
		if err != nil && len(b) < smallest {
			return nil, cut(len(b), err)
		}
	}
	return b, nil
}

// begins reports whether b may be the beginning of what begins with signature.
func begins(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

func cut(n int, err error) error {
	if n == 0 {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	return fmt.Errorf("%w: it ends after %d bytes: %w", ErrBroken, n, err)
}

func broken(why string) error { return fmt.Errorf("%w: %s", ErrBroken, why) }

// fill reads n bytes more.
func fill(r io.Reader, b []byte, n int) ([]byte, error) {
	was := len(b)
	b = append(b, make([]byte, n)...)
	if got, err := io.ReadFull(r, b[was:]); err != nil {
		return nil, cut(was+got, err)
	}
	return b, nil
}

// read1 reads the rest of a line, as many bytes at once as it must still have.
func read1(r io.Reader, b []byte) (Header, error) {
	for {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			if i != len(b)-1 {
				return Header{}, broken("the line is too short")
			}
			return parse(b)
		}
		n := missing(b)
		if len(b)+n > maxLine {
			return Header{}, broken("the line is longer than 107 bytes")
		}
		var err error
		if b, err = fill(r, b, n); err != nil {
			return Header{}, err
		}
	}
}

// missing returns how many bytes a line that is not whole has at least to come: of
// each of the fields a space and something, and the end of the line.
func missing(b []byte) int {
	n := 2
	if b[len(b)-1] == '\r' {
		n = 1
	}
	if begins(b, "PROXY TCP") {
		n += max(2*(5-bytes.Count(b, []byte{' '})), 0)
	}
	return n
}

// read2 reads the rest of a header whose length is in its prefix.
func read2(r io.Reader, b []byte) (Header, error) {
	b, err := fill(r, b, prefix-len(b))
	if err != nil {
		return Header{}, err
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if n > maxRest {
		return Header{}, broken(fmt.Sprintf("%d bytes of version 2 are more than %d", n, maxRest))
	}
	if b, err = fill(r, b, n); err != nil {
		return Header{}, err
	}
	if b[12] == 0x21 && b[13] == 0 { // PROXY of a family that the proxy could not tell: the receiver may go by the connection
		return Header{Local: true, Version: 2}, checkSum(b, prefix)
	}
	h, err := parse(b)
	if err != nil || h.Local {
		return h, err
	}
	return h, checkSum(b, addresses(b[13]))
}

// addresses returns where they end for a family that was parsed.
func addresses(family byte) int {
	switch family >> 4 {
	case 1:
		return prefix + 12
	case 2:
		return prefix + 36
	}
	return prefix + 216
}

// parse leaves the grammar to the library, which sees one whole header.
func parse(b []byte) (Header, error) {
	r := bytes.NewReader(b)
	h, err := proxyproto.Read(bufio.NewReaderSize(r, len(b)))
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return newHeader(h), nil
}

const (
	typeCRC32C = 3
	sizeCRC32C = 4
)

// checkSum walks what is behind the addresses, and holds a checksum against the
// header with zeros in its place (2.2.3).
func checkSum(b []byte, at int) error {
	for at < len(b) {
		if len(b)-at < 3 {
			return broken("what is behind the addresses is cut")
		}
		kind, n := b[at], int(binary.BigEndian.Uint16(b[at+1:]))
		at += 3
		if n > len(b)-at {
			return broken("what is behind the addresses is cut")
		}
		if kind == typeCRC32C {
			if n != sizeCRC32C {
				return broken("the checksum has another length than 4")
			}
			want := binary.BigEndian.Uint32(b[at:])
			clear(b[at : at+n])
			if crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) != want {
				return broken("the checksum is another one")
			}
			binary.BigEndian.PutUint32(b[at:], want)
		}
		at += n
	}
	return nil
}
