package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"headgate/gateway/stats"
	"headgate/gateway/tracing"
	"headgate/gateway/wire"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// passTo is the action of a route that passes requests to a pool.
type passTo struct {
	pool      *pool
	sendfile  *sendfile // what the app may name by X-Sendfile; nil: nothing
	cached    bool      // X-Accel-Expires is for the cache, which takes it out
	announced bool      // the members announce themselves
	priority  upstream.Priority
	safe      bool      // every request may run twice
	said      *safeList // of which the app has said so
}

func (a *passTo) serve(x *exchange) {
	x.entry.Pool, x.pool = a.pool.Name(), a.pool
	if f := x.takeBody(); f != nil {
		x.fail(f)
		return
	}
	x.describeRequest()
	a.ask(x)
	ans, err := a.send(x)
	if err != nil {
		f := x.sendFailure(err)
		if a.announced {
			f = x.goneFailure(f)
		}
		x.fail(f)
		return
	}
	defer ans.close() // for a panic; else that was done
	x.deliver(a, ans)
}

// sendFailure is upstreamFailure, but knows whose fault it was when the body of
// the request ended early.
func (x *exchange) sendFailure(err error) *failure {
	if e, ok := memberErrorOf(err); ok && e.kind == "body" && e.err != nil {
		return x.bodyFailure(e.err)
	}
	f := upstreamFailure(err)
	if tooLarge(err) {
		x.blameCertificate(f)
	}
	return f
}

// describeRequest fills in the view of the request that the encoder reads.
func (x *exchange) describeRequest() {
	r, q := x.r, &x.req
	q.Method, q.Proto, q.Scheme = r.Method, r.Proto(), x.scheme
	q.Host, q.Remote = x.host, x.client
	q.ServerPort = x.d.port
	q.ServerName = x.site.serverName
	if q.ServerName == "" {
		q.ServerName = x.name
	}
	if q.ServerName == "" { // HTTP/1.0 without Host, and a site for any: apps must be told something (PEP 3333)
		q.ServerName = x.localHost()
	}
	if q.Host == "" {
		q.Host = q.ServerName
	}
	q.Header = x
	q.Extra = append(x.extra[:0],
		uwsgi.Var{Key: "HTTP_X_REQUEST_ID", Value: x.id},
		uwsgi.Var{Key: "HTTP_X_FORWARDED_FOR", Value: x.fwd.For},
		uwsgi.Var{Key: "HTTP_X_FORWARDED_PROTO", Value: x.scheme},
		uwsgi.Var{Key: "HTTP_X_FORWARDED_HOST", Value: q.Host},
	)
	if r.Fields.Has("Forwarded") {
		q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_FORWARDED", Value: x.fwd.Forwarded()})
	}
	if r.Fields.Has("X-Real-Ip") {
		q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_X_REAL_IP", Value: x.client.Addr().String()})
	}
	if x.site.auth != nil {
		q.Extra = x.clientVars(q.Extra)
	}
	q.Extra = append(q.Extra, x.said...)
	x.extras = len(q.Extra)
	q.Upgrade = x.upgradeWanted()
	q.Interim = x.onInterim
}

// Range implements uwsgi.Fields: the header of the request without what only a
// trusted proxy may say, what only the gateway itself may, and what
// describeRequest says itself.
func (x *exchange) Range(f func(name, value string) bool) {
	for i := range x.r.Fields {
		if name, value := x.At(i); name != "" && !f(name, value) {
			return
		}
	}
}

// Len implements uwsgi.Listed: the same without a call for each field.
func (x *exchange) Len() int { return len(x.r.Fields) }

// At implements uwsgi.Listed. A field without a name is passed over.
func (x *exchange) At(i int) (name, value string) {
	f := &x.r.Fields[i]
	if x.withheld(f.Name) {
		return "", ""
	}
	return f.Name, f.Value
}

// withheld reports whether no member is told of a field of that name.
func (x *exchange) withheld(name string) bool {
	const ours, proxies = "X-Headgate-", "X-Forwarded-"
	if len(name) < len(ours) || name[0]|0x20 != 'x' || name[1] != '-' {
		return false
	}
	return !x.fwd.Trusted && len(name) >= len(proxies) && wire.Same(name[:len(proxies)], proxies) ||
		wire.Same(name, askHeader) || wire.Same(name, checkHeader)
}

// localHost returns the address of this machine that the client reached, in the
// form of a URL's host.
func (x *exchange) localHost() string {
	switch ip := x.conn.local.Addr().Unmap().WithZone(""); {
	case !ip.IsValid():
		return "localhost"
	case ip.Is6():
		return "[" + ip.String() + "]"
	default:
		return ip.String()
	}
}

// interim hands on what the worker says before its final answer: 103 alone means
// something to a client; 100 has been answered when the body was read. HTTP/1.0
// knows none of them (RFC 9110, 15.2).
func (x *exchange) interim(status int, fields []uwsgi.Field) {
	if status != http.StatusEarlyHints || !x.r.Interims() {
		return
	}
	if x.body.stream != nil && x.r.Fields.Has("Expect") {
		return // the sender of the body may be writing 100 Continue just now
	}
	x.takeFields(fields)
	_ = x.s.Interim(status, x.out) // a client that has gone is noticed soon enough
	x.out = x.out[:0]
}

// takeFields makes the header of an answer that of the member.
func (x *exchange) takeFields(fields []uwsgi.Field) {
	x.out = x.out[:0]
	for i := range fields {
		x.out = append(x.out, wire.Field(fields[i]))
	}
}

