package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bigCall is from how many bytes on a system call may take so long that the
// processor should be free for other goroutines meanwhile.
const bigCall = 64 << 10

// call makes a system call on a descriptor that does not block. The scheduler is
// not told of a short one: it would gain nothing, and telling costs as much as the
// call. The result is 0 with an error.
func call(trap, fd uintptr, p unsafe.Pointer, n, flags, bytes int) (int, syscall.Errno) {
	for {
		var r uintptr
		var errno syscall.Errno
		if bytes <= bigCall {
			r, _, errno = syscall.RawSyscall6(trap, fd, uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(trap, fd, uintptr(p), uintptr(n), uintptr(flags), 0, 0)
		}
		switch errno {
		case 0:
			return int(r), 0
		case syscall.EINTR:
			continue
		}
		return 0, errno
	}
}

// sendfile sends up to n bytes of a file from *offset on, which it moves. It may wait
// for the disk.
func sendfile(fd, from uintptr, offset *int64, n int) (int, syscall.Errno) {
	for {
		sent, err := unix.Sendfile(int(fd), int(from), offset, n)
		errno, _ := err.(syscall.Errno) // package unix has no other errors here
		if errno != syscall.EINTR {
			return max(sent, 0), errno
		}
	}
}
