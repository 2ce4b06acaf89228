//go:build !linux || !(amd64 || arm64 || riscv64 || loong64) || race

package uwsgi

import "syscall"

func recv(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(fd, p)
	return n, errnoOf(err)
}

func send(fd int, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(fd, p)
	return n, errnoOf(err)
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	return err.(syscall.Errno)
}

// sockaddr is the address of a unix socket.
type sockaddr struct{ name string }

func unixAddress(name string) sockaddr { return sockaddr{name} }

// connect is for a socket that does not block.
func (a *sockaddr) connect(fd int) syscall.Errno {
	for {
		err := errnoOf(syscall.Connect(fd, &syscall.SockaddrUnix{Name: a.name}))
		if err != syscall.EINTR {
			return err
		}
	}
}

func closeNow(fd int) error { return syscall.Close(fd) }
