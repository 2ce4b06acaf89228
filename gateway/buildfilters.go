package gateway

import (
	"cmp"
	"fmt"
	"strings"

	"headgate/gateway/cache"
	"headgate/gateway/config"
	"headgate/gateway/expression"
	"headgate/gateway/filter/access"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
	"headgate/routing"
)

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
