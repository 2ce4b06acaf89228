package uwsgi

import (
	"errors"
	"io"
	"syscall"
)

// copySpool hands a body that was taken in to the kernel without a copy: from its
// memory, or from its file by the kernel alone. What it leaves in s.left is for
// copy. It returns false when the body could not be read.
func (s *sender) copySpool(r *spoolReader) bool {
	for s.left > 0 && s.enter() {
		p, err := r.b.lend(r.at)
		wanted := s.leave()
		switch {
		case err != nil:
			return s.unreadable(err)
		case len(p) == 0 && r.at >= r.b.size:
			return s.unreadable(io.EOF)
		case len(p) == 0:
			return s.copyFile(r)
		}
		p = p[:min(int64(len(p)), s.left)]
		ok := wanted && s.write(p)
		r.b.giveBack()
		if !ok {
			s.deaf = true
			return true
		}
		r.at += int64(len(p))
		s.left -= int64(len(p))
	}
	return true
}

// copyFile is copySpool for a file.
func (s *sender) copyFile(r *spoolReader) bool {
	f := s.x.conn.file
	if f == nil {
		return true
	}
	for s.left > 0 {
		if !s.enter() || !s.leave() {
			s.deaf = true
			return true
		}
		n, err := s.pushFile(f, r)
		r.at += int64(n)
		s.left -= int64(n)
		var unreadable *SpoolError
		switch {
		case err == nil:
		case errors.Is(err, errors.ErrUnsupported):
			return true
		case errors.As(err, &unreadable):
			return s.unreadable(err)
		case s.left > 0 && !s.goesOn(n, err):
			s.deaf = true
			return true
		}
	}
	return true
}

// pushFile is push for a part of a file.
func (s *sender) pushFile(f *fileConn, r *spoolReader) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.x.conn.armWrite(s.x.t.responseTimeout)
	n, err := f.sendFile(r.b, r.at, s.left)
	s.reset = s.reset || errors.Is(err, syscall.ECONNRESET)
	return n, err
}
