package uwsgi

import (
	"io"
	"os"
	"syscall"
)

// receive reads what has come to a socket that does not block. Nothing and no
// error: nothing has come.
func receive(fd int, p []byte) (int, error) {
	for {
		n, err := recv(fd, p)
		switch {
		case err == 0 && n == 0 && len(p) > 0:
			return 0, io.EOF
		case err == 0:
			return n, nil
		case err == syscall.EAGAIN:
			return 0, nil
		case err != syscall.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// transmit writes what a socket takes that does not block.
func transmit(fd int, p []byte) (int, error) {
	for {
		n, err := send(fd, p)
		switch err {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}
