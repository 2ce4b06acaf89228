package gateway

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"headgate/gateway/accesslog"
	"headgate/gateway/forwarded"
	"headgate/gateway/tracing"
	"headgate/gateway/wire"
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

	req     uwsgi.Request // filled by proxy
	extra   [10]uwsgi.Var // backs req.Extra
	extras  int           // of them, those that all attempts share
	body    requestBody
	asked   upstream.Request[*backend] // what the pool knows of it
	wait    wait                       // for slots
	ans     answer                     // of the member that is asked
	out     wire.Fields                // the header of the answer
	entry   accesslog.Entry
	started bool // the head of the answer is out
	cut     bool // the answer must not end cleanly
	failure string

	onInterim func(int, []uwsgi.Field) // is interim; made once, for all the requests that x serves
}

// exchanges recycles exchanges: they are large, and a request has one.
type exchanges struct{ pool sync.Pool }

func (p *exchanges) get(c *connection, gen *generation, s wire.Stream, r *wire.Request) *exchange {
	x, _ := p.pool.Get().(*exchange)
	if x == nil {
		x = new(exchange)
		x.onInterim = x.interim
	}
	x.d, x.conn, x.gen, x.s, x.r, x.tls = c.d, c, gen, s, r, c.tls
	x.site, x.route = gen.nobody, gen.unrouted
	x.entry.Time = time.Now()
	return x
}

// put takes x back. What it keeps is memory, and nothing that it says.
func (p *exchanges) put(x *exchange) {
	clear(x.out)
	*x = exchange{onInterim: x.onInterim, out: x.out[:0]}
	p.pool.Put(x)
}

// context ends when nobody waits for the answer any more.
func (x *exchange) context() context.Context {
	if x.ctx == nil {
		x.ctx = x.s.Context()
	}
	return x.ctx
}

// writeHead begins the final answer, once, with the header x.out. The length is
// that of the body, -1 if only its end tells.
func (x *exchange) writeHead(status int, length int64) {
	if x.started {
		return
	}
	x.started = true
	x.entry.Status = status
	if x.d.secure && x.gen.h3 && x.r.Major < 3 && !x.out.Has("Alt-Svc") {
		x.out.Add("Alt-Svc", x.d.alt.header(x.host))
	}
	if x.r.Major == 1 && (x.d.leaving.Load() || x.d.g.draining.Load()) {
		x.s.CloseAfter()
	}
	x.s.WriteHead(status, x.out, length)
}

// Write sends bytes of the answer's body.
func (x *exchange) Write(p []byte) (int, error) {
	n, err := x.s.Write(p)
	x.entry.BytesOut += int64(n)
	return n, err
}

// finish counts and logs the exchange when all is sent.
func (x *exchange) finish() {
	e := &x.entry
	e.Duration = time.Since(e.Time)
	x.body.close()
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

// respondWith is an answer that needs no worker.
type respondWith struct {
	status      int
	contentType string
	body        []byte
}

func (a respondWith) serve(x *exchange) {
	if !hasBody("", a.status) {
		x.writeHead(a.status, -1)
		return
	}
	x.out.Add("Content-Type", a.contentType)
	x.writeHead(a.status, int64(len(a.body)))
	if x.r.Method != http.MethodHead {
		x.Write(a.body) // a client that has gone needs no answer
	}
}
