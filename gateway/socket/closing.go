package socket

import (
	"errors"
	"io"
	"net"
	"time"
)

// Close implements net.Conn. What was written is still sent. Calls that wait end
// in net.ErrClosed, and no hang-up is told any more.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", net.ErrClosed)
	}
	err := c.below.Close()
	c.mu.Lock()
	c.onHang = nil
	watched := c.watched
	c.mu.Unlock()
	if watched && c.hangups != nil {
		c.hangups.leave(c)
	}
	return err
}

// Reset closes the connection so that the client sees a reset (RFC 9293, 3.5):
// what it has not taken yet is lost. A connection that is not TCP is just closed.
func (c *Conn) Reset() error {
	if t, ok := c.below.(interface{ SetLinger(sec int) error }); ok && !c.closed.Load() {
		t.SetLinger(0) // its error is that of a connection that was closed
	}
	return c.Close()
}

// CloseWrite ends the sending half, so that the client reads an end behind all
// that was written. The error is errors.ErrUnsupported if the connection has no halves.
func (c *Conn) CloseWrite() error {
	if t, ok := c.below.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Linger closes a connection whose client may still send, so that the last answer
// is not lost to a reset (RFC 9112, 9.6): it ends the sending half, throws away
// what comes until the client ends too, limit bytes have come or d is over, and
// closes. Nobody writes any more; the read deadline and timeout that were set end.
func (c *Conn) Linger(limit int64, d time.Duration) error {
	if c.CloseWrite() == nil {
		c.SetReadTimeout(0)
		c.SetReadDeadline(time.Now().Add(d)) // an error shows in discard
		c.discard(limit)                     // why it ended changes nothing
	}
	return c.Close()
}

// discard reads up to limit bytes for nobody.
func (c *Conn) discard(limit int64) {
	if c.fast != nil {
		c.fast.discard(limit)
		return
	}
	io.Copy(io.Discard, io.LimitReader(c, limit)) // its error is of no interest
}
