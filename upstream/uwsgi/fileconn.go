package uwsgi

import (
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// fileConn is a connected unix socket without what package net spends on every
// connection (getsockname, getpeername, setsockopt), and without the runtime's
// poller until something has to wait: the packet is written right after connect,
// so that the worker that connect has woken finds it, and does not go to sleep
// again to be woken a second time.
type fileConn struct {
	name string // of the listening socket

	mu          sync.Mutex // guards the fields below
	fd          int        // -1 when file has it, or after Close
	file        *os.File   // nil until something waits
	stopped     bool       // reads and writes return with an error, now and later
	read, write limit      // what file will have
	waiter      *waiter    // who waits for an answer without file
	poller      *poller    // where
	enrolled    bool       // poller knows fd
}

var (
	_ net.Conn     = (*fileConn)(nil)
	_ syscall.Conn = (*fileConn)(nil)
)

// longAgo is a deadline that makes every read and write return at once.
var longAgo = time.Unix(1, 0)

// polled returns the socket behind an os.File, which has poller and deadlines.
func (c *fileConn) polled() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		return c.file, nil
	}
	if c.fd < 0 {
		return nil, os.ErrClosed
	}
	f := os.NewFile(uintptr(c.fd), c.name)
	c.file, c.fd = f, -1
	if c.stopped {
		return f, f.SetDeadline(longAgo)
	}
	if c.read == c.write {
		if c.read == (limit{}) {
			return f, nil
		}
		return f, f.SetDeadline(c.read.deadline())
	}
	if err := f.SetReadDeadline(c.read.deadline()); err != nil {
		return f, err
	}
	return f, f.SetWriteDeadline(c.write.deadline())
}

// Read implements net.Conn.
func (c *fileConn) Read(p []byte) (int, error) {
	if c.bare() {
		runtime.Gosched()
		if n, err := c.readNow(p); n > 0 || err != nil {
			return n, err
		}
	}
	return c.readWaiting(p)
}

// readWaiting is Read without trying first.
func (c *fileConn) readWaiting(p []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, err
	}
	return f.Read(p)
}

func (c *fileConn) bare() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fd >= 0
}

// readNow reads what has come, as long as there is no poller. It gives nothing
// and no error where a read has to wait, or the file is to be asked.
//
// Whoever lets other goroutines run before finds the answer there under load,
// most of the time, and saves what waiting costs: the poller, several system
// calls, a timer.
func (c *fileConn) readNow(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.stopped || !c.read.at.IsZero() && !c.read.begun {
		return 0, nil // the file knows better
	}
	return receive(c.fd, p)
}

// quietNow is conn.quiet, as long as there is no poller.
func (c *fileConn) quietNow() (quiet, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return false, c.file == nil
	}
	return silent(c.fd), true
}

// Write implements net.Conn.
func (c *fileConn) Write(p []byte) (int, error) {
	n, err := c.writeNow(p)
	if err != nil || n == len(p) {
		return n, err
	}
	m, err := c.writeWaiting(p[n:])
	return n + m, err
}

// writeWaiting is Write without trying first.
func (c *fileConn) writeWaiting(p []byte) (int, error) {
	f, err := c.polled()
	if err != nil {
		return 0, err
	}
	return f.Write(p)
}

// writeNow writes what the kernel takes at once, as long as there is no poller.
func (c *fileConn) writeNow(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.stopped || !c.write.at.IsZero() && !c.write.begun {
		return 0, nil // the file knows better
	}
	return transmit(c.fd, p)
}

// begin is writeNow, the first of an exchange: reads and writes may take d.
func (c *fileConn) begin(p []byte, d time.Duration) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.stopped {
		c.setLocked(within(d), true, true)
		return 0, nil
	}
	c.read, c.write = within(d), within(d)
	return transmit(c.fd, p)
}

// Close implements net.Conn.
func (c *fileConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file != nil {
		return c.file.Close()
	}
	if c.fd < 0 {
		return os.ErrClosed
	}
	fd := c.fd
	c.fd = -1
	c.giveUpLocked()
	return closeNow(fd)
}

// interrupt makes every read and write return with an error, now and later.
func (c *fileConn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.giveUpLocked()
	if c.file != nil {
		_ = c.file.SetDeadline(longAgo)
	}
}

func (c *fileConn) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// set sets the limits of reads and of writes.
func (c *fileConn) set(l limit, read, write bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setLocked(l, read, write)
}

func (c *fileConn) setLocked(l limit, read, write bool) error {
	if read {
		c.read = l
	}
	if write {
		c.write = l
	}
	switch {
	case c.file == nil || c.stopped:
		return nil
	case !write:
		return c.file.SetReadDeadline(l.deadline())
	case !read:
		return c.file.SetWriteDeadline(l.deadline())
	}
	return c.file.SetDeadline(l.deadline())
}

// SetDeadline implements net.Conn.
func (c *fileConn) SetDeadline(t time.Time) error { return c.set(limit{at: t}, true, true) }

// SetReadDeadline implements net.Conn.
func (c *fileConn) SetReadDeadline(t time.Time) error { return c.set(limit{at: t}, true, false) }

// SetWriteDeadline implements net.Conn.
func (c *fileConn) SetWriteDeadline(t time.Time) error { return c.set(limit{at: t}, false, true) }

// LocalAddr implements net.Conn. This side has no name.
func (c *fileConn) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (c *fileConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix", Name: c.name} }

// SyscallConn implements syscall.Conn.
func (c *fileConn) SyscallConn() (syscall.RawConn, error) {
	f, err := c.polled()
	if err != nil {
		return nil, err
	}
	return f.SyscallConn()
}

// CloseWrite ends the sending half.
func (c *fileConn) CloseWrite() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var down error
	if err := raw.Control(func(fd uintptr) { down = syscall.Shutdown(int(fd), syscall.SHUT_WR) }); err != nil {
		return err
	}
	return os.NewSyscallError("shutdown", down)
}
