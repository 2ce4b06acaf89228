package certs

import (
	"crypto/tls"
	"slices"
	"time"
)

// index finds the certificates from files by name. It is immutable.
type index struct {
	entries  []*entry            // as configured
	exact    map[string][]*entry // by name; IP addresses too
	wild     map[string][]*entry // by what follows the star: ".example.com"
	fallback []*entry            // for clients that name no known host; may be empty
}

func newIndex(entries []*entry) *index {
	x := &index{entries: entries, exact: map[string][]*entry{}, wild: map[string][]*entry{}}
	for _, e := range entries {
		for _, n := range e.names {
			m, key := x.exact, n
			if len(n) > 2 && n[:2] == "*." {
				m, key = x.wild, n[1:]
			}
			if !slices.Contains(m[key], e) {
				m[key] = append(m[key], e)
			}
		}
	}
	for _, m := range []map[string][]*entry{x.exact, x.wild} {
		for _, list := range m {
			slices.SortStableFunc(list, rsaLast)
		}
	}
	if len(entries) > 0 {
		x.fallback = x.lookup(entries[0].names[0]) // finds a wildcard by itself, too
	}
	return x
}

// rsaLast puts the certificates first that are cheaper to sign with.
func rsaLast(a, b *entry) int {
	switch {
	case a.isRSA() == b.isRSA():
		return 0
	case b.isRSA():
		return -1
	}
	return 1
}

// lookup finds the certificates for a clean name: exact before wildcard.
func (x *index) lookup(name string) []*entry {
	if list := x.exact[name]; list != nil {
		return list
	}
	return x.wild[parent(name)]
}

// covers reports whether some certificate is valid for host, which may be a
// wildcard itself.
func (x *index) covers(host string) bool {
	if len(host) > 2 && host[:2] == "*." {
		return x.wild[host[1:]] != nil
	}
	return x.lookup(host) != nil
}

// choose picks the first certificate that the client can use and that has not
// expired, else the first it can use, else the first.
func choose(list []*entry, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(list) == 1 {
		return list[0].cert.Load()
	}
	anyName := *hello
	anyName.ServerName = "" // the index has matched the name already, or there was none
	now := time.Now()
	var usable *tls.Certificate
	for _, e := range list {
		cert := e.cert.Load()
		if anyName.SupportsCertificate(cert) != nil {
			continue
		}
		if now.Before(e.leaf.NotAfter) {
			return cert
		}
		if usable == nil {
			usable = cert
		}
	}
	if usable != nil {
		return usable
	}
	return list[0].cert.Load()
}
