package gateway

import (
	"context"
	"io"
	"math/rand/v2"

	"headgate/gateway/wire"
)

// mirror gives a copy of the request to another pool and throws its answer away. The
// original does not wait for it: when too many copies are under way, there is none.
type mirror struct {
	next    action
	to      *passTo
	percent int
}

func (a *mirror) serve(x *exchange) {
	if a.percent >= 100 || rand.IntN(100) < a.percent {
		if f := x.takeBody(); f != nil {
			x.fail(f)
			return
		}
		a.copy(x)
	}
	a.next.serve(x)
}

// copy starts the copy of x. A body that streams has none.
func (a *mirror) copy(x *exchange) {
	if x.body.stream != nil || x.upgradeWanted() != "" {
		return
	}
	y := x.detach(context.Background(), discarded{})
	y.route = y.gen.unrouted // whose errors have no pages
	release := func() {}
	if spool := x.body.spool; spool != nil {
		release = x.body.share()
		y.req.ContentLength, y.req.Body = spool.Len(), spool.NewReader()
		y.req.Rewind = func() (io.Reader, error) { return spool.NewReader(), nil }
	} else {
		y.req.Body, y.req.Rewind = x.req.Body, x.req.Rewind // none, or an empty one
	}
	y.body.taken = true
	started := x.d.g.background.start(func(ctx context.Context) {
		defer release()
		y.ctx, y.s = ctx, nowhere{ctx}
		y.aside(a.to)
	})
	if !started {
		release()
	}
}

// discarded is an answer that nobody wants.
type discarded struct{}

// WriteHead implements wire.Answer, as do the methods below.
func (discarded) WriteHead(int, wire.Fields, int64) {}

func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) Flush() error                { return nil }
