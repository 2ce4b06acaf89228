package socket

import (
	"io"
	"net"
	"syscall"
)

// writer is the call that writes. Its fields belong to the call, between begin and
// done of its patience.
type writer struct {
	*patience
	one, all, file func(fd uintptr) (done bool) // tryWrite, tryWritev, trySend

	bytes []byte
	parts *net.Buffers
	n     int64 // written
	err   error

	source uintptr // descriptor of a file
	offset int64   // in it
	left   int64   // of it
}

func (s *stream) write(p []byte) (int, error) {
	w := &s.w
	defer w.done()
	if !w.begin() {
		return 0, s.c.tooLate("write")
	}
	w.bytes, w.n, w.err = p, 0, nil
	err := s.run("write", s.c.raw.Write, w.one, w.patience, &w.err)
	w.bytes = nil
	return int(w.n), err
}

func (s *stream) writev(v *net.Buffers) (int64, error) {
	w := &s.w
	defer w.done()
	if !w.begin() {
		return 0, s.c.tooLate("writev")
	}
	w.parts, w.n, w.err = v, 0, nil
	err := s.run("writev", s.c.raw.Write, w.all, w.patience, &w.err)
	w.parts = nil
	return w.n, err
}

func (w *writer) tryWrite(fd uintptr) bool {
	for len(w.bytes) > 0 {
		n, errno := sysWrite(fd, w.bytes)
		if n == 0 {
			return w.stopped(errno)
		}
		w.wrote(n)
		w.bytes = w.bytes[n:]
	}
	return true
}

func (w *writer) tryWritev(fd uintptr) bool {
	for {
		var vector [maxParts]syscall.Iovec
		n, size := gather(&vector, *w.parts)
		if n == 0 {
			consume(w.parts, 0)
			return true
		}
		wrote, errno := sysWritev(fd, &vector, n, size)
		if wrote == 0 {
			return w.stopped(errno)
		}
		w.wrote(wrote)
		consume(w.parts, wrote)
	}
}

// maxParts is how many parts one system call takes.
const maxParts = 16

// gather lists the first parts that are not empty.
func gather(v *[maxParts]syscall.Iovec, parts net.Buffers) (n, size int) {
	for _, p := range parts {
		if len(p) == 0 {
			continue
		}
		if n == maxParts {
			break
		}
		v[n].Base = &p[0]
		v[n].SetLen(len(p))
		n++
		size += len(p)
	}
	return n, size
}

func (w *writer) wrote(n int) {
	w.n += int64(n)
	w.progress()
}

// stopped handles a write of nothing.
func (w *writer) stopped(errno syscall.Errno) (done bool) {
	switch {
	case errno == 0:
		w.err = io.ErrUnexpectedEOF
	case errno != syscall.EAGAIN:
		w.err = errno
	case !w.wait():
		w.err = errTimeout
	default:
		return false
	}
	return true
}
