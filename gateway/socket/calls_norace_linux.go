//go:build !race

package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of sockets do not pass through the layer of files.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(unix.SYS_RECVFROM, fd, unsafe.Pointer(&p[0]), len(p), 0, len(p))
}

func sysWrite(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(unix.SYS_SENDTO, fd, unsafe.Pointer(&p[0]), len(p), unix.MSG_NOSIGNAL, len(p))
}

func sysWritev(fd uintptr, v *[maxParts]syscall.Iovec, n, size int) (int, syscall.Errno) {
	return call(unix.SYS_WRITEV, fd, unsafe.Pointer(v), n, 0, size)
}

func sysSendMore(fd uintptr, p []byte) (int, syscall.Errno) {
	return call(unix.SYS_SENDTO, fd, unsafe.Pointer(&p[0]), len(p), unix.MSG_NOSIGNAL|unix.MSG_MORE, len(p))
}

func sysSendfile(fd, from uintptr, offset *int64, n int) (int, syscall.Errno) {
	return sendfile(fd, from, offset, n)
}
