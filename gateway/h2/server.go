package h2

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"headgate/gateway/goroutines"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// Server serves HTTP/2 connections with the same settings. Its methods may be
// called by anybody at any time.
type Server struct {
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	warm     goroutines.Warm
	buffers  buffers
	streams  sync.Pool // *stream
	dates    wire.Dates

	mu       sync.Mutex // guards the fields below
	conns    map[*conn]struct{}
	draining bool
	closed   bool
	none     chan struct{} // closed when conns is empty, if somebody waits
}

// NewServer returns a server with the default settings. log may be nil. It has no
// goroutines but those of its connections, and idle ones that Close ends.
func NewServer(log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{log: log, conns: make(map[*conn]struct{})}
	s.Configure(Settings{})
	return s
}

// Configure sets the limits, for the next request of every connection; what a
// client is told (MaxStreams) holds for the next connection.
func (s *Server) Configure(settings Settings) {
	settings = settings.withDefaults()
	s.settings.Store(&settings)
}

// ServeConn speaks HTTP/2 on c, which is sock or a TLS connection above it whose
// handshake is done, until the connection has ended and is closed and every
// handler has returned. first is what has been read of it already.
func (s *Server) ServeConn(c net.Conn, sock *socket.Conn, first []byte, h wire.Handler) {
	v := newConn(s, c, sock, h)
	if !s.enter(v) {
		sock.Close()
		return
	}
	defer s.leave(v)
	v.serve(first)
}

// enter reports whether c is to be served.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	c.draining = s.draining
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

// Shutdown tells every client to begin no more streams (GOAWAY), so that none of
// those that it has begun is lost, and closes each connection when its streams
// have ended. It returns when all are closed or with ctx's error, and then the
// rest goes on until Close. Connections that come later end in the same way.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	conns := s.listLocked()
	none := s.noneLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
	select {
	case <-none:
		s.warm.Dismiss()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts every connection. It does not wait for the handlers: that is for
// those who have called ServeConn.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	conns := s.listLocked()
	s.mu.Unlock()
	for _, c := range conns {
		c.cut(errServerClosed)
	}
	s.warm.Stop()
}

func (s *Server) listLocked() []*conn {
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// noneLocked returns a channel that is closed when there is no connection.
func (s *Server) noneLocked() <-chan struct{} {
	if len(s.conns) == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.none == nil {
		s.none = make(chan struct{})
	}
	return s.none
}
