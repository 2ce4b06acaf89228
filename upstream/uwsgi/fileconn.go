package uwsgi

import (
	"io"
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
	read, write time.Time  // deadlines that file will have
}

var (
	_ net.Conn     = (*fileConn)(nil)
	_ syscall.Conn = (*fileConn)(nil)
)

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
	var err error
	if c.read.Equal(c.write) {
		if !c.read.IsZero() {
			err = f.SetDeadline(c.read)
		}
	} else if err = f.SetReadDeadline(c.read); err == nil {
		err = f.SetWriteDeadline(c.write)
	}
	return f, err
}

// Read implements net.Conn.
func (c *fileConn) Read(p []byte) (int, error) {
	if n, err := c.readNow(p); n > 0 || err != nil {
		return n, err
	}
	f, err := c.polled()
	if err != nil {
		return 0, err
	}
	return f.Read(p)
}

// readNow lets other goroutines run first and then reads what has come, as long
// as there is no poller. Under load the answer is mostly there by then, and the
// four system calls that waiting costs are saved.
func (c *fileConn) readNow(p []byte) (int, error) {
	c.mu.Lock()
	bare := c.fd >= 0
	c.mu.Unlock()
	if !bare {
		return 0, nil
	}
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.read.Equal(longAgo) {
		return 0, nil // the file knows better
	}
	for {
		n, err := syscall.Read(c.fd, p)
		switch {
		case err == nil && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == syscall.EAGAIN:
			return 0, nil
		case err != syscall.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// Write implements net.Conn.
func (c *fileConn) Write(p []byte) (int, error) {
	n, err := c.writeNow(p)
	if err != nil || n == len(p) {
		return n, err
	}
	f, err := c.polled()
	if err != nil {
		return n, err
	}
	m, err := f.Write(p[n:])
	return n + m, err
}

// writeNow writes what the kernel takes at once, as long as there is no poller.
func (c *fileConn) writeNow(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || !c.write.IsZero() && c.write.Equal(longAgo) {
		return 0, nil // the file knows better
	}
	for {
		n, err := syscall.Write(c.fd, p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
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
	return syscall.Close(fd)
}

// SetDeadline implements net.Conn.
func (c *fileConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = t, t
	if c.file == nil {
		return nil
	}
	return c.file.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *fileConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	if c.file == nil {
		return nil
	}
	return c.file.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *fileConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	if c.file == nil {
		return nil
	}
	return c.file.SetWriteDeadline(t)
}

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
