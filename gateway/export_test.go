package gateway

import (
	"context"
	"net/http"

	"headgate/upstream/uwsgi"
)

// SendPanicking gives a pool a request whose header panics when it is read, and
// returns that panic.
func (g *Gateway) SendPanicking(ctx context.Context, name string) (value any) {
	defer func() { value = recover() }()
	x := &exchange{r: (&http.Request{Method: http.MethodGet}).WithContext(ctx)}
	x.req = uwsgi.Request{Method: http.MethodGet, Host: "x", URI: "/", Header: panicking{}}
	_, _ = (&passTo{pool: g.current.Load().pools[name]}).send(x)
	return nil
}

type panicking struct{}

func (panicking) Range(func(name, value string) bool) { panic("oops") }
