package h3

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// maxUnproven is how many handshakes may be under way before clients have to
// prove that their address is theirs (RFC 9000, 8.1.2), which costs them a round
// trip: a flood with false addresses then costs us no TLS.
const maxUnproven = 512

// handshake is one that has begun and counts until it ends, one way or the other.
type handshake struct {
	s     *Server
	ended atomic.Bool
}

type handshakeKey struct{}

// beginHandshake is called for each new connection.
func (s *Server) beginHandshake(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	h := &handshake{s: s}
	s.shaking.Add(1)
	ctx = context.WithValue(ctx, handshakeKey{}, h)
	context.AfterFunc(ctx, h.end) // ends with the connection
	return ctx, nil
}

// endHandshake is called when that of a connection is done.
func endHandshake(q *quic.Conn) {
	if h, ok := q.Context().Value(handshakeKey{}).(*handshake); ok {
		h.end()
	}
}

func (h *handshake) end() {
	if h.ended.CompareAndSwap(false, true) {
		h.s.shaking.Add(-1)
	}
}

// suspicious reports whether a client has to prove its address first.
func (s *Server) suspicious(net.Addr) bool { return s.shaking.Load() >= maxUnproven }
