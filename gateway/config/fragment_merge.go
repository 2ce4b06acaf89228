package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"headgate/routing"
)

// FragmentError says why a fragment is not in a configuration.
type FragmentError struct {
	Name string // of the fragment
	File string
	Errs Errors // one or more
}

// Error implements error: one line for each thing that is wrong.
func (e FragmentError) Error() string { return e.Errs.Error() }

// Unwrap returns all that is wrong.
func (e FragmentError) Unwrap() error { return e.Errs }

// Merge returns a new Config: what c says and what the fragments add, defaults
// included, in the order of their names, the late ones last. A fragment that has the name of a pool or a
// host of c or of one before it, or that is wrong for another reason, is left out and
// reported; the others are not disturbed. c has its defaults and is checked, as Parse
// returns it; neither c nor the fragments change, but parts of them are shared. The
// warnings of the result are those of c and of what was added.
func (c *Config) Merge(fragments []Fragment) (*Config, []FragmentError) {
	order := make([]*Fragment, len(fragments))
	for i := range fragments {
		order[i] = &fragments[i]
	}
	slices.SortStableFunc(order, func(a, b *Fragment) int {
		if a.Late != b.Late {
			return map[bool]int{false: -1, true: 1}[a.Late]
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.File, b.File))
	})
	m := newMerger(c, len(order))
	var wrong []FragmentError
	for _, f := range order {
		if errs := m.add(f); len(errs) > 0 {
			wrong = append(wrong, FragmentError{Name: f.Name, File: f.File, Errs: errs})
		}
	}
	m.out.Warnings = slices.Concat(m.ownWarnings(c), m.warnings)
	return m.out, wrong
}

// merger adds fragments to a Config, one after the other.
type merger struct {
	out      *Config
	one      Config            // out with the site that is added alone; its Pools are those of out
	hosts    map[string]string // whose a host is, by how routing compares it
	names    map[string]string // whose a name is
	rates    rateOwners
	rateName rateNames
	used     map[string]bool // pools that fragments name
	warnings Errors
}

func newMerger(c *Config, n int) *merger {
	out := *c
	out.Pools = make(map[string]Pool, len(c.Pools)+n)
	maps.Copy(out.Pools, c.Pools)
	out.Sites = append(make([]Site, 0, len(c.Sites)+n), c.Sites...)
	m := &merger{
		out: &out, one: out, hosts: make(map[string]string, len(c.Sites)+n), names: make(map[string]string, len(c.Pools)+n),
		rates: rateOwners{}, rateName: namesOf(c.Sites), used: map[string]bool{},
	}
	for name := range c.Pools {
		m.names[name] = "headgate.yaml"
	}
	for i, s := range c.Sites {
		for _, host := range s.Hosts {
			key, _ := routing.CheckHost(host)
			m.hosts[key] = fmt.Sprintf("site %d of headgate.yaml", i+1)
		}
		m.takeRates(s, path{}.key("sites").item(i))
	}
	return m
}

// takeRates notes the rates of a site that is in the result.
func (m *merger) takeRates(s Site, at path) {
	take := func(f Filters) {
		for _, rate := range f.RateLimit {
			if _, ok := m.rates[rate.Name]; !ok {
				m.rates[rate.Name] = rateOwner{rate, at.key("rate_limit").item(0)}
			}
		}
	}
	take(s.Filters)
	eachRoute(s.Routes, func(t *Route) { take(t.Filters) })
}

// ratesBefore are the rates that those of a site must not contradict.
func (m *merger) ratesBefore(s Site) rateOwners {
	out := rateOwners{}
	take := func(f Filters) {
		for _, rate := range f.RateLimit {
			if owner, ok := m.rates[rate.Name]; ok {
				out[rate.Name] = owner
			}
		}
	}
	take(s.Filters)
	eachRoute(s.Routes, func(t *Route) { take(t.Filters) })
	return out
}

