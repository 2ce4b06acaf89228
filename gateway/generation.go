package gateway

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/expression"
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
	begun  time.Time // the gateway, not the generation
	conf   *config.Config

	limits    limits
	trust     forwarded.Trust
	operators forwarded.Trust
	table     *routing.Table[*site, *route]
	pools     map[string]*pool
	families  map[string]*family         // the pools that have an app for each host
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
	unrouted   *route       // of requests whose route is not known
	auth       *clientAuth  // nil: no certificates of clients
	switched   *atomic.Bool // maintenance, by an operator
	counters   *stats.SiteCounters
}

// route is one route of a site.
type route struct {
	name     string // as the configuration has it, for spans and explain
	action   action
	sending  action              // of files that the app has named; nil: it may name none
	when     *expression.Program // its condition; nil: none
	internal bool                // not for clients
	cors     bool                // preflights are answered
	filters  *config.Filters     // for explain

	pages *pages // in place of errors; nil: ours

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
		number: 1, at: time.Now(), begun: g.started, conf: c, hash: c.Hash(),
		limits:   newLimits(c.Limits),
		pools:    make(map[string]*pool, len(c.Pools)),
		families: make(map[string]*family),
		nobody:   &site{name: "-", counters: g.counters.Site("-")},
		unrouted: &route{action: failing{}, writeIdle: c.Limits.Route.WriteIdleTimeout},
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
	if err := g.newBuilder(gen).buildTable(); err != nil {
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
		if c.Subscriptions {
			if specs[name], err = specOfFamily(name, c, g.conf.Subscriptions.MaxKeys, of); err != nil {
				return err
			}
			continue
		}
		if specs[name], err = specOf(name, c, g.hostOf(name), of.counters.Pool(name), of.log); err != nil {
			return err
		}
		if c.Workers != nil {
			spec := specs[name]
			key, workers := of.supervisors.of(name, c)
			spec.Sources = map[string]upstream.Source{key.source(): workers}
			specs[name] = spec
		}
	}
	var err error
	if g.change, err = of.pools.Build(specs); err != nil {
		return err
	}
	for name, c := range g.conf.Pools {
		if c.Subscriptions {
			g.families[name] = &family{Family: g.change.Family(name), conf: c, counters: of.counters.Pool(name)}
			continue
		}
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
