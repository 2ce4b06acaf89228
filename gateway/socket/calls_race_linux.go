//go:build race

package socket

import (
	"syscall"
	"unsafe"
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

func repeat(f func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := f(int(fd), p)
		errno, _ := err.(syscall.Errno) // package syscall has no other errors here
		if errno != syscall.EINTR {
			return max(n, 0), errno
		}
	}
}