// add adds f, or returns why it cannot.
func (m *merger) add(f *Fragment) Errors {
	r := newReport(nil)
	r.site = func(int) string { return f.Site.firstHost() }
	if f.places != nil {
		r.places = f.places
	}
	m.checkTaken(r, f)
	if len(r.errs) > 0 {
		return f.finish(r, r.errs)
	}
	site := f.Site
	site.setDefaults(m.out, m.rateName.with(site))
	if f.Pool != nil {
		p := *f.Pool
		p.setDefaults()
		m.out.Pools[f.Name] = p
	}
	m.one.Sites = []Site{site}
	if rates := m.ratesBefore(site); len(rates) > 0 || !f.standsAlone() {
		m.one.checkFragment(r, f, rates)
	}
	m.one.checkFragmentWithin(r, f)
	if len(r.errs) > 0 {
		if f.Pool != nil {
			delete(m.out.Pools, f.Name)
		}
		return f.finish(r, r.errs)
	}
	m.take(f, site)
	m.warn(f, f.finish(r, r.warnings))
	return nil
}

// warn notes the warnings of f, and those found here that are not among them.
func (m *merger) warn(f *Fragment, found Errors) {
	m.warnings = append(m.warnings, f.Warnings...)
	for _, e := range found {
		if !slices.ContainsFunc(f.Warnings, func(o *Error) bool { return o.Msg == e.Msg && o.Line == e.Line && o.Column == e.Column }) {
			m.warnings = append(m.warnings, e)
		}
	}
}

// checkTaken reports what f has and another had before.
func (m *merger) checkTaken(r *report, f *Fragment) {
	pool, site := f.paths()
	if owner, taken := m.names[f.Name]; taken {
		r.check(pool, path{}, fmt.Sprintf("the name %s is already that of %s", quoteShort(f.Name), owner), "rename the file")
	}
	for i, host := range f.Site.Hosts {
		key, err := routing.CheckHost(host)
		if owner, taken := m.hosts[key]; taken && err == nil {
			r.check(site.key("hosts").item(i), site, fmt.Sprintf("host %q already belongs to %s", host, owner), "a host has one site: remove it from one of the two")
		}
	}
	if len(f.Site.Hosts) == 0 {
		r.check(site.key("hosts"), site, "has no hosts", "list them: hosts: ["+plainHost(f.Name)+"]")
	}
}

// take notes what is now in the result.
func (m *merger) take(f *Fragment, site Site) {
	m.out.Sites = append(m.out.Sites, site)
	m.names[f.Name] = f.File
	for _, host := range site.Hosts {
		key, _ := routing.CheckHost(host)
		m.hosts[key] = f.File
	}
	m.takeRates(site, path{elems: []string{f.File}})
	for _, name := range f.poolsOfOthers() {
		m.used[name] = true
	}
}

// ownWarnings are those of c, but for pools that only fragments use.
func (m *merger) ownWarnings(c *Config) Errors {
	return slices.DeleteFunc(slices.Clone(c.Warnings), func(e *Error) bool {
		name, ok := strings.CutPrefix(e.Path, "pools.")
		return ok && m.used[name] && strings.HasSuffix(e.Msg, "is not used by any route")
	})
}

// finish orders errors of f that were found without its text, and shows its lines.
func (f *Fragment) finish(r *report, errs Errors) Errors {
	if len(errs) == 0 {
		return nil
	}
	if f.places != nil {
		r.src = newSource(f.File, []byte(f.text))
		for secret := range f.secrets {
			r.src.hideText(secret)
		}
	}
	for _, e := range errs {
		e.File = f.File
	}
	return f.plain(r.finish(errs))
}

func (s Site) firstHost() string {
	if len(s.Hosts) == 0 {
		return ""
	}
	return s.Hosts[0]
}

// with counts also the names that a site has written.
func (n rateNames) with(s Site) rateNames {
	n.collect(s.Filters)
	eachRoute(s.Routes, func(t *Route) { n.collect(t.Filters) })
	return n
}
