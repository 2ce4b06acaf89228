package cache

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"headgate/gateway/wire"
)

// Purge says what is taken out of the store: exactly one of URL, Prefix, Tag and
// All is given.
type Purge struct {
	// URL is of one page, with all its variants: https://host/path?query for one
	// scheme, //host/path for both, /path for every host. Its query must be that of
	// the page.
	URL string

	// Prefix is written like URL, without a query: the page of that path and all
	// below it, at a segment boundary.
	Prefix string

	Tag  string // of Cache-Tag or Surrogate-Key
	All  bool
	Site string // only what belongs to the site of this name; "": any
}

// Purge takes answers out of the store, also those that are being fetched: what
// the app has begun to say before is not stored. It returns how many there were.
func (s *Store) Purge(p Purge) (removed int, err error) {
	t, err := p.target()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.unlock()
	var victims []*entry
	s.index.each(func(r *resource) {
		for _, e := range *r.entries.Load() {
			if t.hits(&r.key, r.names, e.head.Load().tags) {
				victims = append(victims, e)
			}
		}
	})
	for _, e := range victims {
		s.dropLocked(e)
	}
	for _, list := range s.flights {
		for _, f := range list {
			f.hear(t)
		}
	}
	s.rememberLocked(t)
	s.counts.purged.Add(int64(len(victims)))
	return len(victims), nil
}

// hear keeps an answer that is on its way from being stored, if the purge is about
// it.
func (f *flight) hear(t *target) {
	if t.tag == "" {
		if t.hits(&f.key, f.p.query, nil) {
			f.spoil()
		}
		return
	}
	if t.site == "" || t.site == f.key.Site {
		f.spoilTag(t.tag)
	}
}

// target is a purge that has been read.
type target struct {
	all, prefix        bool
	tag, site          string
	scheme, host, path string // "": any
	query              string
}

var errPurge = errors.New("give exactly one of url, prefix, tag and all")

func (p Purge) target() (*target, error) {
	n := 0
	for _, given := range []bool{p.URL != "", p.Prefix != "", p.Tag != "", p.All} {
		if given {
			n++
		}
	}
	t := &target{all: p.All, tag: p.Tag, site: p.Site, prefix: p.Prefix != ""}
	switch {
	case n != 1:
		return nil, errPurge
	case p.URL != "":
		return t, t.read("url", p.URL)
	case t.prefix:
		return t, t.read("prefix", p.Prefix)
	}
	return t, nil
}

func (t *target) read(what, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %q is no URL: write it like https://host/path", what, text)
	case u.Host == "" && (u.Scheme != "" || !strings.HasPrefix(u.Path, "/")), u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https", u.User != nil:
		return fmt.Errorf("%s: %q is no URL of a page: write https://host/path, //host/path or /path", what, text)
	case t.prefix && u.RawQuery != "":
		return fmt.Errorf("%s: %q has a query: remove it", what, text)
	}
	t.scheme, t.host, t.query = u.Scheme, plainHost(u.Scheme, u.Host), u.RawQuery
	t.path = cleanPath(u.Path)
	return nil
}

// plainHost returns a host as hosts are compared: in lower case, without the port
// that goes without saying.
func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme != "https" {
		host = strings.TrimSuffix(host, ":80")
	}
	if scheme != "http" {
		host = strings.TrimSuffix(host, ":443")
	}
	return host
}

// sameHost reports whether the host of a purge is that of an answer. One without a
// port is of any.
func sameHost(purged, host string) bool {
	if purged == host {
		return true
	}
	rest, ok := strings.CutPrefix(host, purged)
	return ok && rest[0] == ':' && !strings.Contains(rest[1:], ":")
}

// cleanPath returns the canonical form of a path that is decoded: without empty
// segments, "." and "..".
func cleanPath(p string) string {
	var kept []string
	segments := strings.Split(p, "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch {
		case s == "..":
			kept = kept[:max(len(kept)-1, 0)]
		case s != "" && s != ".":
			kept = append(kept, s)
			continue
		}
		if last {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// hits reports whether the purge is about an answer.
func (t *target) hits(k *key, names, tags []string) bool {
	switch {
	case t.site != "" && t.site != k.Site:
		return false
	case t.all:
		return true
	case t.tag != "":
		return slices.Contains(tags, t.tag)
	case !t.covers(k.Path), t.scheme != "" && t.scheme != k.Scheme, t.host != "" && !sameHost(t.host, plainHost(k.Scheme, k.Host)):
		return false
	}
	return t.prefix || k.Query == t.query || k.Query == selected(t.query, names)
}

// covers reports whether the purge is about a path.
func (t *target) covers(path string) bool {
	if !t.prefix || path == t.path {
		return path == t.path
	}
	return strings.HasPrefix(path, t.path) && (strings.HasSuffix(t.path, "/") || path[len(t.path)] == '/')
}

// maxPurges bounds what is remembered while the directory is loaded.
const maxPurges = 1024

// rememberLocked remembers a purge for what is not loaded yet.
func (s *Store) rememberLocked(t *target) {
	if d := s.bounds.Load().dir; s.pending == nil && (d == nil || d.loaded) {
		return
	}
	if len(s.purges) == maxPurges { // then nothing of earlier can be trusted
		s.purges = append(s.purges[:0], &target{all: true})
		return
	}
	s.purges = append(s.purges, t)
}

func (s *Store) purgedLocked(e *entry) bool {
	tags := e.head.Load().tags
	return slices.ContainsFunc(s.purges, func(t *target) bool { return t.hits(&e.res.key, e.res.names, tags) })
}

// invalidate takes out what a change has made invalid: what is kept of the page
// itself, and of those that the answer f names (RFC 9111, 4.4).
func (v *visit) invalidate(f wire.Fields) {
	v.s.invalidate(v.key, v.hash.uri)
	for _, name := range [...]string{"Location", "Content-Location"} {
		to, ok := f.Lookup(name)
		if !ok {
			continue
		}
		if k := v.key; v.resolve(&k, to) {
			h := k.hash(v.s.seed)
			v.s.invalidate(k, h.uri)
		}
	}
}

// resolve makes k that of a reference, and reports whether it is of the same origin.
func (v *visit) resolve(k *key, reference string) bool {
	u, err := url.Parse(reference)
	if err != nil {
		return false
	}
	base := url.URL{Scheme: k.Scheme, Host: k.Host, Path: k.Path, RawQuery: v.r.Query}
	u = base.ResolveReference(u)
	if u.Scheme != k.Scheme || plainHost(u.Scheme, u.Host) != plainHost(k.Scheme, k.Host) {
		return false
	}
	k.Path, k.Query = cleanPath(u.Path), selected(u.RawQuery, v.p.query)
	return true
}

func (s *Store) invalidate(k key, uri uint64) {
	s.mu.Lock()
	defer s.unlock()
	var victims []*entry
	for r := s.uris[uri]; r != nil; r = r.sibling {
		if r.key.sameURI(&k) {
			victims = append(victims, *r.entries.Load()...)
		}
	}
	for _, e := range victims {
		s.dropLocked(e)
	}
	s.counts.purged.Add(int64(len(victims)))
	for _, f := range s.flights[uri] {
		if f.key.sameURI(&k) {
			f.spoil()
		}
	}
	s.rememberLocked(&target{site: k.Site, scheme: k.Scheme, host: plainHost(k.Scheme, k.Host), path: k.Path, query: k.Query})
}
