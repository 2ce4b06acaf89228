package origin

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is one connection to a member. It stands below package net/http and knows
// what that does not tell: how far an exchange of HTTP/1.1 had come when it
// failed, and why.
//
// A write that fails is not reported: the member may have answered early, and
// net/http would give that answer up. The reader finds the answer, or the end.
type conn struct {
	net.Conn
	shared bool          // HTTP/2: many exchanges at once
	limit  time.Duration // for a write that makes no progress; 0 or less: none
	parked atomic.Bool   // a Read waits for the member

	greeted chan struct{} // closed when first holds a frame's header, or there is an end

	mu    sync.Mutex // guards the fields below
	first [24]byte   // the first bytes that ever came
	nth   int        // of first
	total int64      // bytes sent before the exchange
	now   progress
}

// progress is how far one exchange has come on its connection.
type progress struct {
	sent     int64 // bytes that the kernel took
	got      int64 // bytes of the answer
	moved    time.Time
	writeErr error
	readErr  error
	unread   bool         // the kernel says that the member has not read the request
	body     *requestBody // of the exchange, nil without one
}

const frameHeader = 9 // RFC 9113, 4.1

// begin starts the account of an exchange.
func (c *conn) begin(body *requestBody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total += c.now.sent
	over := c.now.readErr != nil // closed before anything of this request was sent
	c.now = progress{moved: time.Now(), readErr: c.now.readErr, writeErr: c.now.writeErr, unread: over, body: body}
}

// rest ends the account of an exchange that has come to its end.
func (c *conn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.body = nil
}

func (c *conn) progress() progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// greeting returns the first bytes that the member ever said.
func (c *conn) greeting() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.first[:c.nth])
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.arm()
	c.parked.Store(true)
	n, err := c.Conn.Read(p)
	c.parked.Store(false)
	if body := c.note(p[:n], err); body != nil {
		body.interrupt() // net/http would wait for a Read of it
	}
	return n, err
}

// arm starts the clock of a Read of the answer to a request that the member does
// not take any more: net/http still tries to send it, and has none running.
func (c *conn) arm() {
	if c.limit > 0 && c.broken() {
		_ = c.SetReadDeadline(time.Now().Add(c.limit)) // an error shows in Read
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	body := c.now.body
	c.mu.Unlock()
	if body != nil {
		body.interrupt()
	}
	return err
}

// note keeps what a Read tells. It returns the body that nobody wants any more.
func (c *conn) note(p []byte, err error) *requestBody {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.nth
	c.nth += copy(c.first[c.nth:], p)
	if c.greeted != nil && c.now.readErr == nil && had < frameHeader && (c.nth >= frameHeader || err != nil) {
		close(c.greeted)
	}
	c.now.got += int64(len(p))
	c.now.moved = time.Now()
	if err == nil || c.now.readErr != nil {
		return nil
	}
	c.now.readErr = err
	if c.now.got == 0 && !c.shared {
		c.now.unread = c.provesUnread(err)
	}
	return c.now.body
}

// provesUnread reports whether err, the end of the connection without a byte of
// an answer, proves that the request was not read by the member.
//
// The kernel resets what was closed with bytes unread. On this host that is all
// there is to say; from afar a reset may have come from anything in between. A
// connection that was closed in order says how much had arrived until then: if
// that is nothing of the request, nobody can have read any.
func (c *conn) provesUnread(err error) bool {
	switch {
	case isReset(err):
		return c.now.body == nil && c.local()
	case err == io.EOF:
		acked, ok := ackedBytes(c.Conn)
		return ok && acked <= c.total+1 // 1: the SYN
	}
	return false
}

// local reports whether the other side is on this host.
func (c *conn) local() bool {
	if _, unix := c.Conn.(*net.UnixConn); unix {
		return true
	}
	there, ok := c.RemoteAddr().(*net.TCPAddr)
	here, also := c.LocalAddr().(*net.TCPAddr)
	return ok && also && (there.IP.IsLoopback() || there.IP.Equal(here.IP))
}

// Write implements net.Conn. Of HTTP/1.1 it always reports success.
func (c *conn) Write(p []byte) (int, error) {
	if c.shared {
		return c.Conn.Write(p)
	}
	for rest := p; len(rest) > 0 && c.open(); {
		if c.limit > 0 {
			_ = c.SetWriteDeadline(time.Now().Add(c.limit)) // an error shows in Write
		}
		n, err := c.Conn.Write(rest)
		rest = rest[n:]
		c.wrote(n, err)
	}
	return len(p), nil
}

// open reports whether a write may still succeed.
func (c *conn) open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.writeErr == nil
}

// wrote keeps what a Write tells. Time runs out only when neither direction
// moves.
func (c *conn) wrote(n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.sent += int64(n)
	if err == nil {
		return
	}
	deadline := time.Now().Add(c.limit)
	if isTimeout(err) {
		if n > 0 || c.movingLocked() {
			return
		}
		deadline = time.Unix(1, 0) // the reader says so
	}
	if c.limit > 0 {
		_ = c.SetReadDeadline(deadline) // an error shows in Read
	}
	c.now.writeErr = err
}

// movingLocked reports whether the answer makes progress, or it is not the
// member's fault that it does not.
func (c *conn) movingLocked() bool {
	return !c.parked.Load() || time.Since(c.now.moved) < c.limit
}

// broken reports whether the member does not take the request any more.
func (c *conn) broken() bool { return !c.shared && !c.open() }

// idle reports whether an HTTP/1.1 connection that has no exchange is whole: the
// reader of net/http is back and waits, so that no byte lies in its buffer, and
// none in the kernel. Bytes that nobody asked for would be taken for the next
// answer.
func (c *conn) idle() bool { return c.parked.Load() && c.open() && c.quiet() }

// quiet reports whether the kernel has nothing to be read: no byte, no end.
func (c *conn) quiet() bool {
	bare, ok := c.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := bare.SyscallConn()
	if err != nil {
		return false
	}
	var one [1]byte
	var got error
	err = raw.Control(func(fd uintptr) {
		_, _, got = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && (errors.Is(got, syscall.EAGAIN) || errors.Is(got, syscall.EINTR))
}

// leave ends the account for good: the connection is not HTTP any more.
func (c *conn) leave() {
	c.rest()
	_ = c.SetDeadline(time.Time{})
}
