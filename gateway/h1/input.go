package h1

import (
	"io"
	"net"
)

// input is what has been read from the connection and not been used yet.
type input struct {
	src        net.Conn
	buf        []byte // nil while the connection is idle
	start, end int
}

// bytes is what is at hand.
func (in *input) bytes() []byte { return in.buf[in.start:in.end] }

func (in *input) len() int { return in.end - in.start }

// skip uses n bytes that are at hand.
func (in *input) skip(n int) { in.start += n }

// more reads at least one byte behind what is at hand. There must be room.
func (in *input) more() error {
	if in.start == in.end {
		in.start, in.end = 0, 0
	} else if in.end == len(in.buf) {
		in.end = copy(in.buf, in.bytes())
		in.start = 0
	}
	for {
		n, err := in.src.Read(in.buf[in.end:])
		in.end += n
		if n > 0 {
			return nil // an error comes again
		}
		if err != nil {
			return err
		}
	}
}

// next returns the next byte.
func (in *input) next() (byte, error) {
	if in.start == in.end {
		if err := in.more(); err != nil {
			return 0, err
		}
	}
	b := in.buf[in.start]
	in.start++
	return b, nil
}

// directRead is from where on a piece is read past the buffer.
const directRead = 1 << 10

// read reads up to len(p) bytes of at least as many that are to come.
func (in *input) read(p []byte) (int, error) {
	if in.start == in.end {
		if len(p) >= directRead {
			return in.readPast(p)
		}
		if err := in.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.bytes())
	in.start += n
	return n, nil
}

// readPast reads at least a byte, or an error.
func (in *input) readPast(p []byte) (int, error) {
	for {
		n, err := in.src.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// cut is the error of an end where none should be.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
