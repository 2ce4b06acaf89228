package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"headgate/gateway/cache"
	"headgate/gateway/config"
	"headgate/gateway/expression"
	"headgate/gateway/files"
	"headgate/gateway/filter/access"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
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
	conf    *config.Site
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
		b.site, b.conf = s, c
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

// filters puts the filters of c in front of the action of r.
func (b *builder) filters(c *config.Route, r *route) (action, error) {
	f, a := &c.Filters, r.action
	var err error
	for _, step := range []func(*config.Route, action) (action, error){
		b.compress, b.cache, b.bandwidth, b.rewrite, b.requestHeaders, b.bodyTypes, b.forwardAuth, b.crossOrigin,
		b.clientCert, b.basicAuth, b.preflight, b.inFlight, b.rates, b.access, b.maintenance, b.answerHeaders,
	} {
		if a, err = step(c, a); err != nil {
			return nil, err
		}
	}
	r.filters, r.cors = f, f.CORS != nil && f.CORS.Enabled()
	if len(c.Sendfile) == 0 {
		return a, nil
	}
	r.sending = sendingFile{}
	for _, step := range []func(*config.Route, action) (action, error){b.compress, b.bandwidth, b.answerHeaders} {
		if r.sending, err = step(c, r.sending); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (b *builder) compress(c *config.Route, next action) (action, error) {
	o := c.Filters.Compress
	if o == nil || o.On == notation.Disabled || next == nil {
		return next, nil
	}
	by, err := once(b, o, func() (*compress.Compressor, error) { return compress.NewShared(*o, &b.g.encoders) })
	return &compressed{next: next, by: by}, wrong("compress", err)
}

func (b *builder) cache(c *config.Route, next action) (action, error) {
	o := c.Filters.Cache
	if !cachedBy(c) || next == nil {
		return next, nil
	}
	policy, err := once(b, o, func() (*cache.Policy, error) { return cache.NewPolicy(*o) })
	if err != nil {
		return nil, wrong("cache", err)
	}
	a := &cached{next: next, policy: policy, place: strings.Join(append(b.whens, c.Mount, c.Path, c.Pool, ""), "\x00")}
	behind := innermost(next)
	if f, ok := behind.(*serveFiles); ok {
		behind = innermost(f.next)
	}
	a.split, _ = behind.(*splitTo)
	if o.Key != "" {
		if a.key, err = expression.Compile(o.Key, expression.String); err != nil {
			return nil, wrong("cache.key", err)
		}
	}
	if below, ok := next.(*compressed); ok {
		a.codings = below.by.Codings()
	}
	return a, nil
}

func (b *builder) bandwidth(c *config.Route, next action) (action, error) {
	o := c.Filters.Bandwidth
	if o == nil || o.Rate <= 0 || next == nil {
		return next, nil
	}
	return &paced{next: next, rate: *o}, nil
}

func (b *builder) rewrite(c *config.Route, next action) (action, error) {
	if c.Rewrite == nil {
		return next, nil
	}
	a := rewrite{next: next}
	var err error
	if c.Rewrite.Path != "" {
		if a.path, err = routing.ParseTemplate(c.Rewrite.Path, b.pattern); err != nil {
			return nil, wrong("rewrite.path", err)
		}
	}
	if q := c.Rewrite.Query; q != "" {
		if q == "off" {
			q = ""
		}
		if a.query, err = routing.ParseTemplate(q, b.pattern); err != nil {
			return nil, wrong("rewrite.query", err)
		}
	}
	return a, nil
}

func (b *builder) requestHeaders(c *config.Route, next action) (action, error) {
	set, err := b.headers(&c.Filters)
	if err != nil || set == nil || !set.ChangesRequest() {
		return next, err
	}
	return &saying{next: next, set: set}, nil
}

// headers makes what is changed in headers; nil for nothing.
func (b *builder) headers(f *config.Filters) (*headers.Set, error) {
	security := cmp.Or(f.Security, headers.SecurityOff)
	if f.Headers == nil && security == headers.SecurityOff {
		return nil, nil
	}
	type key struct {
		*headers.Options
		security string
	}
	return once(b, key{f.Headers, security}, func() (*headers.Set, error) {
		var o headers.Options
		if f.Headers != nil {
			o = *f.Headers
		}
		set, err := headers.New(o, security)
		return set, wrong("headers", err)
	})
}

func (b *builder) bodyTypes(c *config.Route, next action) (action, error) {
	if len(c.Filters.BodyTypes) == 0 {
		return next, nil
	}
	types, err := once(b, &c.Filters.BodyTypes[0], func() (*access.Types, error) { return access.NewTypes(c.Filters.BodyTypes) })
	return guarding{&typed{next: next, types: types}, next}, wrong("body_types", err)
}

func (b *builder) forwardAuth(c *config.Route, next action) (action, error) {
	o := c.Filters.ForwardAuth
	if o == nil || o.On == notation.Disabled {
		return next, nil
	}
	a, err := newForwardAuth(o, b.toPool)
	a.next = next
	return guarding{a, next}, wrong("forward_auth", err)
}

func (b *builder) crossOrigin(c *config.Route, next action) (action, error) {
	o := c.Filters.CrossOrigin
	if o == nil || o.On == notation.Disabled {
		return next, nil
	}
	guard, err := once(b, o, func() (*access.Guard, error) { return access.NewCrossOrigin(*o) })
	return guarding{&guarded{next: next, guard: guard}, next}, wrong("cross_origin", err)
}

func (b *builder) clientCert(c *config.Route, next action) (action, error) {
	if c.Filters.ClientCert != config.CertRequired {
		return next, nil
	}
	return guarding{&certified{next}, next}, nil
}

func (b *builder) basicAuth(c *config.Route, next action) (action, error) {
	o := c.Filters.BasicAuth
	if o == nil || !o.Enabled() {
		return next, nil
	}
	passwords, err := once(b, "passwords "+o.File, func() (*access.Passwords, error) {
		return access.OpenPasswords(o.File, func(err error) {
			b.g.log.Error("the passwords that were read last go on", "file", o.File, "err", err)
		})
	})
	return guarding{&authenticated{next: next, passwords: passwords, challenge: o.Challenge()}, next}, wrong("basic_auth", err)
}

func (b *builder) preflight(c *config.Route, next action) (action, error) {
	cors, err := b.cors(&c.Filters)
	if err != nil || cors == nil {
		return next, err
	}
	return &preflight{next: next, cors: cors}, nil
}

func (b *builder) cors(f *config.Filters) (*headers.Policy, error) {
	if f.CORS == nil || !f.CORS.Enabled() {
		return nil, nil
	}
	return once(b, f.CORS, func() (*headers.Policy, error) {
		p, err := headers.NewCORS(*f.CORS)
		return p, wrong("cors", err)
	})
}

func (b *builder) inFlight(c *config.Route, next action) (action, error) {
	rules := c.Filters.InFlight
	if len(rules) == 0 {
		return next, nil
	}
	gate, err := once(b, &rules[0], func() (*limit.Gate, error) { return limit.NewInFlight(rules, b.place(c), b.g.rates) })
	return &crowded{next: next, gate: gate}, wrong("in_flight", err)
}

func (b *builder) rates(c *config.Route, next action) (action, error) {
	rules := c.Filters.RateLimit
	if len(rules) == 0 {
		return next, nil
	}
	rates, err := once(b, &rules[0], func() (*limit.Rates, error) {
		return limit.NewRates(rules, b.place(c), b.g.rates)
	})
	return &rated{next: next, rates: rates}, wrong("rate_limit", err)
}

// place names the route for what counts its requests.
func (b *builder) place(c *config.Route) string {
	return b.site.name + " " + cmp.Or(c.Path, c.Mount, "/")
}

func (b *builder) access(c *config.Route, next action) (action, error) {
	o := c.Filters.Access
	if o == nil || len(o.Allow)+len(o.Deny) == 0 {
		return next, nil
	}
	list, err := once(b, o, func() (*access.List, error) { return access.New(*o) })
	return guarding{&allowed{next: next, list: list}, next}, wrong("access", err)
}

func (b *builder) maintenance(c *config.Route, next action) (action, error) {
	type key struct {
		*config.Maintenance
		*site
	}
	o := c.Filters.Maintenance
	by, err := once(b, key{o, b.site}, func() (*maintenance, error) { return newMaintenance(o, b.site.name, b.site.switched) })
	return &maintained{next: next, by: by}, err
}

func (b *builder) answerHeaders(c *config.Route, next action) (action, error) {
	f := &c.Filters
	set, err := b.headers(f)
	if err != nil {
		return nil, err
	}
	cors, err := b.cors(f)
	if err != nil {
		return nil, err
	}
	if set != nil && !set.ChangesResponse() {
		set = nil
	}
	timing := f.Timing == notation.On
	if set == nil && cors == nil && !timing {
		return next, nil
	}
	return &dressed{next: next, set: set, cors: cors, timing: timing}, nil
}

// wrong says at which key err is.
func wrong(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", key, err)
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
