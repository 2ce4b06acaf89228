package compress

import (
	"io"

	"github.com/klauspost/compress/gzip"
)

// codec is what the encoders of all codings can do.
type codec interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoder codes one answer after the other.
type encoder struct {
	codec
	kind kind
	gzip *gzip.Writer // the codec, if it is that
	to   io.Writer    // of the answer
	pad  int          // bytes that are to be added
	room [gzipSubfield + maxPadding]byte
}

// begin codes a new answer for to, with padding of that many bytes or a few more if
// it is not 0.
func (e *encoder) begin(to io.Writer, pad int) error {
	e.to, e.pad = to, pad
	e.Reset((*encoded)(e))
	switch {
	case pad == 0:
	case e.gzip != nil:
		e.gzip.Extra = gzipPadding(&e.room, pad)
	case e.kind.coding == ofBr:
		return e.padBr()
	}
	return nil
}

// padBr begins the stream and writes a block of metadata.
func (e *encoder) padBr() error {
	if err := e.Flush(); err != nil { // the stream's header, up to a whole byte
		return err
	}
	n := brPadding(e.room[:], e.pad)
	_, err := e.to.Write(e.room[:n])
	return err
}

// encoded is where the codec writes to.
type encoded encoder

// Write implements io.Writer.
func (e *encoded) Write(p []byte) (int, error) {
	if e.pad == 0 || e.kind.coding != ofZstd {
		return e.to.Write(p)
	}
	n := zstdHeader(p)
	if n, err := e.to.Write(p[:n]); err != nil {
		return n, err
	}
	blocks := zstdPadding(e.room[:0], e.pad)
	e.pad = 0
	if _, err := e.to.Write(blocks); err != nil {
		return n, err
	}
	m, err := e.to.Write(p[n:])
	return n + m, err
}
