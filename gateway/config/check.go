package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate reports all that makes c impossible to serve, as Errors without
// places, and sets Warnings. It wants the defaults filled in and does no I/O.
func (c *Config) Validate() error {
	r := newReport(nil)
	r.site = func(i int) string {
		if i < len(c.Sites) && len(c.Sites[i].Hosts) > 0 {
			return c.Sites[i].Hosts[0]
		}
		return ""
	}
	c.check(r)
	c.Warnings = r.warnings.sorted()
	if len(r.errs) > 0 {
		return r.errs.sorted()
	}
	return nil
}

func (c *Config) check(r *report) {
	root := path{}
	c.checkListeners(r)
	networks(r, root.keys("listen.trusted_proxies"), c.Listen.TrustedProxies)
	networks(r, root.keys("admin.operators"), c.Admin.Operators)
	c.checkProxyProtocol(r, root.keys("listen.proxy_protocol"))
	leaf(r, root.key("cache"), c.Cache)
	for _, key := range []string{"disk", "large"} {
		if at := root.keys("cache." + key); c.Cache.Dir == "" && r.places[at.id()] != (span{}) {
			r.check(at, at, "is about a directory, and there is none", "write dir: /var/cache/headgate, or remove this")
		}
	}
	c.checkTLS(r)
	leaf(r, root.key("tracing"), c.Tracing)
	leaf(r, root.key("log"), c.Log)
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		p.check(r, root.key("pools").name(name), name)
	}
	leaf(r, root.key("subscriptions"), c.Subscriptions)
	c.checkSubscriptions(r, root.keys("subscriptions.listen"))
	c.checkSites(r)
}

// checkSubscriptions looks at who listens to those that announce themselves.
func (c *Config) checkSubscriptions(r *report, at path) {
	listens := len(c.Subscriptions.Listen) > 0
	used := false
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		if p := (path{}).key("pools").name(name); c.Pools[name].Subscriptions {
			used = true
			if !listens {
				r.check(p.key("subscriptions"), p, "nobody can announce a member", "set subscriptions: {listen: [\"udp:127.0.0.1:2626\"]}")
			}
		}
	}
	if listens && !used {
		r.warn(at, at, "no pool takes what is announced", "write subscriptions: true in a pool, and name it in a route")
	}
}

// leaf runs Validate of a leaf's Options. Each error begins with its key, under
// base, and is reported at the place of that key.
func leaf(r *report, base path, options interface{ Validate() error }) {
	var names []string
	for _, f := range fieldsOf(reflect.TypeOf(options)) {
		names = append(names, f.name)
	}
	leafErrors(r, base, names, options.Validate())
}

// leafErrors reports what a leaf says of its options, whose keys are names.
func leafErrors(r *report, base path, names []string, err error) {
	for _, err := range flatten(err) {
		p, msg := base, err.Error()
		if key, rest, ok := strings.Cut(msg, ": "); ok {
			if at, ok := leafPath(r, base, key, names); ok {
				p, msg = at, rest
			}
		}
		msg, hint := splitCure(msg)
		r.check(p, p, msg, hint)
	}
}

// splitCure parts "fact: cure" and "fact; cure" of the leaves.
func splitCure(msg string) (fact, cure string) {
	for _, sep := range []string{"; ", ": "} {
		i := strings.LastIndex(msg, sep)
		if i < 0 {
			continue
		}
		verb, _, _ := strings.Cut(msg[i+2:], " ")
		if slices.Contains(cureVerbs(), verb) {
			return msg[:i], msg[i+2:]
		}
	}
	return msg, ""
}

// cureVerbs begin what a reader is told to do.
func cureVerbs() []string {
	return []string{"write", "give", "list", "take", "put", "use", "set", "remove", "leave", "name", "choose", "keep", "send", "percent-encode"}
}

func flatten(err error) []error {
	switch e := err.(type) {
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var out []error
		for _, err := range e.Unwrap() {
			out = append(out, flatten(err)...)
		}
		return out
	}
	return []error{err}
}

// leafPath follows a key such as certificates[0].key or vars.UWSGI_FILE below
// base, if its first word is one of names.
func leafPath(r *report, base path, key string, names []string) (path, bool) {
	first, rest, more := strings.Cut(key, ".")
	if name, _, _ := strings.Cut(first, "["); !slices.Contains(names, name) {
		return base, false
	}
	if more { // a name of a map may have dots
		if p := base.key(first).key(rest); r.places[p.id()] != (span{}) {
			return p, true
		}
	}
	for part := range strings.SplitSeq(key, ".") {
		name, items, _ := strings.Cut(part, "[")
		base = base.key(name)
		for item := range strings.SplitSeq(items, "[") {
			if i, err := strconv.Atoi(strings.TrimSuffix(item, "]")); err == nil {
				base = base.item(i)
			}
		}
	}
	return base, true
}

// networks checks a list of CIDRs and addresses.
func networks(r *report, p path, list []string) {
	for i, s := range list {
		prefix, err := ParseNetwork(s)
		switch {
		case err != nil:
			r.check(p.item(i), p, fmt.Sprintf("%s is not a network", quoteShort(s)), "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")
		case prefix != prefix.Masked():
			r.check(p.item(i), p, fmt.Sprintf("%s has bits beyond its mask", quoteShort(s)), fmt.Sprintf("write %s, or %s for the one address", prefix.Masked(), prefix.Addr()))
		}
	}
}

// ParseNetwork reads a CIDR, or an address as the network of that address alone.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}
