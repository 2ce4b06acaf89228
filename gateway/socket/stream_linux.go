package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// stream makes the system calls of a TCP connection itself, in callbacks that are
// made once: they try first, and look at the clock only when they have to wait.
type stream struct {
	c *Conn
	r reader
	w writer
}

// newStream returns nil if c is not TCP.
func newStream(c *Conn) *stream {
	if _, ok := c.below.(*net.TCPConn); !ok || c.raw == nil {
		return nil
	}
	s := &stream{c: c}
	s.r.patience, s.w.patience = &c.r, &c.w
	s.r.into, s.r.away = s.r.tryRead, s.r.tryDiscard
	s.w.one, s.w.all, s.w.file = s.w.tryWrite, s.w.tryWritev, s.trySend
	return s
}

// run calls f until it is done: through is a method of a RawConn, which waits
// between the calls. It is called between begin and done of p. The error is that of
// package net, or what f left in err.
func (s *stream) run(op string, through func(func(uintptr) bool) error, f func(uintptr) bool, p *patience, err *error) error {
	for {
		wait := through(f)
		switch {
		case wait == nil && *err == nil:
			return nil
		case wait == nil:
			return s.c.callError(op, *err)
		case isTimeout(wait) && p.fired():
			continue
		}
		return s.c.callError(op, wait)
	}
}

// callError is err of a system call, or of a wait for it.
func (c *Conn) callError(op string, err error) error {
	var wait *net.OpError
	var call syscall.Errno
	switch {
	case err == io.EOF:
		return err
	case errors.As(err, &wait):
		err = wait.Err
	case errors.As(err, &call):
		err = os.NewSyscallError(op, err)
	}
	return c.opError(op, err)
}
