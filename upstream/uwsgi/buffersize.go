package uwsgi

import (
	"context"
	"sync/atomic"
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
		if x.touched() {
			if !t.refuses(ctx, size) {
				return nil, first
			}
		} else {
			again, resp, e := t.attempt(ctx, req, packet, req.Body)
			if again == nil || e == nil || !again.refused || !e.NeverRan {
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
