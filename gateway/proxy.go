package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"headgate/gateway/stats"
	"headgate/gateway/tracing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// backend is what a pool has of each member: how to speak to it, and what to
// count.
type backend struct {
	*uwsgi.Transport
	counters *stats.MemberCounters
}

// passTo is the action of a route that passes requests to a pool.
type passTo struct{ pool *pool }

// pool is one pool of a generation. What is equal in the next one is kept.
type pool struct {
	*upstream.Pool[*backend]
	key      string // everything it was made from
	counters *stats.PoolCounters
}

func (a *passTo) serve(x *exchange) {
	x.entry.Pool = a.pool.Name()
	if f := x.takeBody(); f != nil {
		x.fail(f)
		return
	}
	x.describeRequest()
	ans, err := a.send(x)
	if err != nil {
		x.fail(x.sendFailure(err))
		return
	}
	x.deliver(ans)
}

// sendFailure is upstreamFailure, but knows whose fault it was when the body of
// the request ended early.
func (x *exchange) sendFailure(err error) *failure {
	var e *uwsgi.Error
	if errors.As(err, &e) && e.Kind == uwsgi.KindBody && e.Err != nil {
		return x.bodyFailure(e.Err)
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
	q.Method, q.Proto, q.Scheme = r.Method, r.Proto, x.scheme
	if r.ProtoMajor == 1 && r.ProtoMinor > 1 {
		q.Proto = "HTTP/1.1" // 1.2 and later are 1.1 with unknown additions
	}
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
	if r.Header["Forwarded"] != nil {
		q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_FORWARDED", Value: x.fwd.Forwarded()})
	}
	if r.Header["X-Real-Ip"] != nil {
		q.Extra = append(q.Extra, uwsgi.Var{Key: "HTTP_X_REAL_IP", Value: x.client.Addr().String()})
	}
	if x.site.auth != nil {
		q.Extra = x.clientVars(q.Extra)
	}
	x.extras = len(q.Extra)
	q.Upgrade = x.upgradeWanted()
	q.Interim = x.onInterim
}

// Range implements uwsgi.Fields: the header of the request without what only a
// trusted proxy may say, what only the gateway itself may, and what
// describeRequest says itself.
func (x *exchange) Range(f func(name, value string) bool) {
	for name, values := range x.r.Header {
		if !x.fwd.Trusted && strings.HasPrefix(name, "X-Forwarded-") || name == askHeader {
			continue
		}
		for _, v := range values {
			if !f(name, v) {
				return
			}
		}
	}
}

// localHost returns the address of this machine that the client reached, in the
// form of a URL's host.
func (x *exchange) localHost() string {
	addr, ok := x.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return "localhost"
	}
	local, err := netip.ParseAddrPort(addr.String())
	switch ip := local.Addr().Unmap().WithZone(""); {
	case err != nil:
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
func (x *exchange) interim(status int, header http.Header) {
	if status != http.StatusEarlyHints || !x.r.ProtoAtLeast(1, 1) {
		return
	}
	if x.r.ProtoMajor == 1 && x.body.unread() && x.r.Header["Expect"] != nil {
		return // the sender of the body may be writing 100 Continue just now
	}
	h := x.Header()
	for name, values := range header {
		h[name] = values
	}
	x.allowWrite()
	x.WriteHeader(status)
	x.restWrite()
	clear(h)
}

// send gives the request to a member, and to another if the first provably did
// not run it, or it may run twice. The caller closes the answer.
func (a *passTo) send(x *exchange) (*answer, error) {
	ctx := x.r.Context()
	for {
		before := x.entry.Worker
		ans, err := a.try(ctx, x)
		if err == nil {
			return ans, nil
		}
		took := x.entry.Worker - before
		wait, again := a.pool.Options().Retry.Again(&x.tried, err, took, uwsgi.Idempotent(x.r.Method), x.replayable())
		tried := x.tried.Attempts() >= a.pool.Members() // there is nobody else to ask
		if !again || tried && tooLarge(err) || !x.rewind() {
			return nil, err
		}
		a.pool.counters.Retry()
		if tried && !sleep(ctx, wait) {
			return nil, err
		}
	}
}

// try waits for a slot and gives the request to its member.
func (a *passTo) try(ctx context.Context, x *exchange) (*answer, error) {
	queued := time.Now()
	lease, err := a.pool.Acquire(ctx, &x.tried)
	begun := time.Now()
	waited := begun.Sub(queued)
	x.entry.Queue += waited
	a.pool.counters.Waited(waited)
	x.span.Child("queue", queued, begun)
	if err != nil {
		a.pool.counters.Fail(stats.FailureNamed(upstreamFailure(err).kind))
		return nil, err
	}
	x.entry.Member = lease.Member().Address
	span := x.span.Begin("worker", begun)
	x.traceTo(span)
	b := lease.Transport()
	b.counters.Begin()
	resp, err := b.Do(ctx, &x.req)
	if err != nil {
		ended := time.Now()
		x.entry.Worker += ended.Sub(begun)
		kind := failureOf(err)
		span.Finish(ended, kind.String(), err)
		b.counters.End()
		b.counters.Fail(kind)
		lease.Release()
		return nil, err
	}
	return &answer{Response: resp, x: x, lease: lease, begun: begun, span: span}, nil
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

func tooLarge(err error) bool {
	var e *uwsgi.Error
	return errors.As(err, &e) && e.Kind == uwsgi.KindTooLarge
}

func failureOf(err error) stats.Failure {
	var e *uwsgi.Error
	if errors.As(err, &e) {
		return stats.FailureNamed(e.Kind.String())
	}
	return stats.FailureOther
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

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// upgradeWanted returns the protocol that the client asks to switch to, "" for
// none. Only HTTP/1.1 has the mechanism (RFC 9110, 7.8), and a request with a
// body does not use it.
func (x *exchange) upgradeWanted() string {
	r := x.r
	up := r.Header["Upgrade"]
	if len(up) != 1 || r.ProtoMajor != 1 || r.ProtoMinor < 1 || x.req.Body != nil {
		return ""
	}
	for _, line := range r.Header["Connection"] {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "upgrade") {
				return up[0]
			}
		}
	}
	return ""
}
