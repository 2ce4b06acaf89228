package h3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"

	"github.com/quic-go/quic-go"
)

// nextProto is the name of HTTP/3 in ALPN (RFC 9114, 3.1).
const nextProto = "h3"

// maxUniStreams is how many streams a client may open that go one way; it needs
// three (RFC 9114, 6.2).
const maxUniStreams = 8

// Flow control: how much of what clients send is kept when nobody reads it. The
// windows of a connection whose bodies are read at once grow from the first to
// the second of each pair.
const (
	streamWindow, maxStreamWindow = 256 << 10, 2 << 20
	connWindow, maxConnWindow     = 512 << 10, 4 << 20
)

var (
	errListening = errors.New("h3: it listens already")
	errClosed    = errors.New("h3: server closed")
)

// Listen makes s accepting at an address. Clients can shake hands from now on;
// what they ask waits until Start. When there is a socket already, after
// StopAccepting, that one is used again if it can be, and its connections go on;
// the address is then not looked at. It is an error to listen when s listens, or
// after Shutdown or Close.
func (s *Server) Listen(address string) error {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	udp := s.udp
	err := s.mayListenLocked()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if udp != nil { // it was turned off and is wanted again: its connections go on
		if s.listenOn(udp) == nil {
			return nil
		}
		s.dropSocket(udp)
	}
	pc, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	if udp, err = s.newTransport(pc); err == nil {
		err = s.listenOn(udp)
	}
	if err != nil {
		if udp != nil {
			_ = udp.Close()
		}
		_ = pc.Close()
	}
	return err
}

func (s *Server) mayListenLocked() error {
	switch {
	case s.closed, s.draining:
		return errClosed
	case s.listener != nil:
		return errListening
	}
	return nil
}

// newTransport speaks QUIC on pc, which has to be a *net.UDPConn as it is: then
// quic-go reads packets in batches (recvmmsg) and sends them so (UDP_SEGMENT).
func (s *Server) newTransport(pc net.PacketConn) (*quic.Transport, error) {
	t := &quic.Transport{Conn: pc, ConnContext: s.beginHandshake, VerifySourceAddress: s.suspicious, StatelessResetKey: new(quic.StatelessResetKey)}
	_, err := rand.Read(t.StatelessResetKey[:])
	return t, err
}

// listenOn takes new connections on a socket.
func (s *Server) listenOn(udp *quic.Transport) error {
	l, err := udp.ListenEarly(s.tls, s.quicConfig())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayListenLocked(); err != nil {
		_ = l.Close()
		return err
	}
	s.udp, s.listener = udp, l
	return nil
}

func (s *Server) quicConfig() *quic.Config {
	set := s.settings.Load()
	return &quic.Config{
		GetConfigForClient: func(*quic.ClientInfo) (*quic.Config, error) {
			c := s.quicConfig()
			c.GetConfigForClient = nil
			return c, nil
		},
		Allow0RTT:                      false, // a replay of early data must not reach a worker
		MaxIdleTimeout:                 set.IdleTimeout,
		MaxIncomingStreams:             int64(set.MaxStreams),
		MaxIncomingUniStreams:          maxUniStreams,
		RequireStreamCreditRelease:     true, // a stream that was reset counts until its handler has returned
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         maxStreamWindow,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     maxConnWindow,
	}
}

// Start serves the connections that come, from now on or since Listen. It does
// not block, and does nothing if s does not accept or has been started.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.listener
	if l == nil || s.started == l {
		return
	}
	s.started = l
	s.accepting.Go(func() { s.accept(l) })
}

func (s *Server) accept(l *quic.EarlyListener) {
	for {
		q, err := l.Accept(context.Background())
		if err != nil {
			return // closed
		}
		s.accepted.Add(1)
		s.open.Add(1)
		s.serving.Go(func() {
			defer s.open.Add(-1)
			s.serve(q)
		})
	}
}

// StopAccepting takes no new connections. Those there are go on, and the socket
// stays open for them. It does nothing if s does not accept.
func (s *Server) StopAccepting() {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	l := s.listener
	s.listener = nil
	s.mu.Unlock()
	if l != nil {
		_ = l.Close()
		s.accepting.Wait()
	}
}

// dropSocket closes the socket and every connection on it.
func (s *Server) dropSocket(udp *quic.Transport) {
	s.mu.Lock()
	if s.udp == udp {
		s.udp = nil
	}
	s.mu.Unlock()
	_ = udp.Close()
	_ = udp.Conn.Close()
}

// protocolsOf returns c for HTTP/3 alone.
func protocolsOf(c *tls.Config) *tls.Config {
	_, _ = c.DecryptTicket(nil, tls.ConnectionState{}) // makes the ticket keys, which the clones then share
	c = c.Clone()
	c.NextProtos = []string{nextProto}
	if get := c.GetConfigForClient; get != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := get(hello)
			if chosen == nil || err != nil {
				return chosen, err
			}
			return protocolsOf(chosen), nil
		}
	}
	return c
}
