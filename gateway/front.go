package gateway

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"headgate/gateway/forwarded"
	"headgate/gateway/tracing"
	"headgate/gateway/wire"
	"headgate/routing"
	"headgate/tls/certs"
)

// Serve is the way of every request, whatever its protocol: the generation is
// taken once; limits, target, host and client are decided once; then the route
// that matches first answers.
func (c *connection) Serve(s wire.Stream, r *wire.Request) {
	g := c.d.g
	g.running.Add(1)
	defer g.running.Add(-1)
	x := g.exchanges.get(c, g.current.Load(), s, r)
	defer x.leave()
	f := x.enter()
	if g.tracer != nil {
		x.startSpan()
	}
	s.SetWriteTimeout(x.route.writeIdle)
	x.refused = f
	x.route.action.serve(x)
	x.goOn()
}

func (x *exchange) startSpan() {
	h := x.r.Fields
	x.span = x.d.g.tracer.Start(tracing.Request{
		Traceparent: h.Get("Traceparent"), Tracestate: strings.Join(slices.Collect(h.Values("Tracestate")), ","),
		Start: x.entry.Time, Method: x.r.Method, Scheme: x.scheme, Host: x.host, Path: x.path,
		Proto: x.r.Proto(), Client: x.client.Addr(), UserAgent: h.Get("User-Agent"),
	})
	x.span.SetRoute(x.site.name, x.route.name)
}

// leave ends the exchange and turns a panic of ours into a clear answer.
func (x *exchange) leave() {
	if p := recover(); p != nil {
		x.d.g.log.Error("panic while serving", "panic", fmt.Sprint(p), "request", x.id, "stack", string(debug.Stack()))
		x.w, x.started = &x.edge, x.edge.status != 0 // past the filters, which are in the middle of something
		x.cut = x.started
		if !x.started {
			x.failPlain(&failure{status: http.StatusInternalServerError, cause: "headgate failed while it served this request", cure: "please report it with the log line of this request", kind: "panic"})
		}
	}
	if x.cut {
		x.s.Abort()
	}
	x.finish()
	x.d.g.exchanges.put(x)
}

// enter decides everything about the request that does not depend on its route,
// and then the route. It returns why the request is refused, or nil.
func (x *exchange) enter() *failure {
	x.id = requestID(x.r.Fields)
	x.client = x.conn.peer.Addr()
	x.scheme, x.host = x.d.scheme(), x.r.Host
	if r := x.r.Refusal; r != nil {
		return &failure{status: r.Status, kind: r.Kind, cause: r.Cause, cure: r.Cure, close: true}
	}
	if f := x.checkMethod(); f != nil {
		return f
	}
	if f := x.checkHead(); f != nil {
		return f
	}
	if f := x.decideTarget(); f != nil {
		return f
	}
	f := x.decideHost()
	switch {
	case x.answersChallenge():
		return nil
	case f != nil:
		return f
	}
	return x.decideRoute()
}

func (x *exchange) checkMethod() *failure {
	switch x.r.Method {
	case http.MethodTrace, http.MethodConnect:
		return &failure{
			status: http.StatusMethodNotAllowed, kind: "method",
			cause: "the method " + x.r.Method + " is not served",
		}
	}
	return nil
}

