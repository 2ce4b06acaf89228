package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"headgate/gateway/config"
	"headgate/gateway/files"
	"headgate/gateway/notation"
	"headgate/routing"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// builder makes the routes of a generation. What routes have in common because a
// site says it for all is made once.
type builder struct {
	g    *Gateway
	gen  *generation
	made map[any]any // by where the configuration says it

	site    *site
	hosts   []string // of it, without patterns
	pattern string   // of the route that is being made: what its templates may name
	whens   []string // its conditions, those of the routes that it is in first
}

func (g *Gateway) newBuilder(gen *generation) *builder {
	return &builder{g: g, gen: gen, made: make(map[any]any)}
}

// once returns what was made for a key, or makes it.
func once[V any](b *builder, key any, from func() (V, error)) (V, error) {
	if v, ok := b.made[key]; ok {
		return v.(V), nil
	}
	v, err := from()
	if err == nil {
		b.made[key] = v
	}
	return v, err
}

// buildTable makes the sites and routes of a generation.
func (b *builder) buildTable() error {
	var sites []routing.Site[*site, *route]
	for i := range b.gen.conf.Sites {
		c := &b.gen.conf.Sites[i]
		s := newSite(*c, b.g.counters)
		b.site = s
		b.hosts = slices.DeleteFunc(slices.Clone(c.Hosts), func(h string) bool { return strings.HasPrefix(h, "*") })
		s.switched = b.g.switches.of(s.name)
		var err error
		if s.unrouted, err = b.unrouted(c); err != nil {
			return fmt.Errorf("site %s: %w", s.name, err)
		}
		rs := routing.Site[*site, *route]{Hosts: c.Hosts, Value: s}
		if rs.Routes, err = b.routes(c.Routes, ""); err != nil {
			return fmt.Errorf("site %s: %w", s.name, err)
		}
		sites = append(sites, rs)
	}
	var err error
	b.gen.table, err = routing.NewTable(sites)
	return err
}

// unrouted makes what answers requests that no route of a site serves.
func (b *builder) unrouted(c *config.Site) (*route, error) {
	r := &route{name: "", writeIdle: c.Limits.WriteIdleTimeout}
	var err error
	if r.pages, err = b.pages(&c.Filters); err != nil {
		return nil, err
	}
	all := &config.Route{Filters: c.Filters}
	if r.action, err = b.maintenance(all, failing{}); err != nil {
		return nil, err
	}
	r.action, err = b.answerHeaders(all, r.action)
	return r, err
}

// routes makes routes that are nested in one whose captures pattern makes.
func (b *builder) routes(cs []config.Route, pattern string) (out []routing.Route[*route], err error) {
	var errs []error
	outer := slices.Clip(b.whens)
	for i := range cs {
		c := &cs[i]
		inner := pattern
		if strings.HasPrefix(c.Path, "~") {
			inner = c.Path
		}
		b.pattern, b.whens = inner, append(outer, c.When)
		r, err := b.route(c)
		if err != nil {
			errs = append(errs, fmt.Errorf("route %s: %w", cmp.Or(c.Path, c.Mount, "/"), err))
			continue
		}
		nested, err := b.routes(c.Routes, inner)
		b.whens = outer
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, routing.Route[*route]{
			Path: c.Path, Mount: c.Mount, Methods: c.Method, Condition: r.when != nil, Routes: nested, Value: r, None: r.action == nil,
		})
	}
	return out, errors.Join(errs...)
}

// route makes one route. Its action is nil if it has only nested ones.
func (b *builder) route(c *config.Route) (*route, error) {
	r := &route{
		name: cmp.Or(c.Path, "/"), internal: c.Internal, stream: c.RequestBody == config.BodyStream,
		bodyLimit: max(int64(c.Limits.Body), 0), bodyIdle: c.Limits.BodyIdleTimeout, writeIdle: c.Limits.WriteIdleTimeout,
		spooler: &uwsgi.Spooler{Memory: int64(b.gen.conf.Limits.BodyMemory), Max: int64(c.Limits.Body), Shared: b.gen.bodies},
	}
	if c.Mount != "" {
		r.name = "mount " + c.Mount
	}
	var err error
	if r.when, err = condition("when", c.When); err != nil {
		return nil, err
	}
	if r.pages, err = b.pages(&c.Filters); err != nil {
		return nil, err
	}
	if r.action, err = b.action(c); err != nil || r.action == nil && c.Rewrite == nil {
		return r, err
	}
	r.action, err = b.filters(c, r)
	return r, err
}

