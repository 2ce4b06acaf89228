package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/forwarded"
	"headgate/gateway/relay"
	"headgate/gateway/stats"
	"headgate/routing"
	"headgate/tls/certs"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// generation is everything that requests read, built from one configuration. It
// is immutable; a reload builds a new one and swaps.
type generation struct {
	number uint64
	hash   string
	at     time.Time
	conf   *config.Config

	limits    limits
	trust     forwarded.Trust
	operators forwarded.Trust
	table     *routing.Table[*site, *route]
	pools     map[string]*pool
	change    *upstream.Change[*backend] // makes the pools be as they are meant to
	nobody    *site                      // counts what no site answers
	unrouted  *route                     // the limits of a request before its route is known
	certs     *certs.Set
	h3        bool
	httpsPort string // for redirects: "" is 443
	grace     time.Duration
	bodies    *uwsgi.SpoolMemory // outlives generations
}

// limits are those that hold before a route is known.
type limits struct {
	headerBytes, headers, uriBytes int
	relay                          relay.Limits
}

// site is one site of a generation.
type site struct {
	name       string
	serverName string // SERVER_NAME: the first host, "" when it is a pattern
	redirect   bool   // plain http goes to https
	toHTTPS    *route
	auth       *clientAuth // nil: no certificates of clients
	counters   *stats.SiteCounters
}

// route is one route of a site.
type route struct {
	name   string // as the configuration has it, for spans and explain
	action action

	bodyLimit           int64 // 0: none
	bodyIdle, writeIdle time.Duration
	stream              bool
	spooler             *uwsgi.Spooler
}

// action answers a request. It is called once, with everything decided.
type action interface{ serve(x *exchange) }

// newGeneration builds what requests read. It opens no socket, and changes
// nothing of old. The caller applies its change, or discards it.
func (g *Gateway) newGeneration(c *config.Config, old *generation) (*generation, error) {
	gen := &generation{
		number: 1, at: time.Now(), conf: c, hash: c.Hash(),
		limits:   newLimits(c.Limits),
		pools:    make(map[string]*pool, len(c.Pools)),
		nobody:   &site{name: "-", counters: g.counters.Site("-")},
		unrouted: &route{writeIdle: c.Limits.Route.WriteIdleTimeout},
		h3:       c.Listen.UseHTTP3(),
		grace:    max(c.Grace, 0),
		bodies:   g.bodies,
	}
	if old != nil {
		gen.number = old.number + 1
	}
	var err error
	if gen.trust, err = forwarded.ParseTrust(c.Listen.TrustedProxies); err != nil {
		return nil, fmt.Errorf("listen.trusted_proxies: %w", err)
	}
	if gen.operators, err = forwarded.ParseTrust(c.Admin.Operators); err != nil {
		return nil, fmt.Errorf("admin.operators: %w", err)
	}
	if len(c.Listen.HTTPS) > 0 {
		if _, port, err := net.SplitHostPort(c.Listen.HTTPS[0]); err == nil && port != "443" {
			gen.httpsPort = port
		}
	}
	if err := gen.buildPools(g); err != nil {
		return nil, err
	}
	if err := gen.buildTable(g.counters); err != nil {
		gen.change.Discard()
		return nil, err
	}
	return gen, nil
}

// buildPools makes the pools ready. They change when change is applied.
func (g *generation) buildPools(of *Gateway) error {
	specs := make(map[string]upstream.Spec[*backend], len(g.conf.Pools))
	for name, c := range g.conf.Pools {
		var err error
		if specs[name], err = specOf(name, c, g.hostOf(name), of.counters.Pool(name), of.log); err != nil {
			return err
		}
	}
	var err error
	if g.change, err = of.pools.Build(specs); err != nil {
		return err
	}
	for name, c := range g.conf.Pools {
		if g.pools[name], err = newPool(g.change.Pool(name), c, of.counters.Pool(name)); err != nil {
			g.change.Discard()
			return err
		}
	}
	return nil
}

func newLimits(l config.Limits) limits {
	return limits{
		headerBytes: int(l.HeaderBytes), headers: l.Headers, uriBytes: int(l.URIBytes),
		relay: relay.Limits{Memory: int64(l.ResponseMemory), File: int64(l.ResponseFile)},
	}
}

func (g *generation) buildTable(counters *stats.Counters) error {
	var sites []routing.Site[*site, *route]
	for _, c := range g.conf.Sites {
		s := newSite(c, counters)
		rs := routing.Site[*site, *route]{Hosts: c.Hosts, Value: s}
		for _, rc := range c.Routes {
			r, err := g.newRoute(rc)
			if err != nil {
				return fmt.Errorf("site %s: %w", s.name, err)
			}
			rs.Routes = append(rs.Routes, routing.Route[*route]{Path: rc.Path, Mount: rc.Mount, Value: r})
		}
		sites = append(sites, rs)
	}
	var err error
	g.table, err = routing.NewTable(sites)
	return err
}

func newSite(c config.Site, counters *stats.Counters) *site {
	name := siteName(c)
	s := &site{name: name, redirect: c.HTTP == config.HTTPRedirect, auth: newClientAuth(c.TLS.ClientAuth), counters: counters.Site(name)}
	if name[0] != '*' {
		s.serverName = name
	}
	s.toHTTPS = &route{name: "http: redirect", action: toHTTPS{}, writeIdle: c.Limits.WriteIdleTimeout}
	return s
}

// siteName is the first host of a site, "*" for the site of all other hosts.
func siteName(c config.Site) string {
	if len(c.Hosts) == 0 {
		return "*"
	}
	return c.Hosts[0]
}

var errNoAction = errors.New("a route says nothing to do")

func (g *generation) newRoute(c config.Route) (*route, error) {
	r := &route{
		name: c.Path, stream: c.RequestBody == config.BodyStream,
		bodyLimit: max(int64(c.Limits.Body), 0), bodyIdle: c.Limits.BodyIdleTimeout, writeIdle: c.Limits.WriteIdleTimeout,
		spooler: &uwsgi.Spooler{Memory: int64(g.conf.Limits.BodyMemory), Max: int64(c.Limits.Body), Shared: g.bodies},
	}
	if c.Mount != "" {
		r.name = "mount " + c.Mount
	}
	if r.name == "" {
		r.name = "/"
	}
	switch {
	case c.Pool != "":
		r.action = &passTo{pool: g.pools[c.Pool], priority: c.Priority, safe: c.Retry == config.RetrySafe, said: newSafe()}
	case c.Redirect != nil:
		r.action = redirectTo{status: c.Redirect.Status, to: c.Redirect.To}
	case c.Respond != nil:
		r.action = respondWith{status: c.Respond.Status, contentType: c.Respond.Type, body: []byte(c.Respond.Body)}
	default:
		return nil, errNoAction
	}
	return r, nil
}

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
	to     string
}

func (a redirectTo) serve(x *exchange) { x.redirect(a.status, a.to) }

func (x *exchange) redirect(status int, to string) {
	x.out.Add("Location", to)
	x.writeHead(status, 0)
}

// options answers "OPTIONS *", which asks about the server (RFC 9110, 9.3.7).
var optionsRoute = &route{name: "*", action: respondWith{status: http.StatusNoContent}}
