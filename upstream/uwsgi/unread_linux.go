package uwsgi

import (
	"os"
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

// outq is ioctl(SIOCOUTQ), which has the number of TIOCOUTQ.
func outq(fd uintptr) (int, error) {
	var n int32
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n))); errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
