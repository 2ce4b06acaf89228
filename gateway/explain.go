package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
	"headgate/routing"
	"headgate/upstream/origin"
	"headgate/upstream/uwsgi"
)

// Check builds what Run would build from c, without sockets and without storing
// anything, and reports what is wrong: files of certificates that cannot be used,
// hosts that nobody makes a certificate for, roots of a pool that cannot be read.
// What works but is hardly meant, such as an expired certificate, goes to log.
func Check(c *config.Config, log *slog.Logger) error {
	gen, err := New(dry()).newGeneration(c, nil)
	if err != nil {
		return err
	}
	gen.change.Discard()
	if len(c.Listen.HTTPS) > 0 {
		if err := c.TLS.Check(tlsSites(c), log); err != nil {
			return tlsError(c, err)
		}
	}
	return nil
}

// dry is what a gateway is built with that will not run.
func dry() Setup {
	return Setup{Shared: func(string) (limit.Shared, error) { return nobody{}, nil }}
}

// nobody counts no rates.
type nobody struct{}

// Take implements limit.Shared.
func (nobody) Take(context.Context, string, time.Duration, time.Duration) (time.Duration, bool, error) {
	return 0, true, nil
}

// Explanation says what would become of a request.
type Explanation struct {
	Site, Route string
	Filters     []string // of the route, the client before the first
	Status      int      // of the answer that the gateway itself gives; 0: a pool answers
	Cause, Cure string   // of that answer
	Location    string   // of a redirect
	Files       string   // the directory that is looked into, before the pool
	Split       []string // the pools and their shares; Pool is the first
	Pool        string
	Dialect     string
	Members     []string
	Vars        []uwsgi.Var // as the worker would see them
	Bytes       int         // that they need
	Request     string      // the line of the request that an HTTP member would see
	Fields      []string    // of the header that an HTTP member would see, sorted
}

// RequestError is what Explain returns for arguments that make no request.
type RequestError struct{ Err error }

