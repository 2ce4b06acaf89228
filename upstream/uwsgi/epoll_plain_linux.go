//go:build linux && (!(amd64 || arm64 || riscv64 || loong64) || race)

package uwsgi

import "syscall"

func epollControl(epoll, op, fd int, event *syscall.EpollEvent) syscall.Errno {
	return errnoOf(syscall.EpollCtl(epoll, op, fd, event))
}

// epollWait does not wait.
func epollWait(epoll int, events []syscall.EpollEvent) int {
	n, err := syscall.EpollWait(epoll, events, 0)
	if err != nil {
		return 0
	}
	return n
}
