package uwsgi

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is one connection to a member. One exchange owns it at a time, or the
// list of idle connections does.
type conn struct {
	net.Conn // *fileConn, *net.TCPConn or *tls.Conn

	file   *fileConn    // is Conn, or nil
	bare   syscall.Conn // what lies under TLS, for peeking; nil if unknown
	unix   bool
	secure bool
	reused bool      // this is not its first request
	idled  time.Time // when it was put aside

	mu      sync.Mutex // guards stopped, and the deadlines against an interrupt; a file has its own
	stopped bool
}

// interrupt makes every read and write return with an error, now and later.
func (c *conn) interrupt() {
	if c.file != nil {
		c.file.interrupt()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	_ = c.SetDeadline(longAgo)
}

func (c *conn) interrupted() bool {
	if c.file != nil {
		return c.file.interrupted()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// arm lets reads and writes take for d, which begins now or when something has to
// wait; d <= 0 lets them take for ever. A connection that was interrupted stays so.
func (c *conn) arm(d time.Duration) { c.set(within(d), true, true) }

func (c *conn) armRead(d time.Duration)  { c.set(within(d), true, false) }
func (c *conn) armWrite(d time.Duration) { c.set(within(d), false, true) }

func (c *conn) set(l limit, read, write bool) {
	if c.file != nil {
		_ = c.file.set(l, read, write)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
	case !write:
		_ = c.SetReadDeadline(l.deadline())
	case !read:
		_ = c.SetWriteDeadline(l.deadline())
	default:
		_ = c.SetDeadline(l.deadline())
	}
}

// awaitTaken is that of a *fileConn, and does not wait with any other.
func (c *conn) awaitTaken() error {
	if c.file != nil {
		return c.file.awaitTaken()
	}
	return nil
}

// quiet reports whether the connection is open and nothing lies in it to be
// read. It costs one system call and takes nothing out.
func (c *conn) quiet() bool {
	if c.bare == nil {
		return false
	}
	if c.file != nil {
		if quiet, ok := c.file.quietNow(); ok {
			return quiet
		}
	}
	raw, err := c.bare.SyscallConn()
	if err != nil {
		return false
	}
	var quiet bool
	err = raw.Control(func(fd uintptr) { quiet = silent(int(fd)) })
	return err == nil && quiet
}

// silent reports whether a socket is open and nothing lies in it to be read.
func silent(fd int) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(fd, one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
}
