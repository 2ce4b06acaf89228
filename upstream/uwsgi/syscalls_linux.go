//go:build linux && (amd64 || arm64 || riscv64 || loong64) && !race

package uwsgi

import (
	"syscall"
	"unsafe"
)

// rawBytes is up to which size the runtime is not told of a call that does not
// block: telling costs more than a short one takes.
const rawBytes = 32 << 10

func recv(fd int, p []byte) (int, syscall.Errno) {
	at := unsafe.Pointer(unsafe.SliceData(p))
	if len(p) <= rawBytes {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(at), uintptr(len(p)), 0, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(at), uintptr(len(p)), 0, 0, 0)
	return int(n), errno
}

func send(fd int, p []byte) (int, syscall.Errno) {
	at := unsafe.Pointer(unsafe.SliceData(p))
	if len(p) <= rawBytes {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(at), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
		return int(n), errno
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(at), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// sockaddr is the address of a unix socket as the kernel wants it.
type sockaddr struct {
	raw  syscall.RawSockaddrUnix
	size uintptr // 0: no address has that name
}

func unixAddress(name string) (a sockaddr) {
	if len(name) >= len(a.raw.Path) || name == "" {
		return a
	}
	a.raw.Family = syscall.AF_UNIX
	for i := range len(name) {
		a.raw.Path[i] = int8(name[i])
	}
	a.size = unsafe.Offsetof(a.raw.Path) + uintptr(len(name)) + 1
	if name[0] == '@' { // a name without a file
		a.raw.Path[0] = 0
		a.size--
	}
	return a
}

// connect is for a socket that does not block.
func (a *sockaddr) connect(fd int) syscall.Errno {
	if a.size == 0 {
		return syscall.EINVAL
	}
	for {
		_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)), a.size)
		if errno != syscall.EINTR {
			return errno
		}
	}
}

func epollControl(epoll, op, fd int, event *syscall.EpollEvent) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(event)), 0, 0)
	return errno
}

// epollWait does not wait.
func epollWait(epoll int, events []syscall.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func closeNow(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}