// ask says what the pool must know of the request.
func (a *passTo) ask(x *exchange) {
	q := &x.asked
	q.Client, q.Priority = x.client.Addr(), a.priority
	if a.pool.cookie != "" {
		q.Sticky = cookie(x.r.Fields, a.pool.cookie)
	}
	if a.pool.hash != nil {
		key, err := a.pool.hash.String(x.view())
		if err != nil {
			x.d.g.log.Debug("balance.hash has no value", "request", x.id, "err", err)
		}
		q.Key = upstream.HashKey(key)
	}
}

// send gives the request to a member, and to another if the first provably did
// not run it, or it may run twice. The caller closes the answer.
func (a *passTo) send(x *exchange) (*answer, error) {
	wait := a.waitFor(x)
	defer x.wait.forget()
	for {
		before := x.entry.Worker
		ans, err := a.try(wait, x)
		if err == nil {
			return ans, nil
		}
		if x.body.gone() || tooLarge(err) && !a.pool.Fresh(&x.asked) { // the rest would be taken for all; there is nobody else to ask
			return nil, err
		}
		sent := x.asked.Attempts()
		again := a.pool.Retry(wait, &x.asked, upstream.Attempt{
			Err: err, Took: x.entry.Worker - before,
			Idempotent: uwsgi.Idempotent(x.r.Method) || a.safe || a.said.has(x.r.Method, x.path, x.req.Query), Replayable: x.replayable(),
		})
		if !again || !x.rewind() {
			return nil, err
		}
		if sent == x.asked.Attempts() {
			a.pool.counters.Retry()
		}
	}
}

// waitFor is the context in which x waits for slots of the pool.
func (a *passTo) waitFor(x *exchange) context.Context {
	if x.d == nil { // its own context ends when the gateway stops
		return x.context()
	}
	x.wait = wait{Context: x.context(), of: &x.d.g.waits, pool: a.pool}
	return &x.wait
}

// try waits for a slot and gives the request to its member.
func (a *passTo) try(wait context.Context, x *exchange) (*answer, error) {
	queued := time.Now()
	lease, err := a.pool.Acquire(wait, &x.asked)
	begun := time.Now()
	waited := begun.Sub(queued)
	x.entry.Queue += waited
	a.pool.counters.Waited(waited)
	x.span.Child("queue", queued, begun)
	if err != nil {
		a.pool.counters.Fail(stats.FailureNamed(upstreamFailure(err).kind))
		return nil, err
	}
	x.ans = answer{x: x, lease: lease, begun: begun}
	return a.give(x, &x.ans)
}

// give gives the request to the member of ans, which it completes.
func (a *passTo) give(x *exchange, ans *answer) (*answer, error) {
	lease, b := &ans.lease, ans.lease.Transport()
	x.entry.Member = lease.Member().Address
	b.counters.Begin()
	ended := false
	defer func() {
		if !ended { // by a panic, which is not the member's fault
			b.counters.End()
			lease.Release()
		}
	}()
	ans.span = x.span.Begin("worker", ans.begun)
	x.traceTo(ans.span)
	resp, err := b.do(x.context(), x)
	ended = true
	if err != nil {
		now := time.Now()
		x.entry.Worker += now.Sub(ans.begun)
		kind := failureOf(err)
		ans.span.Finish(now, kind.String(), err)
		b.counters.End()
		b.counters.Fail(kind)
		lease.Fail(err)
		return nil, err
	}
	ans.response = resp
	ans.arrived()
	a.said.learn(x.r.Method, x.path, x.req.Query, &x.out)
	return ans, nil
}

// traceTo makes span the parent of what the app records. Without one, what the
// client sent goes on as any other field.
func (x *exchange) traceTo(span *tracing.Span) {
	if span == nil {
		return
	}
	q := &x.req
	q.Extra = q.Extra[:x.extras]
	q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_TRACEPARENT", Value: span.TraceParent()})
	if state := span.TraceState(); state != "" {
		q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_TRACESTATE", Value: state})
	}
}

// replayable reports that the whole request is still at hand.
func (x *exchange) replayable() bool { return x.req.Body == nil || x.req.Rewind != nil }

func (x *exchange) rewind() bool {
	if x.req.Rewind == nil {
		return true
	}
	body, err := x.req.Rewind()
	x.req.Body = body
	return err == nil
}

// upgradeWanted returns the protocol that the client asks to switch to, "" for
// none. Only HTTP/1.1 has the mechanism (RFC 9110, 7.8), and a request with a
// body does not use it. Members that speak HTTP are asked for less, see
// origin.Request.
func (x *exchange) upgradeWanted() string {
	r := x.r
	if r.Major != 1 || r.Minor < 1 || x.req.Body != nil {
		return ""
	}
	up, ok := r.Fields.Only("Upgrade")
	if !ok || !mayTunnel(up) {
		return ""
	}
	for line := range r.Fields.Values("Connection") {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return up
			}
		}
	}
	return ""
}

// mayTunnel reports whether a client may switch to a protocol: one of its choice,
// but none in which it would say requests that the gateway does not see.
func mayTunnel(protocol string) bool {
	if strings.ContainsAny(protocol, ", \t") {
		return false
	}
	name := strings.ToLower(protocol)
	return name != "" && !strings.HasPrefix(name, "h2") && !strings.HasPrefix(name, "http") && !strings.HasPrefix(name, "tls")
}
