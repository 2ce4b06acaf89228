package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"headgate/routing"
	"headgate/upstream"
)

func (c *Config) checkSites(r *report) {
	all := path{}.key("sites")
	if len(c.Sites) == 0 {
		r.check(all, path{}, "nothing to serve: there is no site", "write one that passes all to a pool: sites: [{routes: [{pool: NAME}]}]")
	}
	owners, used := map[string]int{}, map[string]bool{poolToAsk(c.TLS.OnDemand.Ask): true}
	for i, s := range c.Sites {
		p := all.item(i)
		s.checkHosts(r, p, i, owners)
		if s.HTTP == HTTPRedirect && len(c.Listen.HTTPS) == 0 {
			r.check(p.key("http"), p, "http: redirect leads to https, and nothing listens there", "set listen.https, or write http: serve")
		}
		if len(s.Routes) == 0 {
			r.check(p.key("routes"), p, "has no routes", "write one that passes all to a pool: routes: [{pool: NAME}]")
		}
		s.checkReach(r, p)
		for j, route := range s.Routes {
			used[route.Pool] = true
			route.check(r, p.key("routes").item(j), p)
			c.checkPoolOf(r, p.key("routes").item(j).key("pool"), p, route.Pool)
		}
	}
	c.checkCookies(r)
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if p := (path{}).key("pools").name(name); !used[name] && !r.muted(all) {
			r.warnKey(p, path{}, fmt.Sprintf("pool %q is not used by any route", name), "")
		}
	}
}

// checkCookies warns of cookies that browsers take over https only, where a site
// is served over plain http too. Behind a trusted proxy that cannot be known.
func (c *Config) checkCookies(r *report) {
	if len(c.Listen.HTTP) == 0 || len(c.Listen.TrustedProxies) > 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		cookie := c.Pools[name].Upstream.Balance.Sticky.Cookie
		if lower := strings.ToLower(cookie); !strings.HasPrefix(lower, "__host-") && !strings.HasPrefix(lower, "__secure-") {
			continue
		}
		i := slices.IndexFunc(c.Sites, func(s Site) bool {
			return s.HTTP == HTTPServe && slices.ContainsFunc(s.Routes, func(t Route) bool { return t.Pool == name })
		})
		if i >= 0 {
			p := path{}.key("pools").name(name)
			site := path{}.key("sites").item(i).title(r.site)
			r.warn(p.keys("balance.sticky.cookie"), p, fmt.Sprintf("browsers take a cookie %s over https only, and %s is served over http", quoteShort(cookie), site),
				"choose a name without that prefix, or write http: redirect at the site")
		}
	}
}

func (c *Config) checkPoolOf(r *report, at, about path, name string) {
	if _, ok := c.Pools[name]; ok || name == "" {
		return
	}
	names := slices.Sorted(maps.Keys(c.Pools))
	hint := didYouMean(name, names)
	if hint == "" && len(names) > 0 && len(names) <= 10 {
		hint = "there are " + listed(names)
	} else if hint == "" {
		hint = fmt.Sprintf("define it under pools:, %s: {members: [...]}", name)
	}
	r.check(at, about, fmt.Sprintf("pool %q is not defined", name), hint)
}

func (s Site) checkHosts(r *report, p path, i int, owners map[string]int) {
	hosts := s.Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for j, host := range hosts {
		at := p.key("hosts").item(j)
		if fault := hostFault(host); fault != "" && len(s.Hosts) > 0 {
			msg, hint := splitCure(fault)
			r.check(at, p.key("hosts"), msg, hint)
			continue
		}
		key, _ := routing.CheckHost(host) // "" for the site of every other host
		first, taken := owners[key]
		switch {
		case !taken:
			owners[key] = i
		case host == "":
			r.check(p, p, fmt.Sprintf("has no hosts, and site %d already takes every other host", first+1), "give one of them hosts:")
		case first == i:
			r.check(at, p, fmt.Sprintf("host %q is listed twice", host), "remove one of the two")
		default:
			r.check(at, p, fmt.Sprintf("host %q already belongs to site %d", host, first+1), "a host has one site: join their routes")
		}
	}
}

