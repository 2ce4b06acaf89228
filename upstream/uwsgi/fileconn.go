package uwsgi

import (
	"net"
	"os"
	"syscall"
)

// fileConn is a connected unix socket behind an os.File, which has the runtime's
// poller and deadlines, without the getsockname, getpeername and setsockopt that
// package net spends on every connection.
type fileConn struct {
	*os.File
	name string // of the listening socket
}

var (
	_ net.Conn     = (*fileConn)(nil)
	_ syscall.Conn = (*fileConn)(nil)
)

// LocalAddr implements net.Conn. This side has no name.
func (c *fileConn) LocalAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// RemoteAddr implements net.Conn.
func (c *fileConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix", Name: c.name} }

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