// action makes what the route does at last; nil if that is nothing.
func (b *builder) action(c *config.Route) (a action, err error) {
	switch {
	case b.gen.families[c.Pool] != nil:
		a, err = b.passByHost(c)
	case c.Pool != "":
		a, err = b.pass(c)
	case c.Split != nil:
		a, err = b.split(c)
	case c.Redirect != nil:
		var to *routing.Template
		to, err = routing.ParseTemplate(c.Redirect.To, b.pattern)
		a = redirectTo{status: c.Redirect.Status, to: to}
	case c.Respond != nil:
		a, err = respond(c.Respond)
	}
	if err != nil {
		return nil, err
	}
	if c.Mirror != nil {
		to := b.toPool(c.Mirror.Pool)
		to.priority = upstream.PriorityLow
		a = &mirror{next: a, to: to, percent: c.Mirror.Percent}
	}
	if c.Files != nil {
		dir, err := files.New(*c.Files, b.g.log)
		if err != nil {
			return nil, fmt.Errorf("files: %w", err)
		}
		a = &serveFiles{dir: dir, root: c.Files.Root, next: a}
	}
	return a, nil
}

// toPool passes to a pool, without anything that a route says.
func (b *builder) toPool(name string) *passTo {
	return &passTo{pool: b.gen.pools[name], priority: upstream.PriorityNormal}
}

func (b *builder) pass(c *config.Route) (*passTo, error) {
	roots, err := newSendfile(c.Sendfile)
	if err != nil {
		return nil, err
	}
	return &passTo{
		pool: b.gen.pools[c.Pool], priority: c.Priority, safe: c.Retry == config.RetrySafe, said: newSafe(),
		sendfile: roots, cached: cachedBy(c),
	}, nil
}

// passByHost passes to the app of each host.
func (b *builder) passByHost(c *config.Route) (*passByHost, error) {
	to, err := b.pass(c)
	if err != nil {
		return nil, err
	}
	return &passByHost{family: b.gen.families[c.Pool], others: b.hosts, all: *to}, nil
}

// cachedBy reports whether the route keeps answers.
func cachedBy(c *config.Route) bool {
	return c.Filters.Cache != nil && c.Filters.Cache.On != notation.Disabled
}

func (b *builder) split(c *config.Route) (*splitTo, error) {
	s := &splitTo{cookie: c.Split.Cookie}
	for _, p := range c.Split.Pools {
		part := *c
		part.Pool = p.Pool
		to, err := b.pass(&part)
		if err != nil {
			return nil, err
		}
		weight := max(p.Weight, 0)
		s.shares = append(s.shares, share{name: p.Pool, weight: weight, to: to})
		s.total += weight
	}
	return s, nil
}

func respond(c *config.Respond) (action, error) {
	a := respondWith{status: c.Status, contentType: c.Type, body: []byte(c.Body)}
	if c.File == "" {
		return a, nil
	}
	page, err := newPageFile(c.File)
	if err != nil {
		return nil, fmt.Errorf("respond.file: %w", err)
	}
	a.body, a.contentType = page.body, cmp.Or(c.Type, page.contentType)
	return a, nil
}

func (b *builder) pages(f *config.Filters) (*pages, error) {
	if len(f.Errors) == 0 {
		return nil, nil
	}
	return newPages(f.Errors, b.toPool)
}

// innermost is the action behind all filters.
func innermost(a action) action {
	for {
		f, ok := a.(interface{ inner() action })
		if !ok || f.inner() == nil {
			return a
		}
		a = f.inner()
	}
}
