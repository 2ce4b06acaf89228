package h3

import "encoding/binary"

// Types of frames (RFC 9114, 7.2 and RFC 9218, 7.2).
const (
	frameData           = 0x0
	frameHeaders        = 0x1
	frameCancelPush     = 0x3
	frameSettings       = 0x4
	framePushPromise    = 0x5
	frameGoAway         = 0x7
	frameMaxPushID      = 0xd
	framePriority       = 0xf0700 // of a request
	framePriorityOfPush = 0xf0701
)

// onlyOnControl reports whether a frame of that type must not be on the stream of
// a request.
func onlyOnControl(kind uint64) bool {
	switch kind {
	case frameCancelPush, frameSettings, framePushPromise, frameGoAway, frameMaxPushID, framePriority, framePriorityOfPush:
		return true
	}
	return ofHTTP2(kind)
}

// ofHTTP2 reports whether a type is one of HTTP/2 that HTTP/3 must not have (RFC 9114, 7.2.8).
func ofHTTP2(kind uint64) bool { return kind == 0x2 || kind == 0x6 || kind == 0x8 || kind == 0x9 }

// readVarint reads an integer of QUIC (RFC 9000, 16). n is how many bytes it has, 0
// if b is too short.
func readVarint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	switch n {
	case 1:
		return uint64(b[0]), 1
	case 2:
		return uint64(binary.BigEndian.Uint16(b)) & 0x3fff, 2
	case 4:
		return uint64(binary.BigEndian.Uint32(b)) & 0x3fffffff, 4
	}
	return binary.BigEndian.Uint64(b) & (1<<62 - 1), 8
}

func appendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return binary.BigEndian.AppendUint16(b, 0x4000|uint16(v))
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, 0x80000000|uint32(v))
	}
	return binary.BigEndian.AppendUint64(b, 0xc000000000000000|v)
}

// short is the length of a frame in two bytes: it is written before the frame is.
const maxShort = 1<<14 - 1

func putShort(b []byte, n int) { binary.BigEndian.PutUint16(b, 0x4000|uint16(n)) }
