package h2

import "encoding/binary"

type frameType uint8

// Types of frames (RFC 9113, 6).
const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Identifiers of settings (RFC 9113, 6.5.2).
const (
	settingTableSize     = 1
	settingPush          = 2
	settingMaxStreams    = 3
	settingWindow        = 4
	settingFrameSize     = 5
	settingMaxHeaderList = 6
)

const (
	preface        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeaderLen = 9
	maxFrame       = 16 << 10 // the largest payload that we take: the least that the RFC lets us say
	maxWindow      = 1<<31 - 1
	firstWindow    = 65535     // of the connection, and of every stream until SETTINGS say otherwise
	connWindow     = 1 << 20   // what a client may send before anybody has read it
	streamWindow   = 256 << 10 // of that, on one stream
	tableSize      = 4096      // of the HPACK tables
	maxID          = 1<<31 - 1
)

// maxData is what a DATA frame of ours holds at most. With its header it fills one
// TLS record; every client takes frames of that size.
const maxData = maxFrame - frameHeaderLen

type frameHeader struct {
	length int
	kind   frameType
	flags  uint8
	stream uint32
}

func (h frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

func parseFrameHeader(b []byte) frameHeader {
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   frameType(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:9]) & maxID,
	}
}

func appendFrameHeader(b []byte, length int, kind frameType, flags uint8, stream uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendReset(b []byte, stream uint32, code errCode) []byte {
	b = appendFrameHeader(b, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendWindowUpdate(b []byte, stream, increment uint32) []byte {
	b = appendFrameHeader(b, 4, frameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(b, increment)
}

func appendGoAway(b []byte, last uint32, code errCode, debug string) []byte {
	b = appendFrameHeader(b, 8+len(debug), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, debug...)
}

func appendPing(b []byte, flags uint8, data [8]byte) []byte {
	return append(appendFrameHeader(b, 8, framePing, flags, 0), data[:]...)
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, id)
	return binary.BigEndian.AppendUint32(b, value)
}