// checkHead holds the head of the request against the limits.
func (x *exchange) checkHead() *failure {
	l := &x.gen.limits
	if n := len(x.r.Target); n > l.uriBytes {
		return &failure{
			status: http.StatusRequestURITooLong, kind: "uri_bytes",
			cause: fmt.Sprintf("the address has %d bytes; the limit is %d", n, l.uriBytes),
			cure:  "send long data in the body, or raise limits.uri_bytes",
		}
	}
	fields := len(x.r.Fields)
	var size, biggest int
	var name string
	for i := range x.r.Fields {
		f := &x.r.Fields[i]
		n := len(f.Name) + len(f.Value)
		if n > biggest {
			biggest, name = n, f.Name
		}
		size += n
	}
	name = http.CanonicalHeaderKey(name)
	switch {
	case size > l.headerBytes:
		return &failure{
			status: http.StatusRequestHeaderFieldsTooLarge, kind: "header_bytes",
			cause: fmt.Sprintf("the header has %d bytes; the limit is %d; the biggest field is %s with %d bytes", size, l.headerBytes, name, biggest),
			cure:  "make " + name + " smaller, or raise limits.header_bytes",
		}
	case fields > l.headers:
		return &failure{
			status: http.StatusRequestHeaderFieldsTooLarge, kind: "headers",
			cause: fmt.Sprintf("the header has %d fields; the limit is %d", fields, l.headers),
			cure:  "send fewer header fields, or raise limits.headers",
		}
	}
	return nil
}

// decideTarget takes the request target apart and decides the one canonical path.
func (x *exchange) decideTarget() *failure {
	target := x.r.Target
	if target == "*" && x.r.Method == http.MethodOptions {
		x.path = "*"
		return nil
	}
	raw, query, _ := strings.Cut(target, "?")
	path, err := routing.CanonicalPath(raw)
	if err != nil {
		return &failure{status: http.StatusBadRequest, kind: "target", cause: "the path of the address is not valid: " + err.Error()}
	}
	x.path = path
	x.req.URI, x.req.Query = target, query
	return nil
}

// decideHost decides who the client is and which host it asked for.
func (x *exchange) decideHost() *failure {
	r := x.r
	for h := range r.Fields.Values("Host") {
		if !strings.EqualFold(h, r.Host) && r.Major > 1 { // of HTTP/1.1 the engine has seen to it
			return badHost(fmt.Sprintf("the Host field %q and the authority %q do not agree", h, r.Host))
		}
	}
	x.fwd = forwarded.Resolve(x.gen.trust, x.conn.peer, x.d.secure, r.Fields, r.Host)
	x.client, x.scheme, x.host = x.fwd.Client, x.fwd.Scheme, x.fwd.Host
	if x.host == "" && !r.Interims() { // HTTP/1.0 knows no Host
		return nil
	}
	name, _, err := routing.NormalizeHost(x.host)
	if err != nil {
		return badHost("the host is not valid: " + err.Error())
	}
	x.name = name
	return nil
}

func badHost(cause string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "host", cause: cause}
}

// decideRoute finds the site and the route, and refuses what must not be
// answered on this connection.
func (x *exchange) decideRoute() *failure {
	if f := x.checkConnection(); f != nil {
		return f
	}
	s, ok := x.gen.table.LookupSite(x.name)
	if !ok {
		return &failure{
			status: http.StatusNotFound, kind: "no_site",
			cause: fmt.Sprintf("no site answers to the host %q", x.name),
			cure:  "add it to the hosts of a site, or a site without hosts for all the others",
		}
	}
	x.site = s
	x.site.counters.Begin()
	x.route = s.unrouted
	if x.site.redirect && x.scheme == "http" {
		x.route = x.site.toHTTPS
		return nil
	}
	if x.site.auth != nil {
		if f := x.checkClient(); f != nil {
			return f
		}
	}
	if x.path == "*" {
		x.route = optionsRoute
		return nil
	}
	return x.findRoute(false)
}

