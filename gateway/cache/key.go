package cache

import (
	"hash/maphash"
	"math/bits"
	"strings"
)

// key is what a request must have in common with the one that fetched an answer,
// beside what Vary names: the effective URI (RFC 9111, 2) and the text of the
// route's own key.
type key struct {
	Site, Scheme, Host, Path, Query, Text string
}

func keyOf(p *Policy, r *Request) key {
	return key{r.Site, r.Scheme, r.Host, r.Path, selected(r.Query, p.query), r.Key}
}

// clone returns k with texts of its own.
func (k key) clone() key {
	return key{
		strings.Clone(k.Site), strings.Clone(k.Scheme), strings.Clone(k.Host), strings.Clone(k.Path), strings.Clone(k.Query), strings.Clone(k.Text),
	}
}

// hashes are those of a key, and of its URI alone.
type hashes struct{ key, uri uint64 }

func (k *key) hash(seed maphash.Seed) hashes {
	const prime = 0x9e3779b97f4a7c15
	mix := func(h uint64, s string) uint64 { return (bits.RotateLeft64(h, 27) ^ maphash.String(seed, s)) * prime }
	h := mix(1, k.Site)
	h = mix(h, k.Scheme)
	h = mix(h, k.Host)
	h = mix(h, k.Path)
	h = mix(h, k.Query)
	return hashes{mix(h, k.Text), h}
}

// sameURI reports whether two keys differ at most in their texts.
func (k *key) sameURI(other *key) bool {
	a, b := *k, *other
	a.Text, b.Text = "", ""
	return a == b
}
