package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"time"

	"headgate/gateway/wire"
	"headgate/upstream/uwsgi"
)

// nowhere is the stream of a request whose client does not wait for its answer, or
// is somebody within the gateway. Its answer goes to the exchange's own w.
type nowhere struct{ ctx context.Context }

// Context implements wire.Stream, as do the methods below.
func (n nowhere) Context() context.Context { return n.ctx }

func (nowhere) Read([]byte) (int, error)          { return 0, io.EOF }
func (nowhere) SetReadTimeout(time.Duration)      {}
func (nowhere) StopRead()                         {}
func (nowhere) Unread() bool                      { return false }
func (nowhere) Interim(int, wire.Fields) error    { return nil }
func (nowhere) WriteHead(int, wire.Fields, int64) {}
func (nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (nowhere) Flush() error                      { return nil }
func (nowhere) SetWriteTimeout(time.Duration)     {}
func (nowhere) CloseAfter()                       {}
func (nowhere) Abort()                            {}
func (nowhere) Hijack() (net.Conn, []byte, error) { return nil, nil, wire.ErrNoHijack }

// captured is an answer that is wanted by the gateway itself: its head, and a bounded
// part of its body.
type captured struct {
	status int
	fields wire.Fields
	body   []byte
	most   int
	over   bool // the body has more
}

// WriteHead implements wire.Answer.
func (c *captured) WriteHead(status int, f wire.Fields, _ int64) {
	c.status, c.fields = status, slices.Clone(f)
}

// Write implements wire.Answer.
func (c *captured) Write(p []byte) (int, error) {
	n := min(len(p), c.most-len(c.body))
	c.body = append(c.body, p[:n]...)
	c.over = c.over || n < len(p)
	return len(p), nil
}

// Flush implements wire.Answer.
func (c *captured) Flush() error { return nil }

// detach returns an exchange for the same request, in the name of the same client,
// that outlives x and is served aside: without a body, without a line in the log, as
// long as ctx lives. Its answer goes to w.
func (x *exchange) detach(ctx context.Context, w wire.Answer) *exchange {
	r := *x.r
	r.Fields = slices.Clone(x.r.Fields)
	r.ContentLength = 0
	y := &exchange{
		d: x.d, conn: x.conn, gen: x.gen, ctx: ctx, tls: x.tls, s: nowhere{ctx}, r: &r, w: w,
		site: x.site, route: x.route, id: x.id, client: x.client, scheme: x.scheme,
		host: x.host, name: x.name, path: x.path, fwd: x.fwd, match: x.match, share: x.share,
	}
	y.edge.x, y.detached = y, true
	y.onInterim, y.onCondition = func(int, []uwsgi.Field) {}, y.holds
	y.req.URI, y.req.Query, y.req.ScriptName, y.req.PathInfo = x.req.URI, x.req.Query, x.req.ScriptName, x.req.PathInfo
	y.said = slices.Clone(x.said)
	y.entry.Time = time.Now()
	return y
}

// aside serves a request of the gateway's own. What fails in it is nobody's to see.
func (x *exchange) aside(a action) {
	defer func() {
		if p := recover(); p != nil {
			x.cut = true
			x.d.g.log.Error("panic in a request of the gateway's own", "panic", fmt.Sprint(p), "request", x.id, "stack", string(debug.Stack()))
		}
		x.body.close()
	}()
	a.serve(x)
}
