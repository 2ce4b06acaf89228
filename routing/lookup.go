package routing

import "strings"

// Match is what a request was found to match.
type Match[S, R any] struct {
	Site       S
	Route      R
	ScriptName string // the mount, "" when there is none
	PathInfo   string // the path without it; "" for /blog under the mount /blog

	// Prefix is the beginning of the path that the prefix or mount of the route
	// stands for, or of the innermost route around it that has one: "/static/" for
	// the path "/static/", "/static" for "/static", "" if there are only exact paths
	// and regular expressions.
	Prefix string
	Found  Found

	captures Captures
	allow    []string
}

// Captures are what the regular expression of the route has captured, or that of
// the innermost route around it that has one. It costs nothing until one asks them.
func (m Match[S, R]) Captures() Captures { return m.captures }

// Allow lists the methods that the path has, sorted, for NoMethod; GET brings HEAD.
// The caller must not change it.
func (m Match[S, R]) Allow() []string { return m.allow }

// Found says how far a look-up came.
type Found uint8

// What a look-up found.
const (
	NoSite    Found = iota // no site has the host, and none takes all the others
	NoRoute                // the site has no route for the path; Site is set
	NoMethod               // it has, for other methods: those of Allow; Site is set
	SiteRoute              // both
)

// Lookup finds the site by its host (exact before wildcard before the site of
// all others) and the first of its routes that matches.
//
// It asks holds for the conditions of routes whose path and method match, in the
// order in which they are tried and the outer one before those nested in it, and
// no more often than needed: once for all that are nested in one. For NoMethod it
// asks once more, for those of which the method alone does not match: a route
// whose condition does not hold is not shown. A nil holds stands for one that
// always says yes.
//
// It does not allocate, but for the list of NoMethod.
func (t *Table[S, R]) Lookup(r Request, holds func(R) bool) Match[S, R] {
	c := t.site(r.Host)
	if c == nil {
		return Match[S, R]{}
	}
	q := query{path: r.Path, method: r.Method, bit: methodBit(r.Method)}
	if c.index != nil {
		q.longest = c.index.longest(r.Path)
	}
	m := Match[S, R]{Site: c.value, Found: NoRoute}
	i, blocked := c.find(&q, holds)
	switch {
	case i >= 0:
		u := &c.rules[i]
		m.Route, m.Found = c.routes[i], SiteRoute
		m.ScriptName, m.PathInfo, m.Prefix = r.Path[:u.script], r.Path[u.script:], r.Path[:u.prefix]
		m.captures = Captures{re: u.captures, path: r.Path}
	case blocked:
		if allow := c.allow(&q, holds); !allow.none() {
			m.Found, m.allow = NoMethod, allow.names()
		}
	}
	return m
}

// LookupSite finds the site alone.
func (t *Table[S, R]) LookupSite(host string) (site S, ok bool) {
	c := t.site(host)
	if c == nil {
		return site, false
	}
	return c.value, true
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

// query is a look-up within one site. It does not hold the function that is asked
// for conditions: that would put it on the heap, with the path.
type query struct {
	path, method string
	bit          uint16 // of the method
	longest      int32  // node of the index

	// The last condition that was asked at each depth of nesting, its number plus
	// one, and the answer. All that is nested in a route is tried in one go, so that
	// one is enough.
	asked [maxNesting + 1]int32
	held  [maxNesting + 1]bool
}

// after returns the number of the next rule behind last that may match; -1: none.
func (c *compiled[S, R]) after(q *query, last int32) int32 {
	if c.index != nil {
		return c.index.after(q.longest, q.path, last)
	}
	for last++; int(last) < len(c.rules); last++ {
		if !c.rules[last].none {
			return last
		}
	}
	return -1
}

// find returns the number of the first rule that matches, or -1, and then whether
// there may be one for another method.
func (c *compiled[S, R]) find(q *query, holds func(R) bool) (number int32, blocked bool) {
	for i := c.after(q, -1); i >= 0; i = c.after(q, i) {
		u := &c.rules[i]
		takes := u.methods.has(q.bit, q.method)
		if !takes && blocked || !u.match(q.path) {
			continue
		}
		if !takes {
			blocked = true
		} else if c.hold(q, i, holds) {
			return i, false
		}
	}
	return -1, blocked
}

// allow returns the methods of the rules that the method alone does not match.
func (c *compiled[S, R]) allow(q *query, holds func(R) bool) methodSet {
	all := methodSet{some: true}
	for i := c.after(q, -1); i >= 0; i = c.after(q, i) {
		if u := &c.rules[i]; !u.methods.has(q.bit, q.method) && u.match(q.path) && c.hold(q, i, holds) {
			all.add(&u.methods)
		}
	}
	return all
}

// hold reports whether the conditions of a rule and of those it is nested in hold.
func (c *compiled[S, R]) hold(q *query, i int32, holds func(R) bool) bool {
	u := &c.rules[i]
	if !u.conditional || holds == nil {
		return true
	}
	if u.outer >= 0 && !c.hold(q, u.outer, holds) {
		return false
	}
	if !u.condition {
		return true
	}
	if q.asked[u.depth] != i+1 {
		q.asked[u.depth], q.held[u.depth] = i+1, holds(c.routes[i])
	}
	return q.held[u.depth]
}
