package h1

import (
	"errors"
	"io"
)

// Errors of chunked bodies.
var (
	errChunk       = errors.New("a chunk is not valid")
	errChunkSize   = errors.New("the size of a chunk is not valid")
	errChunkLine   = errors.New("a chunk has a line that is too long")
	errChunkEnd    = errors.New("a chunk does not end where its size says")
	errOverhead    = errors.New("the chunks have too much that is not data")
	errTrailer     = errors.New("the trailer is not valid")
	errTrailerSize = errors.New("the trailer is too long")
)

// Bounds of what a chunked body may have beside its data.
const (
	maxSizeDigits = 16
	maxChunkLine  = 4 << 10
	maxTrailer    = 8 << 10
	freeOverhead  = 16 // bytes per chunk, and twice its data
	maxOverhead   = 16 << 10
)

// chunks decodes a chunked body (RFC 9112, 7.1). It can go on after a read that
// ended in an error of the connection, wherever that was.
type chunks struct {
	part     part
	left     int64 // of the chunk
	digits   int
	line     int   // bytes of the line so far
	overhead int64 // beyond what is free
	trailer  int   // bytes
}

// part is what comes next.
type part uint8

const (
	sizePart  part = iota
	spacePart      // behind a size: bad, but harmless, and RFC 9112, 7.1.1 wants it taken
	extensionPart
	sizeEnd // LF
	dataPart
	dataCR
	dataLF
	trailerLine // the first byte of a line
	trailerName
	trailerValue
	trailerLF
	lastLF
)

// read returns data that is at hand, or waits for some; io.EOF at the end.
func (k *chunks) read(in *input, p []byte) (n int, err error) {
	for n < len(p) {
		if k.part != dataPart {
			if n > 0 && in.len() == 0 {
				return n, nil // do not wait with something in hand
			}
			if err := k.step(in); err != nil {
				return n, err
			}
			continue
		}
		if n > 0 && in.len() == 0 {
			return n, nil
		}
		m, err := in.read(p[n:min(int64(len(p)), int64(n)+k.left)])
		n += m
		if k.left -= int64(m); k.left == 0 {
			k.part = dataCR
		}
		if err != nil {
			return n, cut(err)
		}
	}
	return n, nil
}

// step takes one byte that is not data.
func (k *chunks) step(in *input) error {
	b, err := in.next()
	if err != nil {
		return cut(err)
	}
	switch k.part {
	case sizePart, spacePart, extensionPart, sizeEnd:
		return k.sizeByte(b)
	case dataCR:
		return k.expect(b, '\r', dataLF)
	case dataLF:
		return k.expect(b, '\n', sizePart)
	}
	return k.trailerByte(b)
}

func (k *chunks) expect(got, want byte, next part) error {
	if got != want {
		return errChunkEnd
	}
	k.part = next
	return nil
}

// sizeByte is of a chunk's first line: digits, then perhaps extensions, which
// mean nothing to us.
func (k *chunks) sizeByte(b byte) error {
	if k.line++; k.line > maxChunkLine {
		return errChunkLine
	}
	switch {
	case k.part == sizeEnd:
		if b != '\n' {
			return errChunk
		}
		return k.begin()
	case b == '\r' && k.digits > 0:
		k.part = sizeEnd
	case k.part == extensionPart:
		if b < ' ' && b != '\t' || b == 0x7f {
			return errChunk
		}
	case b == ';' && k.digits > 0:
		k.part = extensionPart
	case (b == ' ' || b == '\t') && k.digits > 0:
		k.part = spacePart
	case k.part == spacePart:
		return errChunkSize
	default:
		return k.digit(b)
	}
	return nil
}

func (k *chunks) digit(b byte) error {
	switch {
	case digit(b):
		b -= '0'
	case 'a' <= b && b <= 'f':
		b -= 'a' - 10
	case 'A' <= b && b <= 'F':
		b -= 'A' - 10
	default:
		return errChunkSize
	}
	if k.digits++; k.digits > maxSizeDigits || k.left > 1<<58 {
		return errChunkSize
	}
	k.left = k.left<<4 | int64(b)
	return nil
}

// begin begins the data of a chunk, whose line is complete. A sender may have
// small chunks, but not without end more of the coding than of data.
func (k *chunks) begin() error {
	k.overhead = max(k.overhead+int64(k.line)+2-freeOverhead-2*min(k.left, maxOverhead), 0)
	if k.overhead > maxOverhead {
		return errOverhead
	}
	k.digits, k.line = 0, 0
	k.part = dataPart
	if k.left == 0 {
		k.part = trailerLine
	}
	return nil
}

// trailerByte is of the trailer, which is dropped.
func (k *chunks) trailerByte(b byte) error {
	if k.trailer++; k.trailer > maxTrailer {
		return errTrailerSize
	}
	switch {
	case k.part == lastLF && b == '\n':
		return io.EOF
	case k.part == trailerLF && b == '\n':
		k.part = trailerLine
	case k.part == trailerLine && b == '\r':
		k.part = lastLF
	case k.part == trailerLine && token[b]:
		k.part = trailerName
	case k.part == trailerName && token[b]:
	case k.part == trailerName && b == ':':
		k.part = trailerValue
	case k.part == trailerValue && b == '\r':
		k.part = trailerLF
	case k.part == trailerValue && (b >= ' ' && b != 0x7f || b == '\t'):
	default:
		return errTrailer
	}
	return nil
}
