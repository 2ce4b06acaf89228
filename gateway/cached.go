package gateway

import (
	"context"
	"slices"

	"headgate/gateway/cache"
	"headgate/gateway/coding"
	"headgate/gateway/expression"
	"headgate/gateway/wire"
)

// cached answers from the cache where it can, and keeps what it may.
type cached struct {
	next    action
	policy  *cache.Policy
	place   string              // the route: the same address by another one is something else
	split   *splitTo            // behind it, whose pools have answers of their own; nil: none
	key     *expression.Program // nil: none
	codings []string            // that the filter below may make of an answer
}

func (a *cached) serve(x *exchange) {
	key := ""
	if a.key != nil {
		var err error
		if key, err = a.key.String(x.view()); err != nil {
			x.d.g.log.Debug("cache.key has no value, so the answer is not kept", "request", x.id, "err", err)
			a.next.serve(x)
			return
		}
	}
	if _, f := x.bodyless(); f != nil {
		x.fail(f)
		return
	}
	a.normalize(x)
	if a.split != nil {
		key = a.split.choose(x).name + "\x00" + key
	}
	x.sent = *x.r // what the app is asked is another matter
	x.kept = cache.Request{
		Request: &x.sent,
		// The app sees the host with its port, and may write it into its pages.
		Site: x.site.name, Scheme: x.scheme, Host: x.host, Path: x.path, Query: x.req.Query, Key: a.place + key,
		Context: x.onContext, Trace: x.onTrace,
	}
	x.fetcher = fetcher{a: a, x: x}
	answer, before := x.w, x.r.Fields
	whole := x.d.g.cache.Serve(a.policy, &x.kept, answer, &x.fetcher)
	x.w = answer
	if x.fetcher.fetched {
		x.own.Fields = slices.Clone(before) // not earlier: another goroutine may give the client its answer
	}
	if x.edge.status != 0 { // a stale answer went out in place of an error, whose page is not wanted
		x.again = nil
	}
	if x.again == nil && !whole {
		x.cut = true
		if x.edge.err != nil {
			x.clientGone(x.edge.err)
		}
	}
}

// traced notes for the access log what became of a request in the cache.
func (x *exchange) traced(status string) { x.entry.Cache = status }

// normalize makes clients that get the same coding ask for the same, so that they
// share what is kept.
func (a *cached) normalize(x *exchange) {
	if len(a.codings) == 0 {
		return
	}
	said, ok := x.r.Fields.Lookup("Accept-Encoding")
	chosen := coding.Choose(x.r.Fields, a.codings...)
	switch {
	case !ok && chosen == "", said == chosen:
	case chosen == "":
		x.ownRequest().Fields.Del("Accept-Encoding")
	default:
		x.ownRequest().Fields.Set("Accept-Encoding", chosen)
	}
}

// fetcher is the app as the cache sees it, for one request.
type fetcher struct {
	a     *cached
	x     *exchange
	aside bool // it is a request of the cache's own

	fetched bool // the request's fields are not the client's
	busy    bool // Fetch runs
}

// Fetch implements cache.Origin.
func (o *fetcher) Fetch(ctx context.Context, fields wire.Fields, w wire.Answer) (whole bool) {
	x := o.x
	life := x.ctx
	x.ownRequest().Fields, o.fetched = fields, true
	x.w, x.ctx, o.busy = w, ctx, true
	if o.aside {
		x.s = nowhere{ctx}
		x.aside(o.a.next)
	} else {
		o.a.next.serve(x)
	}
	x.ctx, o.busy = life, false
	whole = !x.cut
	x.cut = false
	return whole
}

// Detached implements cache.Origin.
func (o *fetcher) Detached() cache.Origin {
	return &fetcher{a: o.a, x: o.x.detach(context.Background(), nil), aside: true}
}
