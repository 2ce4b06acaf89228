package origin

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Body is the body of a response, without its framing. As soon as its end has
// been read the connection is given up and the member is free.
//
// Read returns io.EOF only at the end that the framing tells: a body that was
// cut ends in an *Error of KindCut, one whose member falls silent in KindTimeout.
// Read belongs to one goroutine; Abort and Close may be called from any.
type Body struct {
	x   *exchange
	src io.ReadCloser

	waiting atomic.Bool  // a Read waits for the member
	moved   atomic.Int64 // when bytes came last, in ns since the exchange began

	mu     sync.Mutex // one Read at a time; guards the fields below
	left   int64      // bytes to come, or -1 if only the end tells
	whole  bool       // all of it has come
	err    error      // what Read returns from now on
	closed bool
	clock  *time.Timer // of one Read
}

// ErrBodyClosed is what Read returns after Close.
var ErrBodyClosed = errors.New("origin: read from a closed body")

// begin prepares reading. What is left is -1 if only the end tells.
func (b *Body) begin(src io.ReadCloser, left int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.src, b.left = src, left
	b.waiting.Store(false)
	if src == http.NoBody || left == 0 {
		_ = src.Close() // of HTTP/2 there may be one that nobody wants
		b.finish()
	}
}

// finish notes the end. The connection is given up.
func (b *Body) finish() {
	b.whole, b.left, b.err = true, 0, io.EOF
	b.x.release()
}

// Complete reports whether nothing more must be read from the member. It may
// report false although everything has come.
func (b *Body) Complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.whole || b.left == 0
}

// Read implements io.Reader. It blocks until there is a byte, at most for the
// response timeout.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, ErrBodyClosed
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case err == io.EOF:
		b.finish()
	case err != nil:
		b.err = b.x.cut(err, b.left)
		b.x.drop()
		if n > 0 {
			return n, nil
		}
		return 0, b.err
	}
	return n, err
}

// read reads once, with the clock running.
func (b *Body) read(p []byte) (int, error) {
	limit := b.x.t.responseTimeout
	b.waiting.Store(true)
	b.move()
	switch {
	case limit <= 0:
	case b.clock == nil:
		b.clock = time.AfterFunc(limit, b.silent)
	default:
		b.clock.Reset(limit)
	}
	n, err := b.src.Read(p)
	if b.clock != nil {
		b.clock.Stop()
	}
	b.waiting.Store(false)
	b.move()
	return n, err
}

func (b *Body) move() { b.moved.Store(int64(time.Since(b.x.began))) }

// moving reports whether the answer makes progress, or it is not the member's
// fault that it does not.
func (b *Body) moving() bool {
	return !b.waiting.Load() || time.Since(b.x.began)-time.Duration(b.moved.Load()) < b.x.t.responseTimeout
}

// silent is called when a Read has waited for the response timeout. While the
// request is still being sent the sender watches the time.
func (b *Body) silent() {
	if send := b.x.send; send != nil && !send.over() && !b.x.link.conn.broken() {
		b.clock.Reset(b.x.t.responseTimeout)
		return
	}
	b.x.cancel(errSilent)
}

// Abort ends the exchange unless the body has come to its end, so that a Read
// that is going on in another goroutine returns. It does not wait, and Close is
// still to be called.
func (b *Body) Abort() { b.x.drop() }

// Close ends the exchange: a connection that is not at the end of the body is
// closed, and the request's body is not read any more (see Request.StopBody for
// what Close waits for). It always returns nil and may be called again.
func (b *Body) Close() error {
	b.x.drop()
	if b.x.send != nil {
		b.x.send.halt()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		if b.src != nil {
			_ = b.src.Close()
		}
	}
	return nil
}
