package uwsgi

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// sendfileBytes bounds one call of sendfile(2).
const sendfileBytes = 1 << 20

// sendFile sends a part of a body's file: some of left bytes from an offset on. It
// blocks as a Write does. An error of the file is a *SpoolError, and
// errors.ErrUnsupported says that the kernel cannot do it.
func (c *fileConn) sendFile(b *Spool, at, left int64) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var told error
	err = raw.Write(func(fd uintptr) bool {
		n, told = b.sendTo(int(fd), at, int(min(left, sendfileBytes)))
		return told != syscall.EAGAIN
	})
	if err != nil {
		return 0, err
	}
	return n, told
}

// sendTo gives a part of the file to a socket that does not block.
func (b *Spool) sendTo(socket int, at int64, size int) (n int, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return 0, &SpoolError{Op: SpoolWrite, Err: os.ErrClosed}
	}
	raw, err := b.file.SyscallConn()
	if err != nil {
		return 0, &SpoolError{Op: SpoolWrite, Err: err}
	}
	var told error
	err = raw.Control(func(fd uintptr) {
		for {
			if n, told = syscall.Sendfile(socket, int(fd), &at, size); told != syscall.EINTR {
				return
			}
		}
	})
	if err != nil {
		return 0, &SpoolError{Op: SpoolWrite, Err: err}
	}
	switch n = max(n, 0); {
	case told == nil && n == 0:
		return 0, &SpoolError{Op: SpoolWrite, Err: io.ErrUnexpectedEOF} // somebody cut the file
	case told == nil, told == syscall.EAGAIN, isReset(told), told == syscall.ENOTCONN:
		return n, told
	case told == syscall.EINVAL, told == syscall.ENOSYS, told == syscall.EOPNOTSUPP:
		return 0, errors.ErrUnsupported
	}
	return n, &SpoolError{Op: SpoolWrite, Err: os.NewSyscallError("sendfile", told)}
}