// findRoute finds the route of x.path. Those that are internal are there only for
// what the gateway itself leads a request to.
func (x *exchange) findRoute(internal bool) *failure {
	x.badIf = nil
	ask := routing.Request{Method: x.r.Method, Host: x.name, Path: x.path}
	x.match = x.gen.table.Lookup(ask, x.onCondition)
	m := &x.match
	if m.Found == routing.NoMethod && ask.Method == http.MethodOptions && x.r.Fields.Has("Origin") {
		ask.Method = x.r.Fields.Get("Access-Control-Request-Method")
		if about := x.gen.table.Lookup(ask, x.onCondition); about.Found == routing.SiteRoute && about.Route.cors {
			*m = about // its filter answers the preflight
		}
	}
	switch {
	case x.badIf != nil:
		return &failure{
			status: http.StatusBadRequest, kind: "condition", err: x.badIf,
			cause: "whether a route is meant cannot be told from this request: " + x.badIf.Error(), cure: "mend the condition (when) of the route, or send what it asks for",
		}
	case m.Found == routing.NoMethod:
		return &failure{
			status: http.StatusMethodNotAllowed, kind: "method", allow: strings.Join(m.Allow(), ", "),
			cause: fmt.Sprintf("the method %s is not served at the path %q", x.r.Method, x.path),
		}
	case m.Found == routing.SiteRoute && m.Route.internal && !internal:
		return &failure{
			status: http.StatusNotFound, kind: "internal",
			cause: x.noRoute(), // clients are not told more
			cure:  "the route " + m.Route.name + " is internal: only X-Accel-Redirect and errors lead to it",
		}
	case m.Found == routing.NoRoute:
		return &failure{
			status: http.StatusNotFound, kind: "no_route",
			cause: x.noRoute(),
			cure:  "add a route without path for everything else",
		}
	}
	x.route = m.Route
	x.req.ScriptName, x.req.PathInfo = m.ScriptName, m.PathInfo
	return nil
}

func (x *exchange) noRoute() string {
	return fmt.Sprintf("no route of the site %s matches the path %q", x.site.name, x.path)
}

// holds reports whether the condition of a route does. One that has no value counts
// as if it held, and then the request is refused.
func (x *exchange) holds(r *route) bool {
	ok, err := r.when.Bool(x.view())
	if err != nil {
		x.badIf = err
		return true
	}
	return ok
}

// checkConnection refuses a host that this connection was not made for: one that
// its certificate does not cover, or whose clients have to show other
// certificates of their own. A client that shares connections between hosts (RFC
// 9113, 9.1.1) asks again on another one.
func (x *exchange) checkConnection() *failure {
	tls := x.tls
	if x.d.secure && x.r.Major > 1 && x.r.Scheme != "https" {
		return &failure{status: http.StatusBadRequest, kind: "scheme", cause: "the scheme of the request is not https, and the connection is"}
	}
	if tls == nil {
		return nil
	}
	if tls.NegotiatedProtocol == certs.ALPNProto { // RFC 8737: nothing is said on it
		return &failure{status: http.StatusMisdirectedRequest, kind: "misdirected", close: true, cause: "this connection was made to answer an authority"}
	}
	store := x.d.g.certs
	if tls.ServerName != "" && !x.fwd.Trusted && !store.Covers(tls.ServerName, x.name) {
		return &failure{
			status: http.StatusMisdirectedRequest, kind: "misdirected",
			cause: fmt.Sprintf("this connection was made for %q, whose certificate is not valid for the host %q", tls.ServerName, x.name),
			cure:  "connect with that host as the server name (SNI)",
		}
	}
	if x.gen.certs == nil || store.Admits(tls, x.name) { // nil: there are no connections, Explain asks
		return nil
	}
	f := &failure{status: http.StatusMisdirectedRequest, kind: "misdirected", close: true} // holds for proxies too: TLS has checked them, not who is behind them
	if store.SamePolicy(tls.ServerName, x.name) {
		f.cause = fmt.Sprintf("this connection was made before what the host %q asks of TLS and of certificates of clients now", x.name)
		f.cure = "connect again"
	} else {
		f.cause = fmt.Sprintf("this connection was made for %s, whose clients need other certificates than those of the host %q", serverName(tls.ServerName), x.name)
		f.cure = "connect with that host as the server name (SNI)"
	}
	return f
}

// serverName is what a client sent as SNI, for people.
func serverName(sni string) string {
	if sni == "" {
		return "no server name"
	}
	return strconv.Quote(sni)
}
