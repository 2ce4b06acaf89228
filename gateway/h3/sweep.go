package h3

import (
	"time"

	"github.com/quic-go/quic-go"
)

// sweep looks after what has taken too long on any connection: a timer for each
// would cost more than the requests do.
func (s *Server) sweep() {
	now := time.Now().UnixNano()
	s.clock.Store(now)
	set, every := s.settings.Load(), s.sweepEvery()
	s.mu.Lock()
	conns := s.listLocked()
	if len(conns) > 0 && !s.closed {
		s.sweeper.Reset(every)
	}
	s.mu.Unlock()
	for _, c := range conns { // what counts from the last sweep began up to one period later
		c.sweep(now-int64(set.IdleTimeout+every), now-int64(set.HeaderTimeout+every))
	}
}

// armLocked begins to sweep, now that there is a connection.
func (s *Server) armLocked() {
	s.clock.Store(time.Now().UnixNano())
	if s.sweeper == nil {
		s.sweeper = time.AfterFunc(s.sweepEvery(), s.sweep)
	} else {
		s.sweeper.Reset(s.sweepEvery())
	}
}

// sweepEvery is how exact a timeout is.
func (s *Server) sweepEvery() time.Duration {
	set := s.settings.Load()
	return min(max(min(set.IdleTimeout, set.HeaderTimeout)/8, 5*time.Millisecond), 2*time.Second)
}

// sweep closes c if it has been idle since before idle, and ends those requests
// whose heads have been awaited since before head.
func (c *conn) sweep(idle, head int64) {
	var late []*quic.Stream
	c.mu.Lock()
	expired := c.running == 0 && c.idleSince < idle
	for x := c.first; x != nil; x = x.after {
		if t := x.awaited.Load(); t != 0 && t < head {
			late = append(late, x.q)
		}
	}
	c.mu.Unlock()
	if expired {
		c.close(codeNoError, "idle timeout")
	}
	for _, q := range late {
		q.CancelRead(quic.StreamErrorCode(codeRequestIncomplete))
	}
}
