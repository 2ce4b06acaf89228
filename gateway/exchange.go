package gateway

import (
	"context"
	"crypto/tls"
	"net/netip"
	"sync"
	"time"

	"headgate/gateway/accesslog"
	"headgate/gateway/cache"
	"headgate/gateway/filter/limit"
	"headgate/gateway/forwarded"
	"headgate/gateway/tracing"
	"headgate/gateway/wire"
	"headgate/routing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// exchange is one request on its way through the gateway, and all that is known
// of it: what was decided once, what the access log will say, what has been
// sent. Its goroutine owns it; it is recycled when Serve returns.
type exchange struct {
	d    *door // nil: it is a question of the gateway's own
	conn *connection
	gen  *generation
	s    wire.Stream
	w    wire.Answer // where answers go: the edge, or the filter that is nearest to the app
	edge edge
	r    *wire.Request
	ctx  context.Context // see context
	tls  *tls.ConnectionState

	site  *site
	route *route

	id     string
	client netip.AddrPort // the real one
	scheme string
	host   string // as it goes into HTTP_HOST
	name   string // host without port, normalized
	path   string // canonical
	fwd    forwarded.Result
	span   *tracing.Span
	match  routing.Match[*site, *route]
	badIf  error // why a condition has no value for this request

	own  *wire.Request // a filter's copy of the request, which is r then
	sent wire.Request  // r as a cache sees it
	said []uwsgi.Var   // by filters, for the app: it replaces what the client says

	req     uwsgi.Request // filled by proxy
	extra   [10]uwsgi.Var // backs req.Extra
	extras  int           // of them, those that all attempts share
	body    requestBody
	asked   upstream.Request[*backend] // what the pool knows of it
	wait    wait                       // for slots
	pool    *pool                      // that was asked; nil: none
	ans     answer                     // of the member that is asked
	out     wire.Fields                // the header of the answer
	entry   accesslog.Entry
	started bool // the head of the answer is written, as far as the action knows
	cut     bool // the answer must not end cleanly
	failure string

	detached  bool // it is a request of the gateway's own
	preflight bool // the answer is that to a preflight, and says all of it

	share   *share         // of a split, that it was given to
	taken   []*limit.Rates // that have let it pass
	entered []*limit.Gate  // that have decided on it
	passes  []limit.Pass   // of the gates, until its end

	refused   *failure // why no route serves it; nil: one does
	again     *again   // what is to be served in place of an answer
	answering *again   // what is being served in that way; nil: what the client asked for

	kept    cache.Request // as the cache sees it
	fetcher fetcher       // of the app's answer, for the cache

	// Made once, for all the requests that x serves.
	onInterim   func(int, []uwsgi.Field) // is interim
	onCondition func(*route) bool        // is holds
	onContext   func() context.Context   // is context
	onTrace     func(string)             // is traced
}

// exchanges recycles exchanges: they are large, and a request has one.
type exchanges struct{ pool sync.Pool }

func (p *exchanges) get(c *connection, gen *generation, s wire.Stream, r *wire.Request) *exchange {
	x, _ := p.pool.Get().(*exchange)
	if x == nil {
		x = new(exchange)
		x.onInterim, x.onCondition, x.onContext, x.onTrace = x.interim, x.holds, x.context, x.traced
	}
	x.edge.x, x.w = x, &x.edge
	x.d, x.conn, x.gen, x.s, x.r, x.tls = c.d, c, gen, s, r, c.tls
	x.site, x.route = gen.nobody, gen.unrouted
	x.entry.Time = time.Now()
	return x
}

// put takes x back. What it keeps is memory, and nothing that it says.
func (p *exchanges) put(x *exchange) {
	clear(x.out)
	*x = exchange{onInterim: x.onInterim, onCondition: x.onCondition, onContext: x.onContext, onTrace: x.onTrace, out: x.out[:0]}
	p.pool.Put(x)
}

// context ends when nobody waits for the answer any more.
func (x *exchange) context() context.Context {
	if x.ctx == nil {
		x.ctx = x.s.Context()
	}
	return x.ctx
}

// finish counts and logs the exchange when all is sent.
func (x *exchange) finish() {
	e := &x.entry
	e.Duration = time.Since(e.Time)
	if x.edge.status != 0 { // else it was a tunnel
		e.Status, e.BytesOut = x.edge.status, x.edge.sent
	}
	x.body.close()
	for i := range x.passes {
		x.passes[i].Leave()
	}
	if x.site == x.gen.nobody {
		x.site.counters.Begin()
	}
	x.site.counters.End(e.Status, e.BytesIn, e.BytesOut, e.Duration)
	x.span.End(e.Status, x.failure, nil)
	if log := x.d.g.access; log != nil {
		x.describe()
		log.Write(e)
	}
}

// describe fills in what only the access log needs.
func (x *exchange) describe() {
	e := &x.entry
	e.RequestID = x.id
	e.TraceID = x.span.TraceID()
	e.Client = x.client.Addr()
	e.Proto = x.r.Proto()
	e.Method = x.r.Method
	e.Host = x.host
	e.Path = x.path
	e.Site = x.site.name
	e.Retries = max(x.asked.Attempts()-1, 0)
	e.Aborted = x.cut
}
