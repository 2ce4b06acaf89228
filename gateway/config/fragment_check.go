package config

import (
	"slices"
	"strings"
)

// checkAlone reports what is wrong with f whatever the rest of the configuration is:
// the pools and the issuers that it names are there, all is listened on, and what comes
// over plain http may have come over https to somebody before.
func (f *Fragment) checkAlone(r *report) {
	c := &Config{Listen: Listen{HTTP: []string{":80"}, HTTPS: []string{":443"}, TrustedProxies: []string{"10.0.0.0/8"}}, Pools: map[string]Pool{}}
	c.SetDefaults()
	for _, name := range f.poolsOfOthers() {
		c.Pools[name] = Pool{}
	}
	site := f.Site
	site.setDefaults(c, namesOf([]Site{site}))
	c.Sites = []Site{site}
	if f.Pool != nil {
		p := *f.Pool
		p.setDefaults()
		c.Pools[f.Name] = p
	}
	c.checkFragment(r, f, rateOwners{})
}

// standsAlone reports whether checkAlone has found all that can be found of f but for
// its hosts and its certificates: it names no pools of others, and has no filter that
// minds who else comes.
func (f *Fragment) standsAlone() bool {
	minds := func(s Filters) bool { return s.BasicAuth != nil || s.ClientCert != "" }
	found := minds(f.Site.Filters) || f.places == nil
	eachRoute(f.Site.Routes, func(t *Route) { found = found || minds(t.Filters) })
	return !found && len(f.poolsOfOthers()) == 0
}

// poolsOfOthers are the pools that f names, but for its own.
func (f *Fragment) poolsOfOthers() (names []string) {
	add := func(name string) {
		if name != "" && name != f.Name {
			names = append(names, name)
		}
	}
	filters := func(s Filters) {
		if s.ForwardAuth != nil {
			add(s.ForwardAuth.Pool)
		}
		for _, page := range s.Errors {
			add(page.Pool)
		}
	}
	filters(f.Site.Filters)
	eachRoute(f.Site.Routes, func(t *Route) {
		add(t.Pool)
		filters(t.Filters)
		if t.Mirror != nil {
			add(t.Mirror.Pool)
		}
		if t.Split != nil {
			for _, s := range t.Split.Pools {
				add(s.Pool)
			}
		}
	})
	return names
}

// checkFragment checks the pool and the site of f, which is the only one of c.
func (c *Config) checkFragment(r *report, f *Fragment, rates rateOwners) {
	pool, p := f.paths()
	if f.Pool != nil {
		c.Pools[f.Name].check(r, pool, f.Name)
	}
	s := c.Sites[0]
	s.checkHosts(r, p, 0, map[string]int{})
	k := &siteChecker{c: c, r: r, s: s, at: p, used: map[string]bool{}, rates: rates}
	k.filters(p, s.Filters, Filters{})
	k.routes(p, s.Routes, nil, "")
	k.table()
	k.internal()
	checkReach(r, p, s.Routes)
	leaf(r, p.key("tls"), s.TLS)
}

// checkFragmentWithin checks the same of the site against the rest of c: who listens,
// and who makes certificates.
func (c *Config) checkFragmentWithin(r *report, f *Fragment) {
	_, p := f.paths()
	s := c.Sites[0]
	if s.HTTP == HTTPRedirect && len(c.Listen.HTTPS) == 0 {
		r.check(p.key("http"), p, "http: redirect leads to https, and nothing listens there", "set listen.https, or write http: serve")
	}
	c.checkIssuerNames(r, p.keys("tls.issuer"), p, s.TLS.Issuer)
	c.checkClientAuth(r, p, s)
	if len(c.Listen.HTTPS) == 0 {
		return
	}
	c.checkIssuer(r)
	c.checkReached(r)
	others := func(e *Error) bool {
		return !strings.HasPrefix(e.Path, "sites[0]") && !strings.HasPrefix(e.Path, "pools."+f.Name)
	}
	r.errs = slices.DeleteFunc(r.errs, others)
	r.warnings = slices.DeleteFunc(r.warnings, others)
}
