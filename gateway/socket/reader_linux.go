package socket

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// reader is the call that reads. Its fields belong to the call, between begin and
// done of its patience.
type reader struct {
	*patience
	into, away func(fd uintptr) (done bool) // tryRead, tryDiscard

	lender Lender // nil: bytes is where to read to
	bytes  []byte
	n      int
	left   int64 // to discard
	err    error
}

// read reads into p, or a buffer of l, which is b then.
func (s *stream) read(p []byte, l Lender) (n int, b []byte, err error) {
	r := &s.r
	defer r.done()
	if !r.begin() {
		return 0, nil, s.c.tooLate("read")
	}
	r.bytes, r.lender, r.n, r.err = p, l, 0, nil
	err = s.run("read", s.c.raw.Read, r.into, r.patience, &r.err)
	b = r.bytes
	r.bytes, r.lender = nil, nil
	if err != nil {
		return 0, nil, err
	}
	return r.n, b[:r.n], nil
}

func (r *reader) tryRead(fd uintptr) bool {
	if r.lender != nil {
		r.bytes = r.lender.Get()
	}
	if len(r.bytes) == 0 {
		return true
	}
	n, errno := sysRead(fd, r.bytes)
	if n > 0 {
		r.n = n
		return true
	}
	if r.lender != nil {
		r.lender.Put(r.bytes)
		r.bytes = nil
	}
	return r.stopped(errno)
}

// stopped handles a read of nothing.
func (r *reader) stopped(errno syscall.Errno) (done bool) {
	switch {
	case errno == 0:
		r.err = io.EOF
	case errno != syscall.EAGAIN:
		r.err = errno
	case !r.wait():
		r.err = errTimeout
	default:
		return false
	}
	return true
}

// discard reads up to limit bytes for nobody, until an error.
func (s *stream) discard(limit int64) {
	r := &s.r
	defer r.done()
	if !r.begin() {
		return
	}
	r.left, r.err = limit, nil
	s.run("read", s.c.raw.Read, r.away, r.patience, &r.err)
}

// tryDiscard has the kernel throw away what it has: MSG_TRUNC copies nothing.
func (r *reader) tryDiscard(fd uintptr) bool {
	for r.left > 0 {
		n, _, errno := syscall.Syscall6(unix.SYS_RECVFROM, fd, 0, uintptr(min(r.left, 1<<20)), syscall.MSG_TRUNC, 0, 0)
		switch {
		case errno == syscall.EINTR:
		case errno != 0 || n == 0:
			return r.stopped(errno)
		default:
			r.left -= int64(n)
		}
	}
	return true
}
