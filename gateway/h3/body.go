package h3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// body is what has been read of a request's body.
type body struct {
	frame    uint64 // what is left of the DATA frame
	left     int64  // what is left of the declared length; -1: none was
	trailers bool   // they have come: no more data may
	err      error  // with what every later Read ends
	asked    bool   // the client was told to go on, or need not be
	stopped  atomic.Bool
	whole    atomic.Bool // it has been read to its end
	wait     patience
}

func (b *body) forget() {
	b.frame, b.left, b.trailers, b.err, b.asked, b.wait = 0, 0, false, nil, false, patience{}
	b.stopped.Store(false)
	b.whole.Store(false)
}

// begin is called when the head of the request has been read.
func (b *body) begin(x *stream) {
	b.left = x.req.ContentLength
	b.asked = !x.extra.continues
	if x.in.ended() {
		_ = b.end()
		if x.req.ContentLength < 0 {
			x.req.ContentLength = 0
		}
	}
}

// end is called where the stream ends. It returns the error of the last Read.
func (b *body) end() error {
	if b.err = io.EOF; b.left > 0 {
		b.err = fmt.Errorf("%d bytes of the declared length are missing: %w", b.left, io.ErrUnexpectedEOF)
	} else {
		b.whole.Store(true)
	}
	return b.err
}

var (
	errTooMuch = errors.New("the body is longer than its declared length")
	errStopped = fmt.Errorf("h3: the body is not wanted: %w", os.ErrDeadlineExceeded)
)

// Read implements wire.Stream.
func (x *stream) Read(p []byte) (int, error) {
	b := &x.body
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !b.asked {
		b.asked = true
		x.proceed()
	}
	b.wait.readBefore(x.q)
	n, err := x.readData(p)
	if err == nil || err == io.EOF && n > 0 && b.err == io.EOF {
		return n, err
	}
	if b.err == nil {
		b.err = x.readFailure(err)
	}
	return n, b.err
}

// readFailure makes err what a reader has to know, and tells the client what is its fault.
func (x *stream) readFailure(err error) error {
	var fault *connError
	var bad malformed
	var reset *quic.StreamError
	switch {
	case x.body.stopped.Load():
		return errStopped
	case errors.As(err, &fault):
		x.c.fail(fault)
	case errors.As(err, &bad), errors.Is(err, errTooMuch):
		x.q.CancelRead(quic.StreamErrorCode(codeMessage))
	case errors.As(err, &reset) && reset.Remote: // there is no answer to half a request
		x.endLife()
		return streamError(err)
	}
	return err
}

// readData reads from DATA frames.
func (x *stream) readData(p []byte) (int, error) {
	b, in := &x.body, &x.in
	for b.frame == 0 {
		if err := x.nextFrame(); err != nil {
			return 0, err
		}
	}
	if uint64(len(p)) > b.frame {
		p = p[:b.frame]
	}
	var n int
	var err error
	if in.begin < in.end {
		n = copy(p, in.bytes())
		in.begin += n
	} else if err = in.err; err == nil {
		if n, err = x.q.Read(p); err == io.EOF {
			in.err = err
		}
	}
	b.frame -= uint64(n)
	if b.left >= 0 {
		b.left -= int64(n)
	}
	switch {
	case err != nil && err != io.EOF:
		return n, err
	case !in.ended():
		return n, nil
	case b.frame > 0:
		return n, &connError{codeFrame, "a stream ends inside a frame"}
	}
	return n, b.end()
}

// nextFrame goes to the next DATA frame. It returns the error of the body's end
// if there is none.
func (x *stream) nextFrame() error {
	b := &x.body
	kind, length, err := x.in.frame()
	switch {
	case err == io.EOF:
		return b.end()
	case err == io.ErrUnexpectedEOF:
		return &connError{codeFrame, "a stream ends inside a frame"}
	case err != nil:
		return err
	case kind == frameData && !b.trailers:
		if b.left >= 0 && length > uint64(b.left) {
			return errTooMuch
		}
		b.frame = length
		return nil
	case kind == frameHeaders && !b.trailers:
		b.trailers = true
		err = x.readTrailers(length)
	case kind == frameData, kind == frameHeaders, onlyOnControl(kind):
		return &connError{codeFrameUnexpected, "a frame that must not come there"}
	default:
		err = x.in.skip(length)
	}
	if err == io.EOF {
		return &connError{codeFrame, "a stream ends inside a frame"}
	}
	return err
}

// readTrailers checks the trailers, which nobody wants.
func (x *stream) readTrailers(length uint64) error {
	set := x.c.s.settings.Load()
	if length > uint64(set.HeadBytes) {
		return malformed("the trailers are too long")
	}
	block, err := x.in.take(int(length))
	if err != nil {
		return err
	}
	var d decoder
	fields, err := d.decode(block, set.HeadBytes, set.Fields)
	if err == errBlock {
		return &connError{codeDecompression, err.Error()}
	} else if err != nil {
		return malformed("the trailers: " + err.Error())
	}
	for i := range fields {
		if fields[i].Name[0] == ':' {
			return malformed("the trailers have the field " + fields[i].Name)
		}
	}
	return nil
}

// SetReadTimeout implements wire.Stream.
func (x *stream) SetReadTimeout(d time.Duration) { x.body.wait.timeout = max(d, 0) }

// StopRead implements wire.Stream.
func (x *stream) StopRead() {
	x.body.stopped.Store(true)
	x.q.CancelRead(quic.StreamErrorCode(codeNoError))
}

// Unread implements wire.Stream.
func (x *stream) Unread() bool { return !x.body.whole.Load() }

// proceed tells a client that waits to send the body (RFC 9110, 10.1.1).
func (x *stream) proceed() { _ = x.Interim(http.StatusContinue, nil) } // a stream that has failed shows it in reading
