package uwsgi

import (
	"errors"
	"fmt"
)

// Bounds of what surrounds the data in a chunked body.
const (
	maxChunkDigits = 15   // hexadecimal: the size fits an int64
	maxExtension   = 256  // bytes of extensions of one chunk
	maxTrailer     = 4096 // bytes of the whole trailer
)

// chunkState is what the decoder expects next.
type chunkState uint8

const (
	chunkSize      chunkState = iota // a digit of the size
	chunkExtension                   // the rest of the line
	chunkLine                        // LF behind the size
	chunkData                        // the chunk's bytes
	chunkCR                          // CR behind them
	chunkLF                          // LF behind them
	chunkTrailer                     // the first byte of a line of the trailer
	chunkField                       // the rest of such a line
	chunkFieldLF                     // LF at its end
	chunkLastLF                      // LF of the empty line
	chunkDone
)

// chunked takes the chunked coding (RFC 9112, 7.1) apart, however its bytes are
// cut. Line ends are CRLF only; extensions and the trailer are bounded and
// thrown away. The zero value stands before the first chunk.
type chunked struct {
	state chunkState
	left  int64 // of the chunk's data; while its size is read: the size so far
	run   int   // digits, or bytes of extension or trailer, so far
}

// next consumes the beginning of src, at most up to the end of want bytes of
// data. data is a part of src; it and consumed are what src gave.
func (d *chunked) next(src []byte, want int) (data []byte, consumed int, err error) {
	for i, c := range src {
		if d.state == chunkDone {
			return nil, i, nil
		}
		if d.state == chunkData {
			n := int(min(int64(len(src)-i), int64(want), d.left))
			if d.left -= int64(n); d.left == 0 {
				d.state = chunkCR
			}
			return src[i : i+n], i + n, nil
		}
		if err := d.step(c); err != nil {
			return nil, i, err
		}
	}
	return nil, len(src), nil
}

func (d *chunked) done() bool { return d.state == chunkDone }

// step takes one byte that is not data.
func (d *chunked) step(c byte) error {
	switch d.state {
	case chunkSize:
		return d.size(c)
	case chunkExtension:
		if c == '\r' {
			d.state = chunkLine
			return nil
		}
		return d.bounded(c, maxExtension, "the extension of a chunk")
	case chunkLine:
		if d.run = 0; d.left > 0 {
			return d.expect(c, '\n', chunkData)
		}
		return d.expect(c, '\n', chunkTrailer)
	case chunkCR:
		return d.expect(c, '\r', chunkLF)
	case chunkLF:
		d.run = 0
		return d.expect(c, '\n', chunkSize)
	case chunkTrailer:
		if c == '\r' {
			d.state = chunkLastLF
			return nil
		}
		d.state = chunkField
		return d.bounded(c, maxTrailer, "the trailer")
	case chunkField:
		if c == '\r' {
			d.state = chunkFieldLF
			return nil
		}
		return d.bounded(c, maxTrailer, "the trailer")
	case chunkFieldLF:
		return d.expect(c, '\n', chunkTrailer)
	case chunkLastLF:
		return d.expect(c, '\n', chunkDone)
	}
	return nil
}

var errChunkSize = errors.New("a chunk has no size")

func (d *chunked) size(c byte) error {
	digit := hexDigit(c)
	switch {
	case digit >= 0 && d.run == maxChunkDigits:
		return errors.New("the size of a chunk is too large")
	case digit >= 0:
		d.left, d.run = d.left<<4|int64(digit), d.run+1
	case d.run == 0:
		return errChunkSize
	case c == '\r':
		d.state = chunkLine
	case c == ';', c == ' ', c == '\t':
		d.state, d.run = chunkExtension, 0
	default:
		return fmt.Errorf("byte 0x%02x in the size of a chunk", c)
	}
	return nil
}

func (d *chunked) expect(c, want byte, next chunkState) error {
	if c != want {
		return fmt.Errorf("byte 0x%02x where a chunk's line end belongs", c)
	}
	d.state = next
	return nil
}

func (d *chunked) bounded(c byte, limit int, what string) error {
	if d.run++; d.run > limit {
		return errors.New(what + " is too long")
	}
	if c < ' ' && c != '\t' || c == 0x7f {
		return fmt.Errorf("byte 0x%02x in %s", c, what)
	}
	return nil
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
