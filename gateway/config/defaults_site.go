package config

import (
	"slices"

	"headgate/upstream"
)

func (s *Site) setDefaults(c *Config, names rateNames) {
	if len(c.Listen.HTTPS) > 0 && !isNone(c.TLS.IssuersOf(s.TLS)) {
		setDefault(&s.HTTP, HTTPRedirect)
	}
	setDefault(&s.HTTP, HTTPServe)
	if s.TLS.ClientAuth.CA != "" {
		setDefault(&s.TLS.ClientAuth.Mode, "require")
		setDefault(&s.TLS.ClientAuth.Depth, 1)
	}
	s.Limits.inherit(c.Limits.Route)
	host := "default"
	if len(s.Hosts) > 0 {
		host = s.Hosts[0]
	}
	names.fill(&s.Filters.RateLimit, host)
	s.Filters.setDefaults()
	outer := Route{Filters: s.Filters, Limits: s.Limits}
	s.Routes = slices.Clone(s.Routes)
	for i := range s.Routes {
		s.Routes[i].setDefaults(outer, host, names)
	}
}

// setDefaults completes t, which is within outer: a route, or what the site says.
func (t *Route) setDefaults(outer Route, host string, names rateNames) {
	names.fill(&t.Filters.RateLimit, host+t.Mount+t.Path)
	t.Filters.inherit(outer.Filters)
	t.Filters.setDefaults()
	t.Limits.inherit(outer.Limits)
	t.Internal = t.Internal || outer.Internal
	t.inheritAction(outer)
	setDefault(&t.RequestBody, BodySpool)
	setDefault(&t.Retry, RetryIdempotent)
	complete(&t.Files)
	complete(&t.Redirect)
	complete(&t.Respond)
	complete(&t.Split)
	complete(&t.Mirror)
	t.Routes = slices.Clone(t.Routes)
	for i := range t.Routes {
		t.Routes[i].setDefaults(*t, host, names)
	}
}

// inheritAction gives a route that only says how, such as a limit for one address of
// an app, what the route around it does.
func (t *Route) inheritAction(outer Route) {
	if t.acts() || t.Rewrite != nil || t.Mount != "" || !outer.lends(t) {
		return
	}
	t.Pool, t.Split, t.Files = outer.Pool, outer.Split, outer.Files
	if t.Mirror == nil {
		t.Mirror = outer.Mirror
	}
	if t.Sendfile == nil {
		t.Sendfile = outer.Sendfile
	}
	setDefault(&t.RequestBody, outer.RequestBody)
	setDefault(&t.Retry, outer.Retry)
	if t.Priority == upstream.PriorityNormal {
		t.Priority = outer.Priority
	}
}

// lends reports whether inner, a route within t that has no action, has that of t.
// Pools do not mind where their route is; names of files are what follows the
// innermost prefix, so that inner must not have one.
func (t *Route) lends(inner *Route) bool {
	switch {
	case t.Rewrite != nil:
		return false
	case t.Files != nil:
		return inner.Path == "" || inner.Path[0] != '/'
	}
	return t.Pool != "" || t.Split != nil
}

// acts reports whether t says what to do with a request.
func (t *Route) acts() bool {
	return t.Pool != "" || t.Files != nil || t.Redirect != nil || t.Respond != nil || t.Split != nil
}

// WithDefaults returns d with what it does not say filled in.
func (d Redirect) WithDefaults() Redirect {
	setDefault(&d.Status, 308)
	return d
}

// WithDefaults returns d with what it does not say filled in.
func (d Respond) WithDefaults() Respond {
	setDefault(&d.Status, 200)
	if d.File == "" {
		setDefault(&d.Type, "text/plain; charset=utf-8")
	}
	return d
}

// WithDefaults returns s with what it does not say filled in.
func (s Split) WithDefaults() Split {
	setDefault(&s.Cookie, "headgate_split")
	s.Pools = slices.Clone(s.Pools)
	for i := range s.Pools {
		setDefault(&s.Pools[i].Weight, 1)
	}
	return s
}

// WithDefaults returns m with what it does not say filled in.
func (m Mirror) WithDefaults() Mirror {
	setDefault(&m.Percent, 100)
	return m
}
