package cache

import (
	"context"

	"headgate/gateway/wire"
)

// Request is a request with what the gateway has decided of it. It belongs to the
// caller of Serve and is not kept beyond it; its strings may be.
type Request struct {
	*wire.Request
	Site   string // name of the site; purges may be for one
	Scheme string // of the client's connection: http or https
	Host   string // as the app sees it, with its port: apps write it into their pages
	Path   string // canonical
	Query  string // as it was sent, without the question mark
	Key    string // the text of Options.Key

	// Context returns the context of the client: it ends when the client has
	// gone. It is called at most once, by the goroutine of Serve and before Fetch,
	// and only for requests that wait for something. nil: it never ends.
	Context func() context.Context

	// Trace is told what became of the request, once, before the answer begins:
	// hit, stale, revalidated, miss, collapsed, bypass or unsatisfied. It may be
	// nil. It is called by the goroutine of Serve, or by one that Serve waits for.
	Trace func(status string)
}

// Origin is the way of one request to its app.
type Origin interface {
	// Fetch gives the request to the app, with fields in place of its header,
	// and the app's answer to a. It returns when that is over; whole is false
	// when the answer was cut or did not come. ctx ends when nobody wants the
	// answer any more. fields is for Fetch alone. Fetch is called at most once, by the goroutine of Serve; while it
	// runs, another goroutine may write to the answer that Serve was given.
	Fetch(ctx context.Context, fields wire.Fields, a wire.Answer) (whole bool)

	// Detached returns an Origin for the same request that outlives Serve, for a
	// fetch in the background; nil when there cannot be one now. What it returned
	// is asked once, by another goroutine.
	Detached() Origin
}
