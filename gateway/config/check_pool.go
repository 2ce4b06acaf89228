package config

import (
	"fmt"
	"net"
	"strings"

	"headgate/gateway/expression"
	"headgate/routing"
	"headgate/upstream"
	"headgate/upstream/dns"
	"headgate/upstream/uwsgi"
)

const maxName = 64

func (p Pool) check(r *report, at path, name string) {
	if !isName(name) {
		r.checkKey(at, path{}, fmt.Sprintf("%s cannot be the name of a pool", quoteShort(name)), "a name is 1 to 64 letters, digits, - _ and dots")
	}
	p.checkSource(r, at)
	seen := map[string]int{}
	backups := 0
	for i, m := range p.Members {
		p.checkMember(r, at, i, m, seen)
		if m.Backup {
			backups++
		}
	}
	if backups > 0 && backups == len(p.Members) {
		r.warn(at.key("members"), at, "every member is a backup", "remove backup: true from those that answer normally")
	}
	p.checkProtocol(r, at)
	if !p.SpeaksHTTP() {
		p.checkStats(r, at)
	}
	p.checkProbe(r, at.key("check"))
	p.checkBalance(r, at.key("balance"), at)
	leaf(r, at, p.UWSGI)
	leaf(r, at, p.Upstream)
	leaf(r, at.key("dns"), p.DNS)
}

// checkSource wants one thing that says who answers.
func (p Pool) checkSource(r *report, at path) {
	switch n := count(len(p.Members) > 0, p.Workers != nil, p.Subscriptions); {
	case n == 0:
		r.check(at.key("members"), at, "has no members", "list where its workers listen: members: [\"unix:/run/app.sock\"], or have them started: workers: {app: \"shop.wsgi:application\"}")
	case n > 1:
		r.check(at, at, "says more than once who answers", "keep one of members, workers and subscriptions")
	}
	if p.Workers != nil {
		leaf(r, at.key("workers"), *p.Workers)
		if p.Protocol == ProtocolSUWSGI {
			r.check(at.key("protocol"), at, "workers that are started from here do not speak TLS", "write protocol: uwsgi")
		}
		if p.SpeaksHTTP() && len(p.Workers.Command) == 0 {
			r.check(at.key("protocol"), at, "apps are run by servers that speak uwsgi", "write protocol: uwsgi, or start the HTTP server by workers: {command: [...]}")
		}
	}
	if p.Subscriptions && p.Protocol != ProtocolUWSGI {
		r.check(at.key("protocol"), at, "instances that announce themselves speak uwsgi", "write protocol: uwsgi")
	}
	if p.Stats != "" && len(p.Members) == 0 {
		r.check(at.key("stats"), at, "stats is of members that the file lists", "remove it")
	}
}

// checkProtocol refuses what the protocol has no use for.
func (p Pool) checkProtocol(r *report, at path) {
	tls := p.UWSGI.TLS
	tls.Enabled = false
	if p.Protocol != ProtocolSUWSGI && tls != (uwsgi.TLSOptions{}) {
		r.check(at.key("tls"), at, "tls is only spoken with protocol: suwsgi", "write protocol: suwsgi, or remove tls")
	}
	if !p.SpeaksHTTP() {
		return
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"dialect", p.UWSGI.Dialect != uwsgi.DialectAuto},
		{"modifier1", p.UWSGI.Modifier1 != 0},
		{"vars", len(p.UWSGI.Vars) > 0},
		{"stats", p.Stats != ""},
		{"check.ping", p.Upstream.Check.Ping},
	} {
		if key.said {
			r.check(at.keys(key.name), at, key.name+notHTTP, cureHTTP)
		}
	}
	for i, m := range p.Members {
		if m.Stats != "" {
			r.check(at.key("members").item(i).key("stats"), at, fmt.Sprintf("member %d: stats%s", i+1, notHTTP), cureHTTP)
		}
	}
}

const (
	notHTTP  = " belongs to the uwsgi protocol, and the members speak HTTP"
	cureHTTP = "remove it, or write protocol: uwsgi"
)

// checkProbe looks at what a check asks for, which goes out as it is written.
func (p Pool) checkProbe(r *report, at path) {
	c := p.Upstream.Check
	if strings.HasPrefix(c.Path, "/") { // of any other its leaf complains
		place := at.key("path")
		raw, _, _ := strings.Cut(c.Path, "?")
		if _, err := routing.CanonicalPath(raw); !isTarget(c.Path) {
			r.check(place, place, quoteShort(c.Path)+" has a character that no address has", "percent-encode it, such as %20 for a space")
		} else if err != nil {
			msg, hint := splitCure(err.Error())
			r.check(place, place, quoteShort(c.Path)+": "+msg, hint)
		}
	}
	if c.Host == "" {
		return
	}
	if strings.Contains(c.Host, "/") {
		r.check(at.key("host"), at.key("host"), quoteShort(c.Host)+" is a URL, not a host", "write "+quoteShort(bareHost(c.Host)))
	} else if _, _, err := routing.NormalizeHost(c.Host); err != nil {
		msg, hint := splitCure(err.Error())
		r.check(at.key("host"), at.key("host"), quoteShort(c.Host)+": "+msg, hint)
	}
}