// Error implements error.
func (e *RequestError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong with them.
func (e *RequestError) Unwrap() error { return e.Err }

// Explain takes a request through c as a running gateway would, up to the pool,
// and sends nothing. Headers are lines such as "Name: value". The error is
// a *RequestError for arguments that make no request.
func Explain(c *config.Config, method, target string, headers []string) (*Explanation, error) {
	g := New(dry())
	gen, err := g.newGeneration(c, nil)
	if err != nil {
		return nil, err
	}
	defer gen.change.Discard()
	r, err := explainRequest(method, target, headers)
	if err != nil {
		return nil, &RequestError{err}
	}
	rec := &recorder{}
	x := g.exchanges.get(explainConnection(g, r), gen, rec, r)
	e := &Explanation{}
	f := x.enter()
	e.Site, e.Route = x.site.name, x.route.name
	if f != nil {
		e.Route = ""
		e.Status, e.Cause, e.Cure = f.status, f.cause, f.cure
		return e, nil
	}
	return e, e.follow(x, rec)
}

// follow goes from route to route, and tells what the last one does.
func (e *Explanation) follow(x *exchange, rec *recorder) error {
	for range mostAgain {
		e.Route, e.Filters = x.route.name, append(e.Filters, filterNames(x.route.filters)...)
		a, f := walk(x, x.route.action)
		if f != nil {
			e.Status, e.Cause, e.Cure = f.status, f.cause, f.cure
			return nil
		}
		switch a := a.(type) {
		case *passTo:
			return e.describe(x, a.pool.Name())
		case *passByHost:
			return e.describe(x, a.family.Name())
		case *splitTo:
			for _, s := range a.shares {
				e.Split = append(e.Split, fmt.Sprintf("%s %d/%d", s.name, s.weight, a.total))
			}
			return e.describe(x, a.shares[0].to.pool.Name())
		case *serveFiles:
			e.Files = a.root
			switch to := innermost(a.next).(type) {
			case *passTo:
				return e.describe(x, to.pool.Name())
			case *passByHost:
				return e.describe(x, to.family.Name())
			}
			return nil
		case rewrite:
			x.path, x.req.Query, x.again = x.again.path, x.again.query, nil
			if f := x.findRoute(true); f != nil {
				e.Status, e.Cause, e.Cure = f.status, f.cause, f.cure
				return nil
			}
		default:
			a.serve(x)
			e.Status, e.Location = rec.status, rec.fields.Get("Location")
			return nil
		}
	}
	return nil
}

// walk goes through the filters before an action, of which it does what others would
// see of the request. It returns the action, or why it is not reached.
func walk(x *exchange, a action) (action, *failure) {
	for {
		switch f := a.(type) {
		case *maintained:
			if f.by.active(x) && !f.by.passes(x) {
				return nil, f.by.failure()
			}
		case *saying:
			f.set.Request(&x.ownRequest().Fields, x.view)
		case rewrite:
			if failed := f.apply(x); failed != nil || f.next == nil {
				return a, failed
			}
		}
		f, ok := a.(interface{ inner() action })
		if !ok || f.inner() == nil {
			return a, nil
		}
		a = f.inner()
	}
}

// filterNames are the keys of the filters that stand before an action, in their order.
func filterNames(f *config.Filters) (out []string) {
	if f == nil {
		return nil
	}
	a := f.Active()
	for _, is := range []struct {
		name string
		set  bool
	}{
		{"maintenance", a.Maintenance != nil},
		{"access", a.Access != nil},
		{"rate_limit", len(a.RateLimit) > 0},
		{"in_flight", len(a.InFlight) > 0},
		{"cors", a.CORS != nil},
		{"basic_auth", a.BasicAuth != nil},
		{"client_cert", a.ClientCert == config.CertRequired},
		{"cross_origin", a.CrossOrigin != nil},
		{"forward_auth", a.ForwardAuth != nil},
		{"body_types", len(a.BodyTypes) > 0},
		{"headers", a.Headers != nil},
		{"security", a.Security != "" && a.Security != headers.SecurityOff},
		{"server_timing", a.Timing == notation.On},
		{"bandwidth", a.Bandwidth != nil},
		{"cache", a.Cache != nil},
		{"compress", a.Compress != nil},
		{"errors", len(a.Errors) > 0},
	} {
		if is.set {
			out = append(out, is.name)
		}
	}
	return out
}

// describe adds the pool and what its workers would see.
func (e *Explanation) describe(x *exchange, pool string) error {
	c := x.gen.conf.Pools[pool]
	o := c.UWSGI
	e.Pool, e.Dialect = pool, o.Dialect.String()
	for _, m := range c.Members {
		e.Members = append(e.Members, m.Address)
	}
	switch {
	case c.Workers != nil:
		e.Members = []string{"workers: " + targetOf(c.Workers)}
	case c.Subscriptions:
		e.Members = []string{"who has announced " + x.name}
	}
	if x.site.auth != nil && x.tls != nil {
		sample, err := sampleClient()
		if err != nil {
			return err
		}
		x.tls.PeerCertificates, x.tls.VerifiedChains = sample, [][]*x509.Certificate{sample}
	}
	x.describeRequest()
	if c.SpeaksHTTP() {
		r := x.originRequest()
		e.Dialect, e.Request, e.Fields = c.Protocol, r.Method+" "+r.URI+" HTTP/1.1", explainFields(r)
		if c.Protocol == config.ProtocolH2C {
			e.Request = r.Method + " " + r.URI + " HTTP/2"
		}
		return nil
	}
	for i, v := range x.req.Extra {
		if strings.HasPrefix(v.Key, "SSL_CLIENT_") {
			x.req.Extra[i].Value = "(of the client)"
		}
	}
	var enc uwsgi.Encoder
	packet, err := enc.Encode(&x.req, uwsgi.NewConstants(o), o.Dialect, false)
	if err != nil {
		f := upstreamFailure(err)
		e.Status, e.Cause, e.Cure = f.status, f.cause, f.cure
		return nil
	}
	e.Bytes = len(packet) - uwsgi.HeaderBytes
	e.Vars, err = uwsgi.ParseVars(packet[uwsgi.HeaderBytes:])
	return err
}

// explainFields are the fields that r adds to the client's own, and those.
func explainFields(r *origin.Request) []string {
	replaced := make(map[string]bool)
	out := []string{"Host: " + r.Host}
	for _, f := range r.Extra {
		replaced[f.Name] = true
		out = append(out, f.Name+": "+f.Value)
	}
	r.Header.Range(func(name, value string) bool {
		if !replaced[name] {
			out = append(out, name+": "+value)
		}
		return true
	})
	slices.Sort(out)
	return out
}

// sampleClient stands for the certificate of a client, which decides which
// variables there are.
func sampleClient() ([]*x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return []*x509.Certificate{cert}, err
}

// explainRequest makes the request that a client would send by HTTP/1.1.
func explainRequest(method, target string, headers []string) (*wire.Request, error) {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("%q is not an address: write it like https://shop.example.com/path", target)
	}
	if _, err := http.NewRequest(method, "http://x/", nil); err != nil {
		return nil, fmt.Errorf("%q is not a method: write it like GET", method)
	}
	i := strings.IndexAny(rest, "/?")
	uri := "/"
	host := rest
	if i >= 0 {
		host, uri = rest[:i], rest[i:]
		if uri[0] == '?' {
			uri = "/" + uri
		}
	}
	if host == "" {
		return nil, fmt.Errorf("%q names no host", target)
	}
	r := &wire.Request{Method: method, Target: uri, Host: host, Scheme: scheme, Major: 1, Minor: 1}
	for _, line := range headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not a header: write it like \"Accept: text/html\"", line)
		}
		r.Fields.Add(http.CanonicalHeaderKey(name), strings.TrimSpace(value))
	}
	return r, nil
}

