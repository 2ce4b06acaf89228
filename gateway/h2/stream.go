package h2

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// stream is one request and its answer. It is a task for a worker, which owns it
// until Serve has returned; then it is used again.
type stream struct {
	c       *conn
	id      uint32
	req     wire.Request // its Fields keep their room
	refusal wire.Refusal // backs req.Refusal
	expect  bool         // the client waits for a 100 Continue
	body    body
	wake    waker // of the one that writes

	// The one that reads.
	credit int // what it has read and the client was not told yet

	// The one that writes.
	bodyless bool
	length   int64 // of the answer's body, -1: unknown
	sent     int64 // of it, or taken for it
	timeout  time.Duration

	// conn.mu guards the fields below.
	open       bool  // in conn.streams
	remoteEnd  bool  // the client has said all
	localEnd   bool  // END_STREAM was sent
	headed     bool  // the head of the answer was sent
	err        error // why nothing can be sent any more
	declared   int64 // the request's content-length, -1: unknown
	got, recv  int64 // bytes of the body; what may still come
	window     int64 // what the client takes
	life       *wire.Life
	pend       []byte    // of a Write that waits
	pendEnd    bool      // it is the last one
	moved      time.Time // when a part of pend was sent, or the Write began to wait
	next, prev *stream
	in         *queue
}

var _ wire.Stream = (*stream)(nil)

// maxKeptFields is how many fields a stream keeps room for between requests.
const maxKeptFields = 128

func (s *Server) getStream(c *conn) *stream {
	st, _ := s.streams.Get().(*stream)
	if st == nil {
		st = new(stream)
		st.wake.init()
		st.body.wake.init()
		st.body.pool = &s.buffers
	}
	st.c, st.declared, st.length = c, -1, -1
	st.req.Major = 2
	return st
}

// putStream takes back a stream that nobody else knows any more.
func (s *Server) putStream(st *stream) {
	fields := st.req.Fields
	clear(fields)
	if fields = fields[:0]; cap(fields) > maxKeptFields {
		fields = nil
	}
	st.body.reset()
	st.wake.drain()
	st.c, st.id, st.expect, st.credit = nil, 0, false, 0
	st.req, st.refusal = wire.Request{Fields: fields}, wire.Refusal{}
	st.bodyless, st.sent, st.timeout = false, 0, 0
	st.open, st.remoteEnd, st.localEnd, st.headed, st.err = false, false, false, false, nil
	st.got, st.life, st.pend, st.pendEnd = 0, nil, nil, false
	s.streams.Put(st)
}

// Run implements goroutines.Task.
func (st *stream) Run() {
	defer st.leave()
	st.c.handler.Serve(st, &st.req)
}

// leave ends the stream. The worker, which has nothing else to do, writes what is
// to be written.
func (st *stream) leave() {
	c := st.c
	if p := recover(); p != nil {
		c.srv.log.Error("panic while serving", "panic", fmt.Sprint(p), "path", cut(st.req.Target), "stack", string(debug.Stack()))
		st.Abort()
	}
	c.mu.Lock()
	st.finishLocked()
	if c.handlers--; !st.localEnd {
		c.busy--
	}
	if c.handlers == 0 {
		c.idleSince = time.Now()
	}
	write := len(c.out) > 0 && !c.writing && c.dead == nil
	if write {
		c.writing = true
	} else {
		c.checkOverLocked()
	}
	alone := c.handlers == 0
	if alone {
		c.wakeReaderLocked()
	}
	c.mu.Unlock()
	c.srv.putStream(st)
	if !write {
		return
	}
	if !alone {
		runtime.Gosched() // the answers of others go with this one
	}
	c.write()
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }

// finishLocked ends what the handler has left.
func (st *stream) finishLocked() {
	c := st.c
	if st.life != nil {
		st.life.End()
	}
	if st.open {
		st.endAnswerLocked()
	}
	if st.open {
		c.closeLocked(st)
	}
	if st.err == nil {
		c.budget.earn(earnStream)
	}
	c.refundLocked(st.credit + st.body.discard(errBodyClosed))
}

// endAnswerLocked ends an open stream whose handler has returned.
func (st *stream) endAnswerLocked() {
	c := st.c
	whole := st.headed && (st.bodyless || st.length < 0 || st.sent == st.length)
	if !whole {
		c.resetLocked(st.id, codeInternal)
		st.err = wire.ErrAborted
		return
	}
	if !st.localEnd {
		c.reserveLocked(frameHeaderLen)
		c.out = appendFrameHeader(c.out, 0, frameData, flagEndStream, st.id)
		c.endLocalLocked(st)
	}
	if st.open { // RFC 9113, 8.1: the rest of the request is not wanted
		c.resetLocked(st.id, codeNone)
	}
}

// endLocalLocked notes that END_STREAM was sent.
func (c *conn) endLocalLocked(st *stream) {
	st.localEnd = true
	c.busy--
	if st.remoteEnd {
		c.closeLocked(st)
	}
}

// closeLocked is the end of the stream for the protocol; its handler may go on.
func (c *conn) closeLocked(st *stream) {
	if st.open {
		st.open = false
		c.removeLocked(st)
	}
	drop(st)
}

// failLocked makes everything that the handler does end in err.
func (st *stream) failLocked(err error) {
	if st.err == nil {
		st.err = err
	}
	st.c.refundLocked(st.body.discard(err))
	st.pend = nil
	drop(st)
	st.wake.signal()
	if st.life != nil {
		st.life.End()
	}
}

// Context implements wire.Stream.
func (st *stream) Context() context.Context {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.life == nil {
		st.life = wire.NewLife(nil) // the reader watches the client anyway
		if st.err != nil {
			st.life.End()
		}
	}
	return st.life
}

// Read implements wire.Stream.
func (st *stream) Read(p []byte) (int, error) {
	if st.expect {
		st.expect = false
		st.goOn()
	}
	n, last, err := st.body.read(p)
	st.c.refund(st, n, last)
	return n, err
}

// goOn tells a client that waits with its body to send it.
func (st *stream) goOn() {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.open && !st.headed && st.body.empty() {
		c.appendHeadLocked(st.id, 0, func(b []byte) []byte { return c.enc.status(b, 100) })
		c.kickLocked()
	}
}

// SetReadTimeout implements wire.Stream.
func (st *stream) SetReadTimeout(d time.Duration) { st.body.setTimeout(d) }

// StopRead implements wire.Stream.
func (st *stream) StopRead() { st.body.stop() }

// Unread implements wire.Stream.
func (st *stream) Unread() bool { return st.body.unread() }

// Abort implements wire.Stream.
func (st *stream) Abort() {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !st.open {
		return
	}
	c.resetLocked(st.id, codeInternal)
	st.failLocked(wire.ErrAborted)
	c.closeLocked(st)
	c.kickLocked()
}

// CloseAfter implements wire.Stream: the connection has other streams.
func (st *stream) CloseAfter() {}

// Hijack implements wire.Stream.
func (st *stream) Hijack() (net.Conn, []byte, error) { return nil, nil, wire.ErrNoHijack }
