package h1

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/wire"
)

// stream is the exchange that is under way on a connection. It is used again for
// the next.
type stream struct {
	c      *conn
	body   body
	answer answer

	life     atomic.Pointer[wire.Life]
	watch    func()      // is watchClient; made once
	watched  atomic.Bool // the client is, for this request
	aborted  atomic.Bool
	hijacked bool
	paced    bool // a write timeout was set

	waits atomic.Bool // the client waits for 100 Continue
	mu    sync.Mutex  // held by who writes, when there may be two
}

var _ wire.Stream = (*stream)(nil)

// begin makes s ready for a request whose head has been parsed.
func (s *stream) begin() {
	c := s.c
	s.body.reset(&c.in, c.head.length)
	s.answer.begin(&c.req, &c.head)
	s.aborted.Store(false)
	s.waits.Store(c.head.expects && s.body.there && c.req.Minor > 0)
	s.answer.shared = c.head.expects
	if s.paced {
		s.paced = false
		c.sock.SetWriteTimeout(0)
	}
}

// Context implements wire.Stream.
func (s *stream) Context() context.Context {
	if l := s.life.Load(); l != nil {
		return l
	}
	l := wire.NewLife(s.watch)
	if !s.life.CompareAndSwap(nil, l) {
		return s.life.Load()
	}
	if s.c.killed.Load() || s.aborted.Load() {
		l.End()
	}
	return l
}

// watchClient ends the context when the client goes.
func (s *stream) watchClient() {
	s.watched.Store(true)
	if l := s.life.Load(); l != nil {
		s.c.sock.OnHangup(l.End)
	}
}

// endLife ends the context if there is one.
func (s *stream) endLife() {
	if l := s.life.Load(); l != nil {
		l.End()
	}
}

// closeLife ends it with the exchange.
func (s *stream) closeLife() {
	if l := s.life.Load(); l != nil {
		l.End()
		s.life.Store(nil)
		if s.watched.Swap(false) {
			s.c.sock.OnHangup(nil)
		}
	}
}

// Read implements wire.Stream.
func (s *stream) Read(p []byte) (int, error) {
	if s.waits.Load() {
		if err := s.sayContinue(); err != nil {
			return 0, err
		}
	}
	return s.body.read(p)
}

const goOn = "HTTP/1.1 100 Continue\r\n\r\n"

// sayContinue asks the client for the body, unless it comes already or the answer
// has begun.
func (s *stream) sayContinue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.waits.Swap(false) || s.c.in.len() > 0 || s.body.stopped.Load() {
		return nil
	}
	_, err := s.c.c.Write([]byte(goOn))
	return err
}

// SetReadTimeout implements wire.Stream.
func (s *stream) SetReadTimeout(d time.Duration) {
	if s.body.there {
		s.c.sock.SetReadTimeout(d)
	}
}

// StopRead implements wire.Stream.
func (s *stream) StopRead() {
	s.body.stopped.Store(true)
	if s.body.unread() {
		s.c.sock.SetReadDeadline(past) // its error is that of a connection that was closed
	}
}

// Unread implements wire.Stream.
func (s *stream) Unread() bool { return s.body.unread() }

// Interim implements wire.Stream.
func (s *stream) Interim(status int, f wire.Fields) error { return s.interim(status, f) }

// WriteHead implements wire.Stream.
func (s *stream) WriteHead(status int, f wire.Fields, length int64) { s.writeHead(status, f, length) }

// Write implements wire.Stream.
func (s *stream) Write(p []byte) (int, error) {
	if s.aborted.Load() {
		return 0, wire.ErrAborted
	}
	return s.write(p)
}

// Flush implements wire.Stream.
func (s *stream) Flush() error {
	if s.aborted.Load() {
		return wire.ErrAborted
	}
	return s.flush()
}

// SetWriteTimeout implements wire.Stream.
func (s *stream) SetWriteTimeout(d time.Duration) {
	s.paced = d > 0
	s.c.sock.SetWriteTimeout(d)
}

// CloseAfter implements wire.Stream.
func (s *stream) CloseAfter() { s.answer.closing = true }

// Abort implements wire.Stream.
func (s *stream) Abort() {
	if s.aborted.Swap(true) {
		return
	}
	s.c.sock.SetReadDeadline(past) // errors are those of a connection that was closed
	s.c.sock.SetWriteDeadline(past)
	s.endLife()
}

// Hijack implements wire.Stream.
func (s *stream) Hijack() (net.Conn, []byte, error) {
	c := s.c
	if s.hijacked || s.answer.begun || s.aborted.Load() {
		return nil, nil, wire.ErrNoHijack
	}
	if s.life.Load() != nil {
		c.sock.OnHangup(nil)
	}
	s.hijacked = true
	early := bytes.Clone(c.in.bytes())
	c.in.skip(len(early))
	c.sock.SetReadTimeout(0)
	c.sock.SetWriteTimeout(0)
	c.sock.SetDeadline(time.Time{}) // its error is that of a connection that was closed
	c.srv.remove(c)
	return c.c, early, nil
}
