//go:build unix && !linux

package socket

import "syscall"

// hasEnded reports whether the next read would find the end or an error.
func hasEnded(raw syscall.RawConn) (ended bool) {
	raw.Control(func(fd uintptr) { // an error: closed by us
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return ended
}
