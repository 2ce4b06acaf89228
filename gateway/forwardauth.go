package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/wire"
	"headgate/routing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// forwardAuth asks somebody else whether a request may pass.
type forwardAuth struct {
	next    action
	pool    *passTo // or
	url     *url.URL
	path    string // canonical, of the question to a pool
	query   string
	headers []string // of the answer, for the app
	timeout time.Duration
}

// mostRefusal bounds the answer of who refuses.
const mostRefusal = 256 << 10

func newForwardAuth(c *config.ForwardAuth, pool func(name string) *passTo) (*forwardAuth, error) {
	a := &forwardAuth{headers: c.Headers, timeout: c.Timeout}
	var err error
	if c.Pool == "" {
		a.url, err = url.Parse(c.URL)
		return a, err
	}
	a.pool = pool(c.Pool)
	a.pool.priority = upstream.PriorityHigh
	raw, query, _ := strings.Cut(c.Path, "?")
	a.path, err = routing.CanonicalPath(raw)
	a.query = query
	return a, err
}

func (a *forwardAuth) serve(x *exchange) {
	ctx, cancel := context.WithTimeout(x.context(), a.timeout)
	defer cancel()
	got := &captured{most: mostRefusal}
	var err error
	if a.pool != nil {
		err = a.askPool(ctx, x, got)
	} else {
		err = a.askURL(ctx, x, got)
	}
	switch {
	case x.context().Err() != nil:
		x.fail(&failure{status: statusClientGone, kind: "canceled", cause: "the client went away"})
	case ctx.Err() != nil && (err != nil || got.status < 200 || got.status >= 500):
		f := a.unanswered(0, fmt.Errorf("no answer within %s", a.timeout))
		f.status = http.StatusGatewayTimeout
		x.fail(f)
	case err != nil, got.status < 200, got.status >= 500:
		x.fail(a.unanswered(got.status, err))
	case got.status <= 299:
		a.take(x, got.fields)
		a.next.serve(x)
	default:
		a.refuse(x, got)
	}
}

func (a *forwardAuth) unanswered(status int, err error) *failure {
	f := &failure{
		status: http.StatusBadGateway, kind: "forward_auth", err: err,
		cause: "nobody says whether the request may pass", cure: "start what forward_auth asks, and let it answer 2xx for yes and 401 or 403 for no",
	}
	switch {
	case err != nil:
		f.cause += ": " + err.Error()
	case status != 0:
		f.cause += fmt.Sprintf(": the answer was %d", status)
	}
	return f
}

// question are the fields by which it is told what the request is.
func question(x *exchange) []wire.Field {
	uri := escapePath(x.path) // as the routes and the app see it: whoever decides by what the client wrote can be told /public/../admin
	if x.req.Query != "" {
		uri += "?" + x.req.Query
	}
	return []wire.Field{
		{Name: "X-Forwarded-Method", Value: x.r.Method},
		{Name: "X-Forwarded-Uri", Value: uri},
		{Name: "X-Forwarded-Host", Value: x.host},
		{Name: "X-Forwarded-Proto", Value: x.scheme},
	}
}

// askPool asks an app behind this gateway.
func (a *forwardAuth) askPool(ctx context.Context, x *exchange, got *captured) error {
	y := x.detach(ctx, got)
	y.route = y.gen.unrouted
	y.r.Method = http.MethodGet
	y.path, y.req.PathInfo, y.req.ScriptName, y.req.Query = a.path, a.path, "", a.query
	y.req.URI = escapePath(a.path)
	if a.query != "" {
		y.req.URI += "?" + a.query
	}
	y.body.taken = true
	y.r.Fields = slices.DeleteFunc(y.r.Fields, func(f wire.Field) bool { return ofThisHop(f.Name) && !wire.Same(f.Name, "Host") })
	for _, f := range question(x) {
		y.said = append(y.said, uwsgi.Var{Key: variable(f.Name), Value: f.Value})
	}
	y.aside(a.pool)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case y.failure != "": // it is ours, and no answer of the app
		return errors.New(y.entry.Err)
	case y.cut:
		got.status = 0
	}
	return nil
}

// variable is the name by which an app finds a field of the header.
func variable(name string) string {
	return "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// askURL asks a server of the network.
func (a *forwardAuth) askURL(ctx context.Context, x *exchange, got *captured) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url.String(), nil)
	if err != nil {
		return err
	}
	for i := range x.r.Fields {
		name, value := x.At(i)
		if name != "" && !ofThisHop(name) && !ambiguous(name) {
			r.Header.Add(name, value)
		}
	}
	for _, f := range question(x) {
		r.Header.Set(f.Name, f.Value)
	}
	r.Header.Set("X-Forwarded-For", x.fwd.For)
	r.Header.Set("X-Request-Id", x.id)
	if user := a.url.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	resp, err := x.d.g.asks.web.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got.status = resp.StatusCode
	if got.status < 200 || got.status > 299 { // of a yes, the header says all
		if got.body, err = io.ReadAll(io.LimitReader(resp.Body, mostRefusal+1)); err != nil {
			return err
		}
		got.over = len(got.body) > mostRefusal
	}
	for name, values := range resp.Header {
		for _, v := range values {
			got.fields.Add(name, v)
		}
	}
	return nil
}

// ambiguous reports whether who is asked might take a field for another one: those
// that fold _ and - into one take X_Forwarded_Uri for what only the gateway says.
func ambiguous(name string) bool {
	return strings.ContainsAny(name, "_.") || wire.Same(name, "Proxy")
}

// ofThisHop reports whether a field is about the client's connection or body and not
// about the request.
func ofThisHop(name string) bool {
	return aboutContent(name) || wire.OneOf(name, "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade",
		"Content-Length", "Content-Type", "Expect", "Host", "Accept-Encoding")
}

// take gives the app what the answer says, in place of what the client may have said
// under those names.
func (a *forwardAuth) take(x *exchange, f wire.Fields) {
	if len(a.headers) == 0 {
		return
	}
	r := x.ownRequest()
	for _, name := range a.headers {
		r.Fields.Del(name)
		if v, ok := f.Lookup(name); ok {
			r.Fields.Add(name, v) // so that conditions, keys and Vary see it too
		}
	}
}

// refuse gives the client the answer of who was asked.
func (a *forwardAuth) refuse(x *exchange, got *captured) {
	x.failure = "forward_auth"
	x.out = x.out[:0]
	for _, f := range got.fields {
		if !ofThisHop(f.Name) || wire.Same(f.Name, "Content-Type") {
			x.out = append(x.out, f)
		}
	}
	body := got.body
	if got.over {
		body = nil
	}
	x.writeHead(got.status, int64(len(body)))
	if x.r.Method != http.MethodHead {
		x.Write(body) // a client that has gone needs no answer
	}
}
