package origin

import (
	"errors"
	"io"
	"sync"
	"time"
)

// requestBody is the body of a request as package net/http reads it. It gives
// exactly as many bytes as were announced, can be stopped while a Read waits for
// a client, and knows whose fault it was that it ended.
type requestBody struct {
	x      *exchange
	src    io.Reader
	atHand bool   // a Read of src never waits for a client
	stop   func() // Request.StopBody
	ended  chan struct{}

	mu       sync.Mutex // guards the fields below
	left     int64      // bytes to come, or -1 if that is not known
	reading  bool       // a Read of src is going on
	began    bool       // src has been read from
	stopping bool       // no more bytes are wanted; ended is closed
	first    bool       // stop was called before the caller gave up
	sent     bool       // all has been given
	err      error      // of src
	waiter   chan struct{}
	clock    *time.Timer // of HTTP/2: runs while net/http wants nothing more
}

var (
	errStopped   = errors.New("no more of the body is wanted")
	errShortBody = errors.New("it ended before its length")
)

func newRequestBody(x *exchange, src io.Reader) *requestBody {
	_, sized := src.(interface{ Len() int })
	return &requestBody{
		x: x, src: src, left: x.req.ContentLength, ended: make(chan struct{}),
		atHand: sized || x.req.Rewind != nil, stop: x.req.StopBody,
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	if !b.x.t.http2 && b.x.link.conn.broken() {
		<-b.ended // an error would make net/http give up an early answer
	}
	p, err := b.enter(p)
	if err != nil {
		return 0, err
	}
	n, err := b.src.Read(p)
	return b.leave(n, err)
}

// enter begins a Read of src, of at most as many bytes as are announced.
func (b *requestBody) enter(p []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clock != nil {
		b.clock.Stop()
	}
	switch {
	case b.stopping:
		return nil, errStopped
	case b.err != nil:
		return nil, b.err
	case b.sent:
		return nil, io.EOF
	}
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	b.reading, b.began = true, true
	return p, nil
}

// leave ends it.
func (b *requestBody) leave(n int, err error) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.waiter != nil {
		close(b.waiter)
		b.waiter = nil
	}
	if b.stopping {
		return 0, errStopped
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case b.left == 0, b.left < 0 && err == io.EOF:
		b.sent, err = true, io.EOF
	case err == io.EOF:
		err = errShortBody
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	b.armLocked(err)
	return n, err
}

// armLocked starts the clock of what was given. Of HTTP/1.1 each write has one.
func (b *requestBody) armLocked(err error) {
	limit := b.x.t.responseTimeout
	switch {
	case err != nil || !b.x.t.http2 || limit <= 0:
	case b.clock == nil:
		b.clock = time.AfterFunc(limit, b.stalled)
	default:
		b.clock.Reset(limit)
	}
}

// stalled is called when nothing more was wanted for the response timeout.
func (b *requestBody) stalled() {
	if b.x.body.moving() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.armLocked(nil)
		return
	}
	b.x.cancel(errStalled)
}

// Close implements io.Closer: no more bytes are wanted.
func (b *requestBody) Close() error {
	b.interrupt()
	return nil
}

// interrupt makes a Read that is going on return soon, and every later one at
// once. It does not wait.
func (b *requestBody) interrupt() {
	b.mu.Lock()
	blocked := b.reading && !b.atHand && !b.stopping
	if !b.stopping {
		b.stopping = true
		close(b.ended)
	}
	if b.clock != nil {
		b.clock.Stop()
	}
	b.first = b.first || blocked && b.x.ctx.Err() == nil
	b.mu.Unlock()
	if blocked && b.stop != nil {
		b.stop()
	}
}

// halt is interrupt, and waits until src is not read any more.
func (b *requestBody) halt() {
	b.interrupt()
	b.mu.Lock()
	if !b.reading {
		b.mu.Unlock()
		return
	}
	if b.waiter == nil {
		b.waiter = make(chan struct{})
	}
	wait := b.waiter
	b.mu.Unlock()
	<-wait
}

// stoppedFirst reports whether the body was stopped before the context of the
// exchange ended: how a client is made to stop may end that too.
func (b *requestBody) stoppedFirst() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.first
}

func (b *requestBody) touched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.began
}

// whole reports whether every byte has been given.
func (b *requestBody) whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}

// over reports whether src is not read any more.
func (b *requestBody) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent || b.err != nil || b.stopping && !b.reading
}

// failure returns why src could not be read, or nil.
func (b *requestBody) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
