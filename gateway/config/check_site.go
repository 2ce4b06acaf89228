package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

func (c *Config) checkSites(r *report) {
	all := path{}.key("sites")
	if len(c.Sites) == 0 {
		r.check(all, path{}, "nothing to serve: there is no site", "write one that passes all to a pool: sites: [{routes: [{pool: NAME}]}]")
	}
	owners, used := map[string]int{}, map[string]bool{}
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
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if p := (path{}).key("pools").name(name); !used[name] && !r.muted(all) {
			r.warnKey(p, path{}, fmt.Sprintf("pool %q is not used by any route", name), "")
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
		key := strings.TrimSuffix(strings.ToLower(host), ".")
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

// hostFault says what is wrong with a host of a site, with the cure after a
// colon, or "".
func hostFault(host string) string {
	q := quoteShort(host)
	name := strings.TrimSuffix(strings.TrimPrefix(host, "*."), ".")
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	switch {
	case host == "":
		return "a host is empty: remove hosts for a site that takes every other host"
	case host == "*":
		return "\"*\" is not a host: remove hosts for a site that takes every other host"
	case strings.Contains(host, "://"), strings.Contains(host, "/"):
		return fmt.Sprintf("%s is a URL, not a host: write %s", q, quoteShort(bareHost(host)))
	case strings.Contains(host, ":"):
		return fmt.Sprintf("%s has a port: write %s; ports are set under listen", q, quoteShort(bareHost(host)))
	case strings.Contains(name, "*"):
		return q + " has a * that is not its first label: write it like *.example.com"
	}
	if len(name) > 253 {
		return q + " is longer than 253 characters"
	}
	for label := range strings.SplitSeq(name, ".") {
		if fault := labelFault(label); fault != "" {
			return q + " " + fault
		}
	}
	return ""
}

func bareHost(host string) string {
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

func labelFault(label string) string {
	if label == "" {
		return "has an empty label: remove the extra dot"
	}
	if len(label) > 63 {
		return "has a label of more than 63 characters"
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return "has a label that begins or ends with -"
	}
	for _, r := range label {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '-', r == '_':
		case r > 127:
			return "has letters beyond ASCII: write it as its xn-- name"
		default:
			return fmt.Sprintf("has a %q, which no host name has", r)
		}
	}
	return ""
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
	if t.Path != "" && t.Mount != "" {
		r.check(p.key("mount"), p, "has both path and mount", "keep one of the two")
	}
	if msg, hint := pathFault(t.Path); msg != "" {
		r.check(p.key("path"), p.key("path"), msg, hint)
	}
	if m := t.Mount; m != "" && (!strings.HasPrefix(m, "/") || strings.ContainsAny(m, "?#")) {
		r.check(p.key("mount"), p.key("mount"), quoteShort(m)+" is not a prefix of a path", "write it like /blog")
	}
	if d := t.Redirect; d != nil {
		if d.To == "" {
			r.check(p.key("redirect"), p.key("redirect"), "does not say where to", "write it like {to: /new}")
		}
		if !slices.Contains([]int{301, 302, 303, 307, 308}, d.Status) {
			r.check(p.keys("redirect.status"), p.keys("redirect.status"), fmt.Sprintf("%d is not a redirect", d.Status), "write 301, 302, 303, 307 or 308")
		}
	}
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

func pathFault(s string) (msg, hint string) {
	switch {
	case s == "":
	case strings.HasPrefix(s, "~"):
		if _, err := regexp.Compile(s[1:]); err != nil {
			return err.Error(), "the syntax is that of RE2"
		}
	case !strings.HasPrefix(strings.TrimPrefix(s, "="), "/"):
		return quoteShort(s) + " does not begin with /", "write /prefix/, =/exact or ~regular expression"
	case strings.ContainsAny(s, "?#"):
		return quoteShort(s) + " has a ? or #, which no path has", "a route matches paths only"
	}
	return "", ""
}
