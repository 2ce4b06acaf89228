package config

import (
	"fmt"

	"headgate/upstream/uwsgi"
)

const maxName = 64

func (p Pool) check(r *report, at path, name string) {
	if !isName(name) {
		r.checkKey(at, path{}, fmt.Sprintf("%s cannot be the name of a pool", quoteShort(name)), "a name is 1 to 64 letters, digits, - _ and dots")
	}
	if len(p.Members) == 0 {
		r.check(at.key("members"), at, "has no members", "list where its workers listen: members: [\"unix:/run/app.sock\"]")
	}
	seen := map[uwsgi.Address]int{}
	for i, m := range p.Members {
		p.checkMember(r, at, i, m, seen)
	}
	tls := p.UWSGI.TLS
	tls.Enabled = false
	if p.Protocol != ProtocolSUWSGI && tls != (uwsgi.TLSOptions{}) {
		r.check(at.key("tls"), at, "tls is only spoken with protocol: suwsgi", "write protocol: suwsgi, or remove tls")
	}
	leaf(r, at, p.UWSGI)
	leaf(r, at, p.Upstream)
}

func (p Pool) checkMember(r *report, at path, i int, m Member, seen map[uwsgi.Address]int) {
	place := at.key("members").item(i).key("address")
	if m.Address == "" {
		r.check(place, at.key("members").item(i), "has no address", "write it like unix:/run/app.sock or 10.0.0.7:3031")
		return
	}
	a, err := uwsgi.ParseAddress(m.Address)
	if err != nil {
		msg, hint := splitCure(err.Error())
		r.check(place, at, fmt.Sprintf("member %d: %s", i+1, msg), hint)
		return
	}
	if first, twice := seen[a]; twice {
		r.check(place, at, fmt.Sprintf("member %d: %s is already member %d", i+1, quoteShort(m.Address), first+1), "for a bigger share write slots:")
		return
	}
	seen[a] = i
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
