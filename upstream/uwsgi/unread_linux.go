package uwsgi

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// kernelTells: the kernel says what the other side of a unix socket has read.
const kernelTells = true

// unread returns how much of what was written the other side has not read: bytes
// of the kernel's memory, 0 when everything was read.
func (c *fileConn) unread() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		if c.fd < 0 {
			return 0, os.ErrClosed
		}
		return outq(uintptr(c.fd))
	}
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var told error
	if err := raw.Control(func(fd uintptr) { n, told = outq(fd) }); err != nil {
		return 0, err
	}
	return n, told
}

// outq is ioctl(SIOCOUTQ), which has the number of TIOCOUTQ. While the kernel
// wakes who waits for it the last buffer is still counted with 1, which is 0 for
// us: nobody is woken again. No buffer is that small.
func outq(fd uintptr) (int, error) {
	var n int32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0, errno
	}
	if n == 1 {
		n = 0
	}
	return int(n), nil
}

// awaitTaken, after takenNow, blocks until the other side has read all that was written to it, or
// has said something, and returns EPIPE when it has closed. The deadline is that
// of writes.
func (c *fileConn) awaitTaken() error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var told error
	err = raw.Write(func(fd uintptr) (done bool) {
		done, told = taken(fd)
		return done
	})
	if err != nil {
		return err
	}
	return told
}

// takenNow lets other goroutines run first and then looks, as long as there is no
// poller: see readNow.
func (c *fileConn) takenNow() (done bool, err error) {
	if !c.bare() {
		return false, nil
	}
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.stopped {
		return false, nil // the file knows better
	}
	return taken(uintptr(c.fd))
}

// taken looks once. The order matters: the kernel marks a socket as closed before
// it throws away what was not read, and so what is gone from a socket that is
// still open has been read.
func taken(fd uintptr) (done bool, err error) {
	n, err := outq(fd)
	if err != nil {
		return true, err
	}
	switch events, err := pollIn(fd); {
	case err != nil:
		return true, err
	case events&pollHup != 0:
		return true, syscall.EPIPE
	default:
		return n == 0 || events != 0, nil
	}
}

// The bits of poll(2).
const (
	pollReadable = 0x1
	pollHup      = 0x10
)

// pollIn says whether there is something to be read, and whether the other side
// has closed. Unlike a read it does not use up the error of the connection.
func pollIn(fd uintptr) (events int16, err error) {
	p := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollReadable}
	for {
		var now syscall.Timespec
		_, _, errno := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		switch errno {
		case 0:
			return p.revents, nil
		case syscall.EINTR: // a signal is pending, even if there is nothing to wait for
		default:
			return 0, errno
		}
	}
}
