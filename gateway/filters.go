package gateway

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"headgate/gateway/filter/access"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
	"headgate/upstream/uwsgi"
)

// A filter is an action that lets the next one answer, or answers itself. The filters
// of a route stand in this order, the client before the first:
//
//	headers of the answer, maintenance, access, rate_limit, in_flight,
//	cors, basic_auth, client_cert, cross_origin, forward_auth, body_types, headers of
//	the request, rewrite, bandwidth, cache, compress, mirror, the action
//
// so that refusals have the headers that browsers need, cheap refusals come first, and
// what is kept in the cache is compressed once.

// guarding stands before a guard, and lets a request by it that is for the page of an
// error: the configuration has led it there, and clients cannot come.
type guarding struct{ guard, next action }

func (a guarding) serve(x *exchange) {
	if x.onPage() && x.route.internal {
		a.next.serve(x)
		return
	}
	a.guard.serve(x)
}

// allowed lets clients of some networks pass.
type allowed struct {
	next action
	list *access.List
}

func (a *allowed) serve(x *exchange) {
	if a.list.Allows(x.client.Addr()) {
		a.next.serve(x)
		return
	}
	x.refuse(http.StatusForbidden, "access", "clients at "+x.client.Addr().String()+" may not come here", "add the address to access.allow of the route or site")
}

// rated lets clients pass at a rate.
type rated struct {
	next  action
	rates *limit.Rates
}

func (a *rated) serve(x *exchange) {
	if slices.Contains(x.taken, a.rates) { // it was led here from where the same holds
		a.next.serve(x)
		return
	}
	x.taken = append(x.taken, a.rates)
	v := a.rates.Take(x.context(), x.client.Addr(), x.view)
	x.entry.Queue += v.Wait
	v.Fields(&x.edge.adds)
	switch {
	case v.Allowed:
		a.next.serve(x)
	case x.context().Err() != nil:
		x.fail(&failure{status: statusClientGone, kind: "canceled", cause: "the client went away"})
	default:
		x.fail((&failure{
			status: http.StatusTooManyRequests, kind: "rate_limit",
			cause: "more requests than the rate " + v.Rule + " allows", cure: "wait, or raise rate_limit of the route or site",
		}).retryIn(v.RetryAfter))
	}
}

// crowded lets so many requests of a client run at once. One runs until it is
// answered, whatever it was led to.
type crowded struct {
	next action
	gate *limit.Gate
}

func (a *crowded) serve(x *exchange) {
	if slices.Contains(x.entered, a.gate) {
		a.next.serve(x)
		return
	}
	x.entered = append(x.entered, a.gate) // also if it may not: the page that says so is for it
	pass, ok := a.gate.Enter(x.client.Addr(), x.view)
	if !ok {
		x.fail(&failure{
			status: http.StatusTooManyRequests, kind: "in_flight", retryAfter: 1,
			cause: "more requests at once than in_flight allows", cure: "wait for the answers to the first, or raise in_flight of the route or site",
		})
		return
	}
	x.passes = append(x.passes, pass)
	a.next.serve(x)
}

// preflight answers what browsers ask before they send requests of other origins.
type preflight struct {
	next action
	cors *headers.Policy
}

func (a *preflight) serve(x *exchange) {
	if f, ok := a.cors.Preflight(x.r); ok {
		x.preflight = true
		x.out = append(x.out[:0], f...)
		x.writeHead(http.StatusNoContent, -1)
		return
	}
	a.next.serve(x)
}

// authenticated asks for a name and a password, and tells the app the name as
// REMOTE_USER.
type authenticated struct {
	next      action
	passwords *access.Passwords
	challenge string // of WWW-Authenticate
}

func (a *authenticated) serve(x *exchange) {
	user, password, ok := access.Credentials(x.r.Fields)
	if !ok || !a.passwords.Check(x.context(), user, password) {
		cause := "the name or the password is wrong"
		if !ok {
			cause = "a name and a password are needed"
		}
		x.refuse(http.StatusUnauthorized, "basic_auth", cause, "",
			wire.Field{Name: "WWW-Authenticate", Value: a.challenge})
		return
	}
	x.said = append(x.said, uwsgi.Var{Key: "REMOTE_USER", Value: user})
	a.next.serve(x)
}

