package conditional

import (
	"encoding/hex"
	"math/rand/v2"
)

// Multipart frames an answer with several ranges (RFC 9110, 14.6). Its body is, for
// each range, Head and the bytes of the range, and Tail at the end. One goroutine at
// a time uses it.
type Multipart struct {
	ranges      []Range
	contentType string
	size        int64
	length      int64
	boundary    [32]byte
	buf         []byte
}

// NewMultipart returns the frame of ranges of a representation that has size bytes of
// contentType, which may be "". It keeps ranges.
func NewMultipart(ranges []Range, contentType string, size int64) *Multipart {
	m := &Multipart{ranges: ranges, contentType: contentType, size: size}
	var random [16]byte
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	hex.Encode(m.boundary[:], random[:])
	for i, r := range ranges {
		m.length += int64(len(m.Head(i))) + r.Length
	}
	m.length += int64(len(m.Tail()))
	return m
}

// Type returns the Content-Type of the answer.
func (m *Multipart) Type() string { return "multipart/byteranges; boundary=" + string(m.boundary[:]) }

// Length returns the Content-Length of the answer.
func (m *Multipart) Length() int64 { return m.length }

// Head returns what comes before the bytes of range i, until the next call of m.
func (m *Multipart) Head(i int) []byte {
	b := m.buf[:0]
	if i > 0 {
		b = append(b, "\r\n"...)
	}
	b = append(append(b, "--"...), m.boundary[:]...)
	if m.contentType != "" {
		b = append(append(b, "\r\nContent-Type: "...), m.contentType...)
	}
	b = append(b, "\r\nContent-Range: "...)
	b = m.ranges[i].appendTo(b, m.size)
	m.buf = append(b, "\r\n\r\n"...)
	return m.buf
}

// Tail returns what comes behind the last range, until the next call of m.
func (m *Multipart) Tail() []byte {
	b := append(append(m.buf[:0], "\r\n--"...), m.boundary[:]...)
	m.buf = append(b, "--\r\n"...)
	return m.buf
}
