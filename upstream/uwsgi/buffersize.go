package uwsgi

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// commonBufferSize is uWSGI's default: every uWSGI takes a block of this size
// unless it was told to take less.
const commonBufferSize = 4096

// bufferSizes is what is known of a member's buffer-size. A request is always
// tried first, since a member that was started again may take more.
type bufferSizes struct {
	passed  atomic.Int32 // the largest block that was answered
	refused atomic.Int32 // the smallest one that was refused twice, or 0
}

// pass remembers a block that was answered.
func (b *bufferSizes) pass(size int) {
	for n := b.passed.Load(); int32(size) > n; n = b.passed.Load() {
		if b.passed.CompareAndSwap(n, int32(size)) {
			break
		}
	}
	if n := b.refused.Load(); n != 0 && int32(size) >= n {
		b.refused.CompareAndSwap(n, 0) // it has grown
	}
}

// suspect reports whether the size of a block may be why it was reset. A size
// that has passed before is cleared once, but the next time it is suspect: the
// member may have been started again with less.
func (b *bufferSizes) suspect(size int) bool {
	if size <= commonBufferSize {
		return false
	}
	if n := b.passed.Load(); int32(size) <= n {
		b.passed.CompareAndSwap(n, int32(size)-1)
		return false
	}
	return true
}

// known reports whether a block of this size has been refused before.
func (b *bufferSizes) known(size int) bool {
	n := b.refused.Load()
	return n != 0 && int32(size) >= n
}

func (b *bufferSizes) refuse(size int) {
	for n := b.refused.Load(); n == 0 || int32(size) < n; n = b.refused.Load() {
		if b.refused.CompareAndSwap(n, int32(size)) {
			return
		}
	}
}

// judge finds out whether a reset without an answer was about the size of the
// variables, by one more try. first is the error of the first one.
func (t *Transport) judge(ctx context.Context, s *scratch, req *Request, packet []byte, x *exchange, first *Error) (*Response, *Error) {
	size := len(packet) - HeaderBytes
	if !x.refused || t.Dialect() == DialectGunicorn || !t.sizes.suspect(size) {
		return nil, first
	}
	if !t.sizes.known(size) {
		if x.touched {
			if !t.refuses(ctx, s, size) {
				return nil, first
			}
		} else {
			again, resp, e := t.attempt(ctx, s, req, packet, req.Body)
			if again == nil || e == nil || !again.refused {
				return resp, e
			}
		}
		t.sizes.refuse(size)
	}
	limit := int(t.sizes.passed.Load())
	if limit < commonBufferSize {
		limit = 0 // nothing near it has been tried
	}
	e := s.enc.TooLargeForMember(t.name, limit)
	e.NeverRan, e.Err = true, first.Err
	return nil, e
}

// refuses asks the member about a block size without running anything: with a
// ping (modifier 100) of that size. What is too big is reset, and everything
// else is answered or closed after it was read.
func (t *Transport) refuses(ctx context.Context, s *scratch, size int) bool {
	c, e := t.dial(ctx, s)
	if e != nil {
		return false
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	defer c.Close()
	c.arm(min(askTimeout, t.responseTimeoutOr(askTimeout)))
	packet := AppendHeader(make([]byte, 0, HeaderBytes+size), modifierPing, size, 0)
	packet = AppendVar(packet, "X", "")
	for len(packet) < HeaderBytes+size-5 {
		packet = AppendVar(packet, "X", "")
	}
	packet = append(packet, make([]byte, HeaderBytes+size-len(packet))...)
	_, err := c.Write(packet)
	if err == nil {
		var answer [64]byte
		_, err = c.Read(answer[:])
	}
	return isReset(err)
}

const (
	modifierPing = 100
	askTimeout   = 2 * time.Second
)

// ask finds out the dialect without running anything: uWSGI answers a ping with
// a packet or closes, gunicorn with its page for an error, in HTTP.
func (t *Transport) ask(ctx context.Context, s *scratch) Dialect {
	c, e := t.dial(ctx, s)
	if e != nil {
		return DialectAuto
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	defer c.Close()
	c.arm(min(askTimeout, t.responseTimeoutOr(askTimeout)))
	if _, err := c.Write(AppendHeader(nil, modifierPing, 0, 0)); err != nil {
		return DialectAuto
	}
	var answer [len("HTTP/1.1 5")]byte
	n, err := io.ReadFull(c, answer[:])
	switch {
	case string(answer[:n]) == "HTTP/1.1 5":
		return DialectGunicorn
	case n >= HeaderBytes && answer[0] == modifierPing, n == 0 && err == io.EOF:
		return DialectUWSGI
	}
	return DialectAuto
}
