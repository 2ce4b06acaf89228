package h1

import (
	"io"
	"os"

	"headgate/gateway/wire"
)

var _ wire.FileSender = (*stream)(nil)

// SendFile implements wire.FileSender: without a copy in clear text, if the answer
// has a length. A file that ends too soon is io.ErrUnexpectedEOF and ends the answer,
// as other errors do.
func (s *stream) SendFile(f *os.File, offset, n int64) (int64, error) {
	a := &s.answer
	switch {
	case s.aborted.Load():
		return 0, wire.ErrAborted
	case a.err != nil:
		return 0, a.err
	case !a.begun || s.hijacked:
		return 0, errNoHead
	case a.noBody || n <= 0:
		return max(n, 0), nil
	case a.length >= 0 && n > a.length-a.wrote:
		return 0, wire.ErrTooLong
	case s.c.secure || a.chunks || n < sendBytes:
		return s.copyFile(f, offset, n)
	}
	return s.sendFile(f, offset, n)
}

// sendBytes is from how many bytes on a file is sent by the system: below it takes
// more time than a read and a write.
const sendBytes = 32 << 10

// sendFile sends what is held back and the file behind it.
func (s *stream) sendFile(f *os.File, offset, n int64) (int64, error) {
	a := &s.answer
	s.sealAlone()
	head := int64(len(a.out))
	sent, err := s.c.sock.SendFile(a.out, f, offset, n)
	a.out = a.out[:0]
	sent = max(sent-head, 0)
	a.wrote += sent
	if err != nil {
		a.err = err
		s.endLife()
	}
	return sent, err
}

// sealAlone seals the head, after which nobody else writes.
func (s *stream) sealAlone() {
	a := &s.answer
	if a.sent {
		return
	}
	if a.shared {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	s.seal()
}

// copyFile reads the file and writes it.
func (s *stream) copyFile(f *os.File, offset, n int64) (int64, error) {
	buf := s.c.srv.takeCopy()
	defer s.c.srv.copies.Put(buf)
	for done := int64(0); done < n; {
		m, err := f.ReadAt(buf[:min(n-done, copyBytes)], offset+done)
		if m == 0 {
			return done, s.breakOff(err)
		}
		if s.aborted.Load() {
			return done, wire.ErrAborted
		}
		if _, err := s.write(buf[:m]); err != nil {
			return done, err
		}
		done += int64(m)
	}
	return n, nil
}

// breakOff ends an answer of which there is no more. What there is goes out before.
func (s *stream) breakOff(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if gone := s.flush(); gone != nil {
		return gone
	}
	s.answer.err = err
	s.endLife()
	return err
}

// copyBytes is how much is in memory of a file that is copied: four records of TLS.
const copyBytes = 4 * tlsRecord

func (s *Server) takeCopy() *[copyBytes]byte {
	if b, ok := s.copies.Get().(*[copyBytes]byte); ok {
		return b
	}
	return new([copyBytes]byte)
}
