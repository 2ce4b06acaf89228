package h1

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// Settings may change while connections are served. The zero value of a time is
// no limit.
type Settings struct {
	HeadBytes     int           // of a request's head, read at most; more is a Refusal with 431 or 414; 0: 64 KiB
	Fields        int           // in a request's head at most; more is a Refusal with 431; 0: 100
	HeaderTimeout time.Duration // from the first byte of a head to its last; of the first one from ServeConn on
	IdleTimeout   time.Duration // between requests
}

// Server speaks HTTP/1.1 on the connections that it is given. Its methods may be
// called by anybody.
type Server struct {
	log      *slog.Logger
	settings atomic.Pointer[Settings]
	draining atomic.Bool // Shutdown was called; written with mu held
	dates    wire.Dates
	rooms    sync.Pool // of *room
	copies   sync.Pool // of *[copyBytes]byte

	mu     sync.Mutex // guards the fields below
	conns  map[*conn]struct{}
	closed bool
	empty  chan struct{} // closed when conns is empty; nil when nobody waits
}

// NewServer returns a server with the zero Settings. log hears of panics; nil is
// silent.
func NewServer(log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{log: log, conns: make(map[*conn]struct{})}
	s.Configure(Settings{})
	return s
}

// Configure changes the settings. Every connection takes them over when it waits
// for its next request.
func (s *Server) Configure(o Settings) {
	if o.HeadBytes <= 0 {
		o.HeadBytes = 64 << 10
	}
	if o.Fields <= 0 {
		o.Fields = 100
	}
	s.settings.Store(&o)
}

// ServeConn serves c, which is sock itself or TLS above it with its handshake
// done, and returns when the connection has ended and is closed. first is what has
// been read from it already. A connection that was hijacked is the hijacker's, and
// ServeConn returns when Serve has.
//
// A client that begins with the preface of HTTP/2 in clear text (RFC 9113, 3.3)
// makes it return all that was read so far, and the connection is the caller's.
// Otherwise preface is nil.
func (s *Server) ServeConn(c net.Conn, sock *socket.Conn, first []byte, h wire.Handler) (preface []byte) {
	n := newConn(s, c, sock, h)
	if !s.add(n) {
		sock.Close()
		return nil
	}
	defer s.remove(n)
	return n.serve(first)
}

// add reports whether c may be served.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// remove may be called again for a connection that was hijacked.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// freshTime is how long a connection that has said nothing yet is waited for by
// Shutdown: its request may be on the way.
const freshTime = 5 * time.Second

// lookTime is how often Shutdown looks whose time that was.
const lookTime = 50 * time.Millisecond

// Shutdown closes connections that are idle and lets the others end with the
// answer that they give, which says so. It returns nil when there are no more
// connections, and ctx's error if that is over before. Connections that are given
// to ServeConn from now on serve one request. Those that were hijacked do not
// count. A server that was shut down stays so.
func (s *Server) Shutdown(ctx context.Context) error {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		empty := s.drain()
		select {
		case <-empty:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain wakes what waits for a request, and returns what is closed when there are
// no connections.
func (s *Server) drain() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	if len(s.conns) == 0 {
		none := make(chan struct{})
		close(none)
		return none
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	for c := range s.conns {
		c.wake()
	}
	return s.empty
}

// Close ends all connections at once, those to come too. It does not wait for
// ServeConn to return.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.draining.Store(true)
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.kill()
	}
}
