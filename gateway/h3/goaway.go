package h3

import (
	"context"
	"time"

	"github.com/quic-go/quic-go"
)

// lastPackets is how long a connection without requests stays open for what is
// still on the wire.
const lastPackets = time.Second

// lastStream is above every stream that a client can open: a GOAWAY with it says
// only that the end comes (RFC 9114, 5.2).
const lastStream quic.StreamID = 1<<62 - 4

// Shutdown stops accepting, tells clients to send no more requests (GOAWAY), and
// returns nil when no request is left and the last packets had a second to
// arrive: clients do not close a connection by themselves. If ctx ends before,
// its error is returned. All connections are closed when it returns, the handlers
// of those requests that were cut may still run.
func (s *Server) Shutdown(ctx context.Context) error {
	s.StopAccepting()
	s.mu.Lock()
	s.draining = true
	conns := s.listLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.sayGoAway(false)
	}
	err := s.drain(ctx)
	s.closeConns()
	return err
}

// drain returns when no request has run for a while or nobody is connected.
func (s *Server) drain(ctx context.Context) error {
	tick := time.NewTicker(lastPackets / 4)
	defer tick.Stop()
	for idle := 0; s.Open() > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		s.rejectRest()
		if idle++; s.Running() > 0 {
			idle = 0
		}
		if idle > 4 {
			return nil
		}
	}
	return nil
}

// rejectRest tells every client which of its requests are the last, now that it
// had the time to hear that the end comes.
func (s *Server) rejectRest() {
	s.mu.Lock()
	conns := s.listLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.sayGoAway(true)
	}
}

func (s *Server) closeConns() {
	s.mu.Lock()
	conns := s.listLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.close(codeNoError, "")
	}
}

// Close ends every connection at once, closes the socket and returns after the
// last handler.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	udp := s.udp
	s.mu.Unlock()
	s.StopAccepting()
	s.closeConns()
	if udp != nil {
		s.dropSocket(udp)
	}
	s.serving.Wait()
	s.warm.Stop()
}

// sayGoAway tells the client that the end comes or, if it is final, which of its
// requests are not answered. A client that does not let us say it, because it
// gives the stream no room, has to see it for itself.
func (c *conn) sayGoAway(final bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rejecting || c.warned && !final {
		return
	}
	c.warned = true
	last := lastStream
	if final {
		last = c.next
		c.rejecting = true
	}
	id := appendVarint(nil, uint64(last))
	_ = c.control.TryWriteAll(append([]byte{frameGoAway, byte(len(id))}, id...))
}
