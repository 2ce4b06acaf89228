package gateway

import (
	"context"
	"sync/atomic"
)

// connection is what is remembered of a TLS connection from one request to the
// next. What it was shown in the handshake does not change, and to put it in words
// takes a quarter of the time that the whole request needs.
type connection struct {
	client atomic.Pointer[clientVars] // for the site that was asked for last
}

type connectionKey struct{}

// withConnection gives the requests of a TLS connection a place to remember.
func withConnection(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// connection is nil for one without TLS.
func (x *exchange) connection() *connection {
	c, _ := x.r.Context().Value(connectionKey{}).(*connection)
	return c
}
