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

	bare   syscall.Conn // what lies under TLS, for peeking; nil if unknown
	unix   bool
	secure bool
	reused bool      // this is not its first request
	idled  time.Time // when it was put aside

	mu      sync.Mutex // guards stopped, and the deadlines against an interrupt
	stopped bool
}

// longAgo is a deadline that makes every read and write return at once.
var longAgo = time.Unix(1, 0)

// interrupt makes every read and write return with an error, now and later.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	_ = c.SetDeadline(longAgo)
}

func (c *conn) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// arm lets reads and writes take until d from now; d <= 0 lets them take for
// ever. A connection that was interrupted stays so.
func (c *conn) arm(d time.Duration) { c.set(c.SetDeadline, d) }

func (c *conn) armRead(d time.Duration)  { c.set(c.SetReadDeadline, d) }
func (c *conn) armWrite(d time.Duration) { c.set(c.SetWriteDeadline, d) }

func (c *conn) set(deadline func(time.Time) error, d time.Duration) {
	var at time.Time
	if d > 0 {
		at = time.Now().Add(d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		_ = deadline(at)
	}
}

// awaitTaken is that of a *fileConn, and does not wait with any other.
func (c *conn) awaitTaken() error {
	if file, ok := c.Conn.(*fileConn); ok {
		return file.awaitTaken()
	}
	return nil
}

// quiet reports whether the connection is open and nothing lies in it to be
// read. It costs one system call and takes nothing out.
func (c *conn) quiet() bool {
	if c.bare == nil {
		return false
	}
	raw, err := c.bare.SyscallConn()
	if err != nil {
		return false
	}
	var one [1]byte
	var got error
	err = raw.Control(func(fd uintptr) {
		_, _, got = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err == nil && (got == syscall.EAGAIN || got == syscall.EWOULDBLOCK)
}
