package socket

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is an accepted connection. It is a net.Conn: deadlines mean what they mean
// there, and errors are those of package net (*net.OpError around a system call's
// error, os.ErrDeadlineExceeded or net.ErrClosed; io.EOF is bare). They cost
// nothing but a store while no call waits.
//
// All methods may be called by several goroutines at once; a Read waits for the Read
// before it, a Write for the Write.
type Conn struct {
	below  net.Conn
	raw    syscall.RawConn // nil if below has no descriptor
	fast   *stream         // nil unless there is a fast way
	r, w   patience
	closed atomic.Bool

	hangups *Hangups // may be nil
	place   place    // hangups.mu guards it

	mu      sync.Mutex // guards the fields below
	onHang  func()
	watched bool // hangups has been asked
	hung    bool
}

var (
	_ net.Conn     = (*Conn)(nil)
	_ syscall.Conn = (*Conn)(nil)
)

// New returns c with the abilities of Conn, and owns it: nobody else may use it or
// set its deadlines. h may be nil: then nothing is told of hang-ups.
func New(c net.Conn, h *Hangups) *Conn {
	born := time.Now()
	n := &Conn{below: c, hangups: h}
	n.r.below, n.r.born = c, born
	n.w.below, n.w.born, n.w.write = c, born, true
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			n.raw = raw
		}
	}
	n.fast = newStream(n)
	return n
}

// Lender lends buffers to ReadLent. Both are called by the goroutine that reads,
// must not block, and must not use the connection.
type Lender interface {
	Get() []byte // not empty
	Put(b []byte)
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if c.fast != nil {
		n, _, err := c.fast.read(p, nil)
		return n, err
	}
	return c.plainRead(p)
}

// ReadLent is Read into a buffer of l that it takes only once there is something
// to read: a connection that waits holds none. The caller owns b, the part of the
// buffer that was read into, and gives it back; with an error there is none.
// Without the fast way the buffer is taken while it waits.
func (c *Conn) ReadLent(l Lender) (b []byte, err error) {
	if c.fast != nil {
		_, b, err = c.fast.read(nil, l)
		return b, err
	}
	b = l.Get()
	n, err := c.plainRead(b)
	if n == 0 {
		l.Put(b)
		return nil, err
	}
	return b[:n], nil // an error comes again
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if c.fast != nil {
		return c.fast.write(p)
	}
	return c.plainWrite(p)
}

// WriteBuffers writes all of v, with one system call where the client takes it at
// once and it has not more than 16 parts. Like net.Buffers.WriteTo it takes what
// was written out of v and changes its parts; the caller keeps the array of v to
// use it again. The write timeout is for each part of it that the client takes.
func (c *Conn) WriteBuffers(v *net.Buffers) (int64, error) {
	if c.fast != nil {
		return c.fast.writev(v)
	}
	var all int64
	for consume(v, 0); len(*v) > 0; {
		n, err := c.plainWrite((*v)[0])
		all += int64(n)
		consume(v, n)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// consume takes n bytes, and the empty parts before the next, from the front of v.
func consume(v *net.Buffers, n int) {
	for len(*v) > 0 {
		head := (*v)[0]
		if n < len(head) {
			(*v)[0] = head[n:]
			return
		}
		n -= len(head)
		(*v)[0] = nil
		*v = (*v)[1:]
	}
}

// SetReadTimeout is how long each Read that begins later may wait; 0 or less: for
// ever. It ends in os.ErrDeadlineExceeded. The deadline holds besides.
func (c *Conn) SetReadTimeout(d time.Duration) { c.r.setTimeout(d) }

// SetWriteTimeout is how long each Write that begins later may wait for the client
// to take anything; 0 or less: for ever. It ends in os.ErrDeadlineExceeded. The
// deadline holds besides. Without the fast way it is for all that one Write waits.
func (c *Conn) SetWriteTimeout(d time.Duration) { c.w.setTimeout(d) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn: a time in the past ends a Read that waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	return c.r.setDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.closed.Load() {
		return c.opError("set", net.ErrClosed)
	}
	return c.w.setDeadline(t)
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.below.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.below.RemoteAddr() }

// NetConn returns the connection that New was given, to look at it.
func (c *Conn) NetConn() net.Conn { return c.below }

// SyscallConn implements syscall.Conn. A wait inside of it knows no timeouts.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return c.raw, nil
}

// opError is err as package net would tell it.
func (c *Conn) opError(op string, err error) error {
	a := c.RemoteAddr()
	network := ""
	if a != nil {
		network = a.Network()
	}
	if op == "set" {
		return &net.OpError{Op: op, Net: network, Addr: c.LocalAddr(), Err: err}
	}
	return &net.OpError{Op: op, Net: network, Source: c.LocalAddr(), Addr: a, Err: err}
}

// tooLate is the error of a call that begins when its deadline has passed.
func (c *Conn) tooLate(op string) error {
	if c.closed.Load() {
		return c.opError(op, net.ErrClosed)
	}
	return c.opError(op, errTimeout)
}

var errTimeout = os.ErrDeadlineExceeded

// isTimeout reports whether a deadline of the connection below has fired.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
