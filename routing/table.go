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

// Route is what a request must be like, and what belongs to it. At most one of
// Path and Mount is set; see CheckPath and CheckMount.
type Route[R any] struct {
	Path, Mount string
	Methods     []string // none: any; GET stands for HEAD too; see CheckMethod
	Condition   bool     // Lookup asks whether it holds, after path and method have matched

	// Routes are nested in this one, at most 8 deep, and tried before it. They match
	// what it matches, too: its path, method and condition. Their paths are whole, and
	// literal ones are below its own; without one, its own is theirs. Under a mount,
	// ScriptName is that mount, unless they have one of their own.
	Routes []Route[R]

	Value R
	None  bool // there is nothing to do for the route itself: only those nested in it can match
}

// Table finds the site and the route of a request. It is immutable and safe for
// concurrent use. The zero value has no sites.
type Table[S, R any] struct {
	exact, wild map[string]*compiled[S, R] // wild by what follows the first label: ".example.com"
	other       *compiled[S, R]
}

// NewTable compiles sites of at most 100,000 routes. It reports every route that is
// wrong (as a RouteError) and every host that is there twice, with both places; the
// table is then nil. What Hosts and Routes hold is copied.
func NewTable[S, R any](sites []Site[S, R]) (*Table[S, R], error) {
	t := &Table[S, R]{exact: make(map[string]*compiled[S, R]), wild: make(map[string]*compiled[S, R])}
	var errs []error
	shared := make(patterns)
	for i, s := range sites {
		c := &compiled[S, R]{number: i, value: s.Value}
		for _, err := range newCompiler(shared, c).all(s.Routes) {
			errs = append(errs, fmt.Errorf("sites[%d].%w", i, err))
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
