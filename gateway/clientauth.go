package gateway

import (
	"fmt"
	"net/http"

	"headgate/tls/certs"
	"headgate/upstream/uwsgi"
)

// clientAuth is what a site wants of the certificates of its clients. It is of
// one generation, so that a pointer to it names one.
type clientAuth struct {
	required bool
	send     bool // the certificate itself to the app
}

// modeRequest is the mode of client_auth in which a client may have no certificate.
const modeRequest = "request"

// newClientAuth returns nil for a site that asks for none.
func newClientAuth(o certs.ClientAuth) *clientAuth {
	if o.CA == "" {
		return nil
	}
	return &clientAuth{required: o.Mode != modeRequest, send: o.Certificate}
}

// checkClient refuses a request that cannot have the certificate that its site
// requires: what came over TLS has been checked, but a trusted proxy may say https
// and have ended it.
func (x *exchange) checkClient() *failure {
	if x.tls != nil || !x.site.auth.required {
		return nil
	}
	return &failure{
		status: http.StatusForbidden, kind: "client_certificate",
		cause: fmt.Sprintf("the site %s requires certificates of its clients, and this request came through a proxy without TLS, which cannot show one", x.site.name),
		cure:  "let the proxy pass TLS through to an https listener, or write tls.client_auth: {mode: request} and check in the app",
	}
}

// clientVars appends what the app is told of the client's certificate. The names
// are no HTTP_ ones, so no client can send them.
func (x *exchange) clientVars(to []uwsgi.Var) []uwsgi.Var {
	known := x.conn
	v := known.client.Load()
	if v == nil || v.auth != x.site.auth {
		v = newClientVars(x)
		known.client.Store(v)
	}
	return append(to, v.vars...)
}

// blameCertificate adds to a request that is too big for a worker what of it is
// not the client's doing.
func (x *exchange) blameCertificate(f *failure) {
	const key = "SSL_CLIENT_CERT"
	for _, v := range x.req.Extra {
		if v.Key == key && len(v.Value) > 0 {
			f.cause += fmt.Sprintf("; the client's certificate takes %d of them as %s", len(v.Value), key)
			f.cure += "; or let the app do without " + key + " (tls.client_auth.certificate: false)"
		}
	}
}

// clientVars are the variables about a client's certificate for a site.
type clientVars struct {
	auth *clientAuth
	vars []uwsgi.Var
}

func newClientVars(x *exchange) *clientVars {
	v := &clientVars{auth: x.site.auth}
	for _, c := range certs.ClientVars(x.tls, v.auth.send) {
		v.vars = append(v.vars, uwsgi.Var{Key: c[0], Value: c[1]})
	}
	return v
}
