package h3

import (
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"headgate/gateway/goroutines"
	"headgate/gateway/wire"
)

// Server serves HTTP/3 on one UDP socket at a time. Its methods may be called by
// anybody at any time.
type Server struct {
	log      *slog.Logger
	tls      *tls.Config // what clients are offered
	handler  func(ConnInfo) wire.Handler
	settings atomic.Pointer[Settings]
	warm     goroutines.Warm
	streams  sync.Pool // *stream
	dates    wire.Dates

	shaking  atomic.Int64 // connections whose handshake is not done
	open     atomic.Int64
	accepted atomic.Uint64
	running  atomic.Int64
	clock    atomic.Int64 // when sweep ran last, in nanoseconds: for what may be coarse

	accepting sync.WaitGroup
	serving   sync.WaitGroup // every connection, with its requests

	listening sync.Mutex // held by Listen, Close

	mu       sync.Mutex // guards the fields below
	udp      *quic.Transport
	listener *quic.EarlyListener // nil: takes no connections
	started  *quic.EarlyListener // the last one that Start has seen
	conns    map[*conn]struct{}
	sweeper  *time.Timer // nil until there was a connection
	draining bool
	closed   bool
}

// NewServer returns a server with the default settings that does not listen yet.
func NewServer(o Setup) *Server {
	s := &Server{log: o.Log, tls: protocolsOf(o.TLS), handler: o.Handler, conns: make(map[*conn]struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.Configure(Settings{})
	return s
}

// Configure sets the limits, for the next request of every connection; what a
// client is told in the handshake (MaxStreams, IdleTimeout) holds for the next
// connection.
func (s *Server) Configure(settings Settings) {
	settings = settings.withDefaults()
	s.settings.Store(&settings)
}

// Accepting reports whether new connections are taken: Listen has succeeded, and
// nobody has called StopAccepting, Shutdown or Close since.
func (s *Server) Accepting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener != nil
}

// Addr returns the address of the socket, nil if there is none.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.udp == nil {
		return nil
	}
	return s.udp.Conn.LocalAddr()
}

// Open returns the number of connections there are.
func (s *Server) Open() int64 { return s.open.Load() }

// Accepted returns the number of connections there have ever been.
func (s *Server) Accepted() uint64 { return s.accepted.Load() }

// Running returns the number of requests that handlers answer.
func (s *Server) Running() int64 { return s.running.Load() }

// enter makes c one of the connections, and reports whether it is to be served.
func (s *Server) enter(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	if len(s.conns) == 1 {
		s.armLocked()
	}
	c.idleSince = s.clock.Load()
	return true
}

func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) listLocked() []*conn {
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// isDraining reports whether clients are to begin no more requests.
func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}
