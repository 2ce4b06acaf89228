//go:build race

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Under the race detector package syscall makes the calls: it tells the detector
// that what happened before a write happened before the read at the other end.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	return repeat(syscall.Read, fd, p)
}

func sysWrite(fd uintptr, p []byte) (int, syscall.Errno) {
	return repeat(syscall.Write, fd, p)
}

func sysWritev(fd uintptr, v *[maxParts]syscall.Iovec, n, size int) (int, syscall.Errno) {
	syscall.Write(int(fd), nil) // sends nothing, tells the detector
	return call(syscall.SYS_WRITEV, fd, unsafe.Pointer(v), n, 0, size)
}

func sysSendMore(fd uintptr, p []byte) (int, syscall.Errno) {
	syscall.Write(int(fd), nil) // sends nothing, tells the detector
	return call(unix.SYS_SENDTO, fd, unsafe.Pointer(&p[0]), len(p), unix.MSG_NOSIGNAL|unix.MSG_MORE, len(p))
}

func sysSendfile(fd, from uintptr, offset *int64, n int) (int, syscall.Errno) {
	syscall.Write(int(fd), nil) // sends nothing, tells the detector
	return sendfile(fd, from, offset, n)
}

func repeat(f func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := f(int(fd), p)
		errno, _ := err.(syscall.Errno) // package syscall has no other errors here
		if errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}
