package routing

import (
	"errors"
	"fmt"
	"strings"
)

// Request is what a Table looks at: a small view, not an HTTP request. Host is
// normalized, Path canonical.
type Request struct{ Method, Host, Path string }

// Site is a set of host names with its routes. S and R are whatever the caller
// attaches to a site and to a route.
type Site[S, R any] struct {
	Hosts  []string // exact, or "*.example.com" for one label; none: every other host
	Value  S
	Routes []Route[R]
}

// Route is a pattern and what belongs to it. At most one of Path and Mount is
// set; see CheckPath and CheckMount.
type Route[R any] struct {
	Path, Mount string
	Value       R
}

// Table finds the site and the route of a request. It is immutable and safe for
// concurrent use. The zero value has no sites.
type Table[S, R any] struct {
	exact, wild map[string]*compiled[S, R] // wild by what follows the first label: ".example.com"
	other       *compiled[S, R]
}

type compiled[S, R any] struct {
	number   int // among the sites
	value    S
	matchers []matcher
	index    *index // of many matchers; nil: they are few
	routes   []R
}

// Match is what a request was found to match.
type Match[S, R any] struct {
	Site       S
	Route      R
	ScriptName string // the mount, "" when there is none
	PathInfo   string // the path without it; "" for /blog under the mount /blog
	Found      Found
}

// Found says how far a look-up came.
type Found uint8

// What a look-up found.
const (
	NoSite    Found = iota // no site has the host, and none takes all the others
	NoRoute                // the site has no route for the path; Site is set
	SiteRoute              // both
)

// NewTable compiles sites. It reports every pattern that is wrong and every host
// that is there twice, with both places; the table is then nil. What Hosts and
// Routes hold is copied.
func NewTable[S, R any](sites []Site[S, R]) (*Table[S, R], error) {
	t := &Table[S, R]{exact: make(map[string]*compiled[S, R]), wild: make(map[string]*compiled[S, R])}
	var errs []error
	for i, s := range sites {
		c := &compiled[S, R]{number: i, value: s.Value}
		for j, r := range s.Routes {
			m, err := compile(r.Path, r.Mount)
			if err != nil {
				errs = append(errs, fmt.Errorf("sites[%d].routes[%d]: %w", i, j, err))
			}
			c.matchers = append(c.matchers, m)
			c.routes = append(c.routes, r.Value)
		}
		if len(c.matchers) > few {
			c.index = newIndex(c.matchers)
		}
		for _, err := range t.add(s.Hosts, c) {
			errs = append(errs, fmt.Errorf("sites[%d]: %w", i, err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

func (t *Table[S, R]) add(hosts []string, c *compiled[S, R]) (errs []error) {
	if len(hosts) == 0 {
		if t.other != nil {
			return []error{fmt.Errorf("no hosts, but sites[%d] takes all other hosts already: give one of the two hosts", t.other.number)}
		}
		t.other = c
	}
	for _, h := range hosts {
		if err := t.addHost(h, c); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (t *Table[S, R]) addHost(pattern string, c *compiled[S, R]) error {
	name, err := CheckHost(pattern)
	if err != nil {
		return err
	}
	index, key := t.exact, name
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		index, key = t.wild, rest
	}
	if first := index[key]; first != nil {
		return fmt.Errorf("the host %q is in sites[%d] already: remove one of the two", pattern, first.number)
	}
	index[key] = c
	return nil
}

// CheckHost returns the normal form of a host of a site: a name, an address, or
// "*.example.com" for exactly one label before .example.com. The error says what
// is wrong and, after a colon, the cure.
func CheckHost(pattern string) (string, error) {
	host, wild := strings.CutPrefix(pattern, "*.")
	if strings.Contains(host, "*") {
		return "", fmt.Errorf("the host %q has a * that is not its first label: write *.example.com", pattern)
	}
	name, port, err := NormalizeHost(host)
	switch {
	case err != nil:
		return "", fmt.Errorf("the host %q is not valid: %w", pattern, err)
	case port != "" || strings.HasSuffix(host, ":"):
		return "", fmt.Errorf("the host %q has a port: write %q", pattern, name)
	case wild && name[0] == '[':
		return "", fmt.Errorf("the host %q has a * before an address: write %q", pattern, name)
	case wild:
		return "*." + name, nil
	}
	return name, nil
}

// Lookup finds the site by its host (exact before wildcard before the site of
// all others) and the first of its routes that matches. It does not allocate.
func (t *Table[S, R]) Lookup(r Request) Match[S, R] {
	c := t.site(r.Host)
	if c == nil {
		return Match[S, R]{}
	}
	i := c.find(r.Path)
	if i < 0 {
		return Match[S, R]{Site: c.value, Found: NoRoute}
	}
	n := c.matchers[i].scriptName()
	return Match[S, R]{Site: c.value, Route: c.routes[i], ScriptName: r.Path[:n], PathInfo: r.Path[n:], Found: SiteRoute}
}

// find returns the first matcher that matches path, or -1.
func (c *compiled[S, R]) find(path string) int {
	if c.index != nil && path != "" && path[0] == '/' {
		return c.index.find(c.matchers, path)
	}
	for i := range c.matchers {
		if c.matchers[i].match(path) {
			return i
		}
	}
	return -1
}

func (t *Table[S, R]) site(host string) *compiled[S, R] {
	if c := t.exact[host]; c != nil {
		return c
	}
	if len(t.wild) > 0 {
		if i := strings.IndexByte(host, '.'); i > 0 {
			if c := t.wild[host[i:]]; c != nil {
				return c
			}
		}
	}
	return t.other
}
