package h3

import (
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"

	"headgate/gateway/wire"
)

// beginBlock opens a HEADERS frame whose length endBlock writes; at is for it.
func beginBlock(dst []byte) (out []byte, at int) {
	return append(dst, frameHeaders, 0, 0, 0, 0), len(dst) + 1 // the block begins with two zeros: nothing of a dynamic table
}

// endBlock completes the frame.
func endBlock(dst []byte, at int) []byte {
	n := len(dst) - at - 2
	if n <= maxShort {
		putShort(dst[at:], n)
		return dst
	}
	block := string(dst[at+2:])
	return append(appendVarint(dst[:at], uint64(n)), block...)
}

// appendStatus appends the field :status.
func appendStatus(dst []byte, status int) []byte {
	switch status {
	case 200:
		return append(dst, 0xc0|25)
	case 304:
		return append(dst, 0xc0|26)
	case 404:
		return append(dst, 0xc0|27)
	case 103:
		return append(dst, 0xc0|24)
	}
	dst = appendInt(dst, 0x50, 4, 24)
	return append(dst, 3, byte('0'+status/100%10), byte('0'+status/10%10), byte('0'+status%10))
}

// appendLength appends the field content-length.
func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, 0x50|4, 0)
	at := len(dst)
	dst = strconv.AppendInt(dst, n, 10)
	dst[at-1] = byte(len(dst) - at)
	return dst
}

func appendDate(dst []byte, date string) []byte { return appendString(append(dst, 0x50|6), date) }

// appendFields appends those fields of f that may be sent: names and values that
// are none, and what belongs to the hop, are left out.
func appendFields(dst []byte, f wire.Fields) (out []byte, dated bool) {
	for i := range f {
		dst, dated = appendField(dst, f[i].Name, f[i].Value, dated)
	}
	return dst, dated
}

func appendField(dst []byte, name, value string, dated bool) ([]byte, bool) {
	var room [64]byte
	lower := appendLower(room[:0], name)
	index := indexOf(lower)
	if index == ofHop || len(lower) == 0 || !all(lower, inName) || !all(value, inValue) {
		return dst, dated
	}
	value = strings.Trim(value, " \t")
	switch {
	case index == unknownName:
		dst = appendInt(dst, 0x20, 3, uint64(len(lower)))
		dst = append(dst, lower...)
	case index == indexDate:
		dated = true
		fallthrough
	default:
		if same := sameAs(index, value); same >= 0 {
			return appendInt(dst, 0xc0, 6, uint64(same)), dated
		}
		dst = appendInt(dst, 0x50, 4, uint64(index))
	}
	return appendString(dst, value), dated
}

// appendInt appends i behind a pattern, in the low bits of the first byte (RFC 7541, 5.1).
func appendInt(dst []byte, pattern, bits byte, i uint64) []byte {
	most := uint64(1)<<bits - 1
	if i < most {
		return append(dst, pattern|byte(i))
	}
	dst = append(dst, pattern|byte(most))
	for i -= most; i >= 128; i >>= 7 {
		dst = append(dst, 0x80|byte(i))
	}
	return append(dst, byte(i))
}

// appendString appends a string literal, in the shorter of its two forms.
func appendString(dst []byte, s string) []byte {
	if n := hpack.HuffmanEncodeLength(s); n < uint64(len(s)) {
		return hpack.AppendHuffmanString(appendInt(dst, 0x80, 7, n), s)
	}
	return append(appendInt(dst, 0, 7, uint64(len(s))), s...)
}