// isTarget reports whether s has only what a request target may have.
func isTarget(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' })
}

// checkStats looks at the addresses of statistics.
func (p Pool) checkStats(r *report, at path) {
	read := 0
	for _, m := range p.Members {
		if s := p.statsOf(m); s != "" && s == p.Stats && !strings.HasPrefix(s, ":") {
			read++
		}
	}
	switch {
	case read > 1:
		r.check(at.key("stats"), at, "one address of statistics cannot be that of several members", "write a port alone, such as \":9191\", or stats: at each member")
	case read == 0 && p.Stats != "" && !strings.HasPrefix(p.Stats, ":") && len(p.Members) > 0:
		r.warn(at.key("stats"), at, "these statistics are at none of the hosts of the members", "write stats: at the member that they are of")
	}
	checkStatsAddress(r, at.key("stats"), at, p.Stats)
	p.checkStatsOfNames(r, at)
	for i, m := range p.Members {
		item := at.key("members").item(i)
		checkStatsAddress(r, item.key("stats"), item, m.Stats)
		if strings.HasPrefix(p.statsOf(m), ":") && strings.HasPrefix(m.Address, "unix:") {
			r.check(item, at, fmt.Sprintf("member %d is a unix socket, and %s is a port at its host", i+1, quoteShort(p.statsOf(m))), "write the whole address of its statistics, such as stats: unix:/run/stats.sock")
		}
	}
}

// checkStatsOfNames looks at the members of which each address of a name is one.
func (p Pool) checkStatsOfNames(r *report, at path) {
	for i, m := range p.Members {
		s := p.statsOf(m)
		if s == "" || s[0] == ':' || !dns.IsName(m.Address) {
			continue
		}
		place := at.key("stats")
		if m.Stats != "" {
			place = at.key("members").item(i).key("stats")
		}
		host, port, _ := net.SplitHostPort(s)
		if strings.EqualFold(host, hostOf(m.Address)) {
			r.check(place, at, fmt.Sprintf("%s is one address of statistics, and each address of the name %s is a member", quoteShort(s), host),
				fmt.Sprintf("write %q: that port at each of them", ":"+port))
			continue
		}
		r.warn(place, at, fmt.Sprintf("member %d is a name, and %s would be the statistics of each of its addresses", i+1, quoteShort(s)),
			"write a port alone, such as \":9191\", or the one address of the member")
	}
}

// statsOf is where the statistics of m are read, "" for nowhere: those of the pool
// are of the members at the same host, and unix sockets are at one.
func (p Pool) statsOf(m Member) string {
	local := strings.HasPrefix(m.Address, "unix:")
	switch {
	case m.Stats != "":
		return m.Stats
	case strings.HasPrefix(p.Stats, ":"):
		return p.Stats
	case len(p.Members) == 1, local && strings.HasPrefix(p.Stats, "unix:"), !local && hostOf(m.Address) == hostOf(p.Stats):
		return p.Stats
	}
	return ""
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

func checkStatsAddress(r *report, place, about path, s string) {
	if s == "" {
		return
	}
	whole := s
	if strings.HasPrefix(s, ":") {
		whole = "127.0.0.1" + s
	}
	if _, err := uwsgi.ParseAddress(whole); err != nil {
		msg, hint := splitCure(err.Error())
		r.check(place, about, msg, hint)
	}
}

func (p Pool) checkBalance(r *report, at, about path) {
	b := p.Upstream.Balance
	if b.Hash == "" {
		return
	}
	checkExpression(r, at.key("hash"), about, b.Hash, expression.String)
}

func (p Pool) checkMember(r *report, at path, i int, m Member, seen map[string]int) {
	item := at.key("members").item(i)
	place := item.key("address")
	if m.Address == "" {
		r.check(place, item, "has no address", "write it like unix:/run/app.sock or 10.0.0.7:3031")
		return
	}
	var key string
	var err error
	if dns.IsName(m.Address) {
		key, err = strings.ToLower(m.Address), dns.Check(m.Address)
	} else {
		var a uwsgi.Address
		a, err = uwsgi.ParseAddress(m.Address)
		key = a.String()
	}
	if err != nil {
		msg, hint := splitCure(err.Error())
		r.check(place, at, fmt.Sprintf("member %d: %s", i+1, msg), hint)
		return
	}
	if first, twice := seen[key]; twice {
		r.check(place, at, fmt.Sprintf("member %d: %s is already member %d", i+1, quoteShort(m.Address), first+1), "for a bigger share write weight:")
		return
	}
	seen[key] = i
}

// Named splits the members into those of fixed addresses and those of names.
func (p Pool) Named() (fixed, names []upstream.Member) {
	for _, m := range p.Members {
		u := upstream.Member{Address: m.Address, Weight: m.Weight, Slots: m.Slots, Backup: m.Backup, Stats: p.statsOf(m)}
		if dns.IsName(m.Address) {
			names = append(names, u)
		} else {
			fixed = append(fixed, u)
		}
	}
	return fixed, names
}

func isName(s string) bool {
	for _, r := range s {
		alnum := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !alnum && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