// checkReach warns of routes that the ones before them leave nothing for.
func (s Site) checkReach(r *report, p path) {
	seen := map[string]int{}
	for j, route := range s.Routes {
		at := p.key("routes").item(j)
		key := route.Path + "\x00" + route.Mount
		if all, ok := seen["\x00"]; ok {
			r.warn(at, p, fmt.Sprintf("route %d is never reached: route %d takes everything", j+1, all+1), "move it up")
		} else if first, ok := seen[key]; ok {
			r.warn(at, p, fmt.Sprintf("route %d is never reached: route %d has the same match", j+1, first+1), "remove it")
		} else {
			seen[key] = j
		}
		if key == "/\x00" || key == "\x00/" {
			seen["\x00"] = j
		}
	}
}

func (t Route) check(r *report, p, site path) {
	switch n := count(t.Pool != "", t.Redirect != nil, t.Respond != nil); {
	case n == 0:
		r.check(p, p, "says nothing to do", "give it pool, redirect or respond")
	case n > 1:
		r.check(p, p, "says more than one thing to do", "keep one of pool, redirect and respond")
	}
	t.checkRequests(r, p)
	if t.Path != "" && t.Mount != "" {
		r.check(p.key("mount"), p, "has both path and mount", "keep one of the two")
	}
	if err := routing.CheckPath(t.Path); err != nil {
		msg, hint := splitCure(err.Error())
		r.check(p.key("path"), p.key("path"), msg, hint)
	} else if strings.ContainsAny(t.Path, "?#") && !strings.HasPrefix(t.Path, "~") {
		r.warn(p.key("path"), p.key("path"), "a path is matched without its query, and this has a ? or #", "")
	}
	if err := routing.CheckMount(t.Mount); err != nil {
		msg, hint := splitCure(err.Error())
		r.check(p.key("mount"), p.key("mount"), msg, hint)
	}
	if t.Redirect != nil {
		t.Redirect.check(r, p.key("redirect"))
	}
	if t.Respond != nil && !isField(t.Respond.Type) {
		r.check(p.keys("respond.type"), p.keys("respond.type"), "has a line break or a control character", "write it like text/html; charset=utf-8")
	}
}

// checkRequests refuses what is said of requests that go to no pool.
func (t Route) checkRequests(r *report, p path) {
	if t.Pool != "" || t.Redirect == nil && t.Respond == nil {
		return
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"retry", t.Retry == RetrySafe},
		{"priority", t.Priority != upstream.PriorityNormal},
	} {
		if key.said {
			r.check(p.key(key.name), p, key.name+" is of requests that go to a pool, and these are answered here", "remove it")
		}
	}
}

func (d *Redirect) check(r *report, p path) {
	u, err := url.Parse(d.To)
	switch {
	case d.To == "":
		r.check(p, p, "does not say where to", "write it like {to: /new}")
	case err != nil || !isField(d.To) || strings.Contains(d.To, " "):
		r.check(p.key("to"), p.key("to"), quoteShort(d.To)+" is not a path or a URL", "write it like /new or https://example.com/")
	case u.Scheme == "" && !strings.HasPrefix(d.To, "/"):
		r.check(p.key("to"), p.key("to"), quoteShort(d.To)+" is neither a path nor a whole URL", fmt.Sprintf("write %q or %q", "/"+d.To, "https://"+d.To))
	}
	if !slices.Contains([]int{301, 302, 303, 307, 308}, d.Status) {
		r.check(p.key("status"), p.key("status"), fmt.Sprintf("%d is not a redirect", d.Status), "write 301, 302, 303, 307 or 308")
	}
}

// isField reports whether s can be the value of a header field.
func isField(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}
