package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"headgate/routing"
)

func (c *Config) checkSites(r *report) {
	all := path{}.key("sites")
	if len(c.Sites) == 0 && c.Apps == "" {
		r.check(all, path{}, "nothing to serve: there is no site", "write one that passes all to a pool: sites: [{routes: [{pool: NAME}]}]")
	}
	owners, used := map[string]int{}, map[string]bool{poolToAsk(c.TLS.OnDemand.Ask): true}
	rates := rateOwners{}
	for i, s := range c.Sites {
		p := all.item(i)
		s.checkHosts(r, p, i, owners)
		if s.HTTP == HTTPRedirect && len(c.Listen.HTTPS) == 0 {
			r.check(p.key("http"), p, "http: redirect leads to https, and nothing listens there", "set listen.https, or write http: serve")
		}
		if len(s.Routes) == 0 {
			r.check(p.key("routes"), p, "has no routes", "write one that passes all to a pool: routes: [{pool: NAME}]")
		}
		k := &siteChecker{c: c, r: r, s: s, at: p, used: used, rates: rates}
		k.filters(p, s.Filters, Filters{})
		k.routes(p, s.Routes, nil, "")
		k.table()
		k.internal()
		checkReach(r, p, s.Routes)
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
			return s.HTTP == HTTPServe && slices.ContainsFunc(s.Routes, func(t Route) bool { return t.Uses(name) })
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
