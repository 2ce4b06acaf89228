package h3

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"headgate/gateway/wire"
)

// conn is one connection.
type conn struct {
	s       *Server
	q       *quic.Conn
	h       wire.Handler     // nil until the handshake is done
	control *quic.SendStream // ours: settings and GOAWAY
	wishes  atomic.Bool      // the client says priorities

	requests sync.WaitGroup
	uni      uniStreams

	mu        sync.Mutex // guards the fields below
	first     *stream    // of those whose requests run
	running   int
	idleSince int64         // of the server's clock
	next      quic.StreamID // no request has begun on it, and on those above
	warned    bool          // the client was told that the end comes
	rejecting bool          // it was told which requests are not answered

	ending finishing
}

// serve speaks HTTP/3 on q until it has ended and every handler has returned.
func (s *Server) serve(q *quic.Conn) {
	c := &conn{s: s, q: q}
	if err := c.open(); err != nil || !s.enter(c) {
		c.close(codeNoError, "")
		return
	}
	defer s.leave(c)
	select {
	case <-q.HandshakeComplete():
	case <-q.Context().Done():
		return
	}
	endHandshake(q)
	state := q.ConnectionState().TLS
	c.h = s.handler(ConnInfo{Remote: addrPort(q.RemoteAddr()), Local: addrPort(q.LocalAddr()), TLS: &state})
	if s.isDraining() {
		c.sayGoAway(false)
	}
	c.requests.Go(c.acceptUni)
	c.accept()
	c.requests.Wait()
}

// addrPort returns the address of a socket, IPv4 as such.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// accept takes the requests, each on a stream of its own.
func (c *conn) accept() {
	for {
		q, err := c.q.AcceptStream(context.Background())
		if err != nil { // the connection has ended
			c.s.log.Debug("HTTP/3 connection ended", "client", c.q.RemoteAddr(), "err", err)
			return
		}
		if x := c.begin(q); x != nil {
			c.s.warm.Do(x)
			continue
		}
		q.CancelRead(quic.StreamErrorCode(codeRequestRejected))
		q.CancelWrite(quic.StreamErrorCode(codeRequestRejected))
		q.ReleaseStreamCredit()
	}
}

// begin counts a request, unless it comes too late.
func (c *conn) begin(q *quic.Stream) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rejecting {
		return nil
	}
	x := c.s.getStream(c, q)
	c.requests.Add(1)
	c.s.running.Add(1)
	c.running++
	c.next = q.StreamID() + 4
	if x.after = c.first; x.after != nil {
		x.after.before = x
	}
	c.first = x
	return x
}

// end takes x out of the requests that run.
func (c *conn) end(x *stream) {
	c.mu.Lock()
	if x.before != nil {
		x.before.after = x.after
	} else {
		c.first = x.after
	}
	if x.after != nil {
		x.after.before = x.before
	}
	if c.running--; c.running == 0 {
		c.idleSince = c.s.clock.Load()
	}
	c.mu.Unlock()
	c.s.running.Add(-1)
	c.s.putStream(x)
	c.requests.Done()
}

// close ends the connection at once.
func (c *conn) close(why code, reason string) {
	_ = c.q.CloseWithError(quic.ApplicationErrorCode(why), reason) // it has ended already, or does now
}

// fail ends the connection because of what the client has done.
func (c *conn) fail(err *connError) {
	c.s.log.Debug("HTTP/3 connection broken off", "client", c.q.RemoteAddr(), "err", err)
	c.close(err.code, err.why)
}
