package h1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"
)

// handle serves the request that has been parsed, and reports whether another may
// follow. If not, the connection is closed or somebody else's.
func (c *conn) handle() bool {
	s := &c.s
	s.begin()
	ended := c.call()
	s.closeLife()
	switch {
	case s.hijacked:
		return false
	case !ended || s.aborted.Load():
		c.cutAnswer()
		return false
	}
	if err := s.finish(); err != nil {
		c.cutAnswer()
		return false
	}
	return c.settle()
}

// call reports whether Serve has returned.
func (c *conn) call() (ended bool) {
	defer func() {
		if ended {
			return
		}
		p := recover()
		if p == nil { // runtime.Goexit: nothing after this runs
			c.cutOff()
			return
		}
		if e, ok := p.(error); !ok || !errors.Is(e, http.ErrAbortHandler) {
			c.srv.log.Error("panic while serving", "client", c.sock.RemoteAddr(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	c.h.Serve(&c.s, &c.req)
	return true
}

// cutAnswer ends the connection of an answer that is not whole. What there is of
// it goes out before, so that no client takes the connection for one that was idle
// and asks again.
func (c *conn) cutAnswer() {
	a := &c.s.answer
	if a.begun && !a.sent && a.err == nil {
		c.sock.SetWriteDeadline(time.Now().Add(cutTime)) // its error shows in send
		c.s.send(nil, nil)                               // it is cut anyway
	}
	c.cutOff()
}

// cutTime is how long the head of an answer that is cut may take.
const cutTime = time.Second

// Bounds of what is thrown away of a body that nobody wants, so that the next
// request can be found behind it.
const (
	drainBytes = 256 << 10
	drainTime  = 5 * time.Second
)

// settle decides what becomes of the connection whose answer is out.
func (c *conn) settle() bool {
	s := &c.s
	b := &s.body
	rest := b.unread()
	if b.there {
		c.sock.SetReadTimeout(0)
	}
	if rest && !s.answer.closing && !c.drain() {
		s.answer.closing, rest = true, true
	}
	if !s.answer.closing {
		if b.there && b.stopped.Load() {
			c.sock.SetReadDeadline(time.Time{}) // its error shows in Read
		}
		return true
	}
	if rest || c.in.len() > 0 || s.answer.ours {
		c.linger()
	} else {
		c.end()
	}
	return false
}

// drain throws the rest of the body away, and reports whether that was possible.
func (c *conn) drain() bool {
	b := &c.s.body
	if b.failed.Load() || b.stopped.Load() || b.left.Load() > drainBytes {
		return false
	}
	c.sock.SetReadDeadline(time.Now().Add(drainTime)) // its error shows in Read
	defer c.sock.SetReadDeadline(time.Time{})
	scrap := c.s.answer.out
	scrap = scrap[:cap(scrap)]
	for n := 0; n <= drainBytes; {
		m, err := b.read(scrap)
		n += m
		switch {
		case err == io.EOF:
			return true
		case err != nil:
			return false
		}
	}
	return false
}
