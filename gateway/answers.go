package gateway

import (
	"net"
	"net/http"
	"strings"

	"headgate/gateway/wire"
	"headgate/routing"
)

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

// optionsRoute answers "OPTIONS *", which asks about the server (RFC 9110, 9.3.7).
var optionsRoute = &route{name: "*", action: respondWith{status: http.StatusNoContent}}

// toHTTPS answers plain http with the same address on https.
type toHTTPS struct{}

func (toHTTPS) serve(x *exchange) {
	host := x.name
	if host == "" {
		x.fail(badHost("the request names no host, so there is no https address to send it to"))
		return
	}
	if port := x.gen.httpsPort; port != "" {
		host = net.JoinHostPort(trimBrackets(host), port)
	}
	x.redirect(http.StatusPermanentRedirect, "https://"+host+x.req.URI)
}

func trimBrackets(host string) string {
	if len(host) > 1 && host[0] == '[' {
		return host[1 : len(host)-1]
	}
	return host
}

// redirectTo sends the client elsewhere.
type redirectTo struct {
	status int
	to     *routing.Template
}

func (a redirectTo) serve(x *exchange) {
	x.redirect(a.status, a.to.Location(x.template()))
}

func (x *exchange) redirect(status int, to string) {
	x.out.Add("Location", to)
	x.writeHead(status, 0)
}

// template is what the templates of a route may name.
func (x *exchange) template() routing.Input {
	return routing.Input{Captures: x.match.Captures(), Host: x.host, Path: x.path, Query: x.req.Query, URI: x.req.URI}
}

// rewrite changes the path and the query that its action sees. Without one, the
// routes are gone through again.
type rewrite struct {
	next        action // nil: none
	path, query *routing.Template
}

func (a rewrite) serve(x *exchange) {
	switch f := a.apply(x); {
	case f != nil:
		x.fail(f)
	case a.next != nil:
		a.next.serve(x)
	}
}

// apply rewrites x, or says where it is to go on.
func (a rewrite) apply(x *exchange) *failure {
	in := x.template()
	path, query := x.path, x.req.Query
	if a.path != nil {
		var err error
		if path, err = a.path.Path(in); err != nil {
			return &failure{status: http.StatusNotFound, kind: "rewrite", cause: "the path of the request cannot be rewritten: " + err.Error()}
		}
	}
	if a.query != nil {
		query = a.query.QueryText(in)
	}
	if a.next == nil {
		x.again = &again{path: path, query: query}
		return nil
	}
	x.path, x.req.Query = path, query
	x.req.PathInfo = path
	if script := x.req.ScriptName; script != "" {
		if rest, ok := strings.CutPrefix(path, script); ok && (rest == "" || rest[0] == '/') {
			x.req.PathInfo = rest
		} else { // it has left the mount
			x.req.ScriptName = ""
		}
	}
	return nil
}

// refuse is a filter's answer to those who may not pass.
func (x *exchange) refuse(status int, kind, cause, cure string, fields ...wire.Field) {
	x.fail(&failure{status: status, kind: kind, cause: cause, cure: cure, fields: fields})
}
