package socket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// maxSend is how much one system call takes of a file: a client that takes a long
// one as fast as it comes does not keep the end of the connection waiting.
const maxSend = 2 << 20

// sendFile holds the descriptor of f, so that it cannot become that of another file.
// It returns errUnable, or its error, with what has been written of head and file.
func (s *stream) sendFile(head []byte, f *os.File, offset, n int64) (sent int64, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	held := raw.Control(func(fd uintptr) { sent, err = s.sendFrom(head, fd, offset, n) })
	if held != nil {
		return 0, held
	}
	return sent, err
}

func (s *stream) sendFrom(head []byte, from uintptr, offset, n int64) (int64, error) {
	w := &s.w
	defer w.done()
	if !w.begin() {
		return 0, s.c.tooLate("sendfile")
	}
	w.bytes, w.source, w.offset, w.left, w.n, w.err = head, from, offset, n, 0, nil
	err := s.run("sendfile", s.c.raw.Write, w.file, w.patience, &w.err)
	w.bytes = nil
	if w.err == io.ErrUnexpectedEOF || w.err == errUnable { // not of the connection
		err = w.err
	}
	return w.n, err
}

func (s *stream) trySend(fd uintptr) bool {
	w := &s.w
	for len(w.bytes) > 0 {
		n, errno := sysSendMore(fd, w.bytes)
		if n == 0 {
			return w.stopped(errno)
		}
		w.wrote(n)
		w.bytes = w.bytes[n:]
	}
	for w.left > 0 {
		if w.err = s.ended(); w.err != nil {
			return true
		}
		n, errno := sysSendfile(fd, w.source, &w.offset, int(min(w.left, maxSend)))
		switch {
		case n > 0:
			w.wrote(n)
			w.left -= int64(n)
		case errno == 0:
			w.err = io.ErrUnexpectedEOF // of the file
			return true
		case errno == syscall.EINVAL, errno == syscall.ENOSYS, errno == syscall.EOPNOTSUPP:
			w.err = errUnable
			return true
		default:
			return w.stopped(errno)
		}
	}
	return true
}

// ended is why a call that could go on for long does not.
func (s *stream) ended() error {
	switch {
	case s.c.closed.Load():
		return net.ErrClosed
	case !s.w.inTime():
		return errTimeout
	}
	return nil
}
