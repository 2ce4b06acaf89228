package gateway

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"headgate/gateway/accesslog"
	"headgate/gateway/forwarded"
	"headgate/gateway/tracing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// exchange is one request on its way through the gateway, and all that is known
// of it: what was decided once, what the access log will say, what has been
// sent. Its goroutine owns it; it is recycled when the handler returns.
type exchange struct {
	d   *door
	gen *generation
	w   http.ResponseWriter
	r   *http.Request
	rc  *http.ResponseController

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
	entry   accesslog.Entry
	started bool // the head of the response is out
	cut     bool // the response must not end cleanly
	failure string

	onInterim func(int, http.Header) // is interim; made once, for all the requests that x serves
}

var _ http.ResponseWriter = (*exchange)(nil)

// exchanges recycles exchanges: they are large, and a request has one.
type exchanges struct{ pool sync.Pool }

func (p *exchanges) get(d *door, gen *generation, w http.ResponseWriter, r *http.Request) *exchange {
	x, _ := p.pool.Get().(*exchange)
	if x == nil {
		x = new(exchange)
		x.onInterim = x.interim
	}
	x.d, x.gen, x.w, x.r = d, gen, w, r
	x.rc = http.NewResponseController(w)
	x.site, x.route = gen.nobody, gen.unrouted
	x.entry.Time = time.Now()
	return x
}

func (p *exchanges) put(x *exchange) {
	*x = exchange{onInterim: x.onInterim}
	p.pool.Put(x)
}

// Header returns the header that WriteHeader will send.
func (x *exchange) Header() http.Header { return x.w.Header() }

// WriteHeader sends the head of the response, once; a 1xx may come before it.
func (x *exchange) WriteHeader(status int) {
	if x.started {
		return
	}
	if status >= 200 {
		x.started = true
		x.entry.Status = status
		x.finalHeader()
		x.limitDrain()
	}
	x.w.WriteHeader(status)
}

// finalHeader completes the head of the final response.
func (x *exchange) finalHeader() {
	h := x.w.Header()
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // the worker's word: no guess from the bytes
	}
	if x.d.secure && x.r.ProtoMajor < 3 {
		if x.gen.h3 {
			h["Alt-Svc"] = x.d.alt.header(x.host)
		}
	}
	if x.r.ProtoMajor == 1 && (x.body.unread() || x.d.g.draining.Load()) { // the rest of a body must not be read as a request
		h["Connection"] = connectionClose
	}
}

var connectionClose = []string{"close"}

// Write sends bytes of the response's body and gives the client the configured
// time to take some of them.
func (x *exchange) Write(p []byte) (int, error) {
	x.allowWrite()
	n, err := x.w.Write(p)
	x.entry.BytesOut += int64(n)
	return n, err
}

// allowWrite gives the client from now on the configured time for the next write.
func (x *exchange) allowWrite() {
	if t := x.route.writeIdle; t > 0 {
		x.rc.SetWriteDeadline(time.Now().Add(t)) // a connection without deadlines has been hijacked
	}
}

// flush sends what is buffered and then lets the connection rest without a
// deadline: nothing is owed to the client until the worker says more.
func (x *exchange) flush() error {
	err := x.rc.Flush()
	x.restWrite()
	return err
}

// restWrite ends the time for a write. HTTP/1.1 needs that not, and saves it:
// there the deadline counts only while somebody writes.
func (x *exchange) restWrite() {
	if x.r.ProtoMajor > 1 && x.route.writeIdle > 0 {
		x.rc.SetWriteDeadline(time.Time{}) // a stream is reset by its deadline even when nobody writes
	}
}

// finish counts and logs the exchange when all is sent.
func (x *exchange) finish() {
	e := &x.entry
	e.Duration = time.Since(e.Time)
	x.endStream()
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
	e.Proto = x.r.Proto
	e.Method = x.r.Method
	e.Host = x.host
	e.Path = x.path
	e.Site = x.site.name
	e.Retries = max(x.asked.Attempts()-1, 0)
	e.Aborted = x.cut
}