// certified wants a certificate of the client.
type certified struct{ next action }

func (a *certified) serve(x *exchange) {
	if x.verifiedCert() == nil {
		x.refuse(http.StatusForbidden, "client_cert", "this needs a certificate of the client, and none was shown", "choose one that the authority of tls.client_auth has signed")
		return
	}
	a.next.serve(x)
}

// guarded refuses changes by pages of other origins.
type guarded struct {
	next  action
	guard *access.Guard
}

func (a *guarded) serve(x *exchange) {
	if err := a.guard.Check(x.r, x.host); err != nil {
		x.refuse(http.StatusForbidden, "cross_origin", err.Error(), "list the origin under cross_origin.trusted")
		return
	}
	a.next.serve(x)
}

// typed takes request bodies of some types.
type typed struct {
	next  action
	types *access.Types
}

func (a *typed) serve(x *exchange) {
	said := x.r.Fields.Get("Content-Type")
	if !a.types.Allows(said) {
		empty, f := x.bodyless()
		switch {
		case f != nil:
			x.fail(f)
			return
		case empty:
			a.next.serve(x)
			return
		}
		x.fail(&failure{
			status: http.StatusUnsupportedMediaType, kind: "body_type", close: true,
			cause: fmt.Sprintf("bodies of the type %.100q are not taken here", said), cure: "send another type, or add it to body_types of the route or site",
		})
		return
	}
	a.next.serve(x)
}

// saying changes the header of the request.
type saying struct {
	next action
	set  *headers.Set
}

func (a *saying) serve(x *exchange) {
	a.set.Request(&x.ownRequest().Fields, x.view)
	a.next.serve(x)
}

// dressed changes the header of the answer.
type dressed struct {
	next   action
	set    *headers.Set    // nil: nothing
	cors   *headers.Policy // nil: none
	timing bool
}

func (a *dressed) serve(x *exchange) {
	d := dress{x.w, x, a}
	x.w = &d
	a.next.serve(x)
	x.w = d.Answer
}

// dress is the answer that dressed stands in front of.
type dress struct {
	wire.Answer // that it goes on to
	x           *exchange
	by          *dressed
}

// WriteHead implements wire.Answer.
func (d *dress) WriteHead(status int, f wire.Fields, length int64) {
	x := d.x
	f = slices.Clone(f) // it may be a cache's, for others too
	if d.by.timing {
		f = append(f, wire.Field{Name: "Server-Timing", Value: x.timing()})
	}
	if d.by.cors != nil && !x.preflight {
		d.by.cors.Response(x.r, &f)
	}
	if d.by.set != nil {
		d.by.set.Response(x.scheme == "https", &f, x.view)
	}
	d.Answer.WriteHead(status, f, length)
}

// SendFile implements wire.FileSender.
func (d *dress) SendFile(f *os.File, offset, n int64) (int64, error) {
	if s, ok := d.Answer.(wire.FileSender); ok {
		return s.SendFile(f, offset, n)
	}
	return copyFile(d.Answer, f, offset, n, &d.x.d.g.buffers)
}

// paced sends the answer no faster than a rate.
type paced struct {
	next action
	rate limit.Bandwidth
}

func (a *paced) serve(x *exchange) {
	answer := x.w
	x.w = limit.Pace(x.context(), answer, a.rate)
	a.next.serve(x)
	x.w = answer
}

// slowDown takes the app's word for the rate of its answer (X-Accel-Limit-Rate): bytes
// in a second, 0 for no limit.
func (x *exchange) slowDown(value string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err == nil && n > 0 {
		x.w = limit.Pace(x.context(), x.w, limit.Bandwidth{Rate: notation.Size(n)})
	}
}

// timing is what Server-Timing says of the way of the request so far, in
// milliseconds.
func (x *exchange) timing() string {
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) }
	now := time.Now()
	out := "queue;dur=" + ms(x.entry.Queue)
	if !x.ans.begun.IsZero() {
		out += ", app;dur=" + ms(max(now.Sub(x.ans.begun), 0))
	}
	return out + ", total;dur=" + ms(now.Sub(x.entry.Time))
}
