package uwsgi

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// sender sends the rest of a request's body while the response is being read.
type sender struct {
	x      *exchange
	body   io.Reader
	left   int64  // only run touches it
	stuck  bool   // likewise: the member takes nothing and says nothing
	deaf   bool   // likewise: nothing more is to be sent
	atHand bool   // a Read of body never waits for a client
	stop   func() // Request.StopBody

	mu       sync.Mutex // guards the three below
	begun    bool       // body has been read from
	reading  bool       // a Read of body is going on
	stopping bool       // no more bytes are wanted: no Read begins any more

	writing sync.Mutex // held while the kernel is given bytes; guards reset
	reset   bool       // a write ate the connection's ECONNRESET

	whole   atomic.Bool // every byte has been handed to the kernel
	bodyErr atomic.Pointer[error]
	done    chan struct{} // closed when body is not read any more
}

// errShortBody says that a body ended before its length.
var errShortBody = errors.New("it ended before its length")

// run sends the body. A member that does not want it any more is no failure: its
// answer is still to be read (early answers). When the last byte is out the
// clock of the response starts.
func (s *sender) run() {
	defer close(s.done)
	if s.released() && !s.copy() {
		return
	}
	s.whole.Store(s.left == 0)
	if s.stuck { // the response's time is over too: neither direction has moved
		s.x.conn.armRead(time.Millisecond)
		return
	}
	s.x.conn.armRead(s.x.t.responseTimeout)
}

// released waits until the body need not be held back any more.
func (s *sender) released() bool {
	if !s.x.t.holds {
		return true
	}
	err := s.x.awaitTaken()
	s.stuck = err != nil && isTimeout(err)
	return err == nil
}

// copy hands the body to the kernel as far as the member takes it. It returns
// false when the body could not be read.
func (s *sender) copy() bool {
	if r, ok := s.body.(*spoolReader); ok && !s.copySpool(r) {
		return false
	}
	out := s.x.t.buffers.takeOut()
	defer s.x.t.buffers.putOut(out)
	for s.left > 0 && !s.deaf {
		n, err := s.read(out.b[:min(int64(len(out.b)), s.left)])
		if err == errStopped || !s.write(out.b[:n]) {
			break
		}
		if s.left -= int64(n); err != nil && s.left > 0 {
			return s.unreadable(err)
		}
	}
	return true
}

// unreadable notes why the body could not be read. It returns false.
func (s *sender) unreadable(err error) bool {
	if err == io.EOF {
		err = errShortBody
	}
	s.bodyErr.Store(&err)
	s.x.conn.interrupt() // the reader says so
	return false
}

// errStopped says that no more bytes are wanted.
var errStopped = errors.New("stopped")

// read reads from the body; 0 bytes without an error are tried again.
func (s *sender) read(p []byte) (n int, err error) {
	for range 100 {
		if !s.enter() {
			return 0, errStopped
		}
		n, err = s.body.Read(p)
		if !s.leave() {
			return 0, errStopped
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (s *sender) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = !s.stopping
	s.begun = s.begun || s.reading
	return s.reading
}

// touched reports whether body has been read from; after halt that does not change.
func (s *sender) touched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

func (s *sender) leave() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	return !s.stopping
}

// write hands p to the kernel and reports whether it took everything. Time runs
// out only when neither direction moves.
func (s *sender) write(p []byte) bool {
	for len(p) > 0 {
		n, err := s.push(p)
		if p = p[n:]; err != nil && len(p) > 0 && !s.goesOn(n, err) {
			return false
		}
	}
	return true
}

// goesOn reports whether an error of a write of which n bytes went out is none.
func (s *sender) goesOn(n int, err error) bool {
	if !isTimeout(err) || s.x.conn.interrupted() {
		return false
	}
	s.stuck = n == 0 && !s.x.moving()
	return !s.stuck && !s.x.conn.secure // TLS does not survive a timeout
}

func (s *sender) push(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.x.conn.armWrite(s.x.t.responseTimeout)
	n, err := s.x.conn.Write(p)
	s.reset = s.reset || errors.Is(err, syscall.ECONNRESET)
	return n, err
}

// sawReset reports whether the end that the reader has met was a reset. It ends
// the sending: there is nobody to send to.
func (s *sender) sawReset() bool {
	s.x.conn.interrupt()
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.reset
}

// halt stops sending, closes nothing, and waits until body is not read any more:
// always if a Read of it returns without a client's help, by StopBody or because
// the body is at hand, and otherwise if no Read is going on.
func (s *sender) halt() {
	if s.over() {
		return // the connection may be another exchange's by now
	}
	s.x.conn.interrupt() // ends a Write
	s.mu.Lock()
	s.stopping = true
	blocked := s.reading && !s.atHand
	s.mu.Unlock()
	if blocked {
		if s.stop == nil {
			return
		}
		s.stop()
	}
	<-s.done
}

// over reports whether body is not read any more.
func (s *sender) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