// explainConnection is one that was made for r.
func explainConnection(g *Gateway, r *wire.Request) *connection {
	d := &door{g: g, secure: r.Scheme == "https", port: "80"}
	var state *tls.ConnectionState
	if d.secure {
		d.port = "443"
		state = &tls.ConnectionState{ServerName: r.Host}
		if name, _, err := routing.NormalizeHost(r.Host); err == nil {
			state.ServerName = name
		}
	}
	if u := (&url.URL{Host: r.Host}); u.Port() != "" {
		d.port = u.Port()
	}
	return d.newConnection(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 50000), netip.AddrPort{}, state)
}

// String returns the explanation for people.
func (e *Explanation) String() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-9s %s\n", name, value)
		}
	}
	line("site", e.Site)
	line("route", e.Route)
	line("filters", strings.Join(e.Filters, " "))
	line("files", e.Files)
	line("split", strings.Join(e.Split, " "))
	if e.Status != 0 {
		line("answer", fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status)))
	}
	line("location", e.Location)
	line("cause", e.Cause)
	line("cure", e.Cure)
	line("pool", e.Pool)
	line("members", strings.Join(e.Members, " "))
	line("dialect", e.Dialect)
	line("request", e.Request)
	if e.Fields != nil {
		fmt.Fprintf(&b, "header fields (%d)\n", len(e.Fields))
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	if e.Vars != nil {
		fmt.Fprintf(&b, "variables (%d, %d bytes)\n", len(e.Vars), e.Bytes)
		for _, v := range e.Vars {
			fmt.Fprintf(&b, "  %s=%s\n", v.Key, v.Value)
		}
	}
	return b.String()
}

// recorder takes the answer that a route gives without a worker.
type recorder struct {
	wire.Stream // nothing else of it is asked for
	fields      wire.Fields
	status      int
}

// WriteHead implements wire.Stream.
func (r *recorder) WriteHead(status int, f wire.Fields, _ int64) { r.status, r.fields = status, f }

// Write implements wire.Stream.
func (r *recorder) Write(p []byte) (int, error) { return len(p), nil }

// CloseAfter implements wire.Stream.
func (r *recorder) CloseAfter() {}
