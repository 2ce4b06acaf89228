//go:build !race

package socket

import (
	"syscall"
	"unsafe"
)

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_READ, fd, unsafe.Pointer(&p[0]), len(p), len(p))
}

func sysWrite(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(syscall.SYS_WRITE, fd, unsafe.Pointer(&p[0]), len(p), len(p))
}

func sysWritev(fd uintptr, v *[maxParts]syscall.Iovec, n, size int) (int, syscall.Errno) {
	return call(syscall.SYS_WRITEV, fd, unsafe.Pointer(v), n, size)
}
