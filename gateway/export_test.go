package gateway

import (
	"context"
	"net/http"
	"net/netip"

	"headgate/gateway/wire"
	"headgate/upstream/uwsgi"
)

// SendPanicking gives a pool a request whose header panics when it is read, and
// returns that panic.
func (g *Gateway) SendPanicking(ctx context.Context, name string) (value any) {
	defer func() { value = recover() }()
	x := &exchange{ctx: ctx, r: &wire.Request{Method: http.MethodGet, Major: 1, Minor: 1}}
	x.req = uwsgi.Request{Method: http.MethodGet, Host: "x", URI: "/", Header: panicking{}}
	_, _ = (&passTo{pool: g.current.Load().pools[name]}).send(x)
	return nil
}

type panicking struct{}

func (panicking) Range(func(name, value string) bool) { panic("oops") }

// Connection answers requests as if a client had connected to the first listener.
func (g *Gateway) Connection(client netip.AddrPort) wire.Handler {
	return g.doors[0].newConnection(client, netip.AddrPort{}, nil)
}

// FindRequestID finds the id of a request in a line of an app.
func FindRequestID(line []byte) string { return findRequestID(line) }
