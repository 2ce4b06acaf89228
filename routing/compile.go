package routing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxNesting = 8       // how many routes one can be in
	maxRoutes  = 100_000 // of a site
)

// compiled is a site with its routes in the order in which they are tried: those
// nested in a route before it.
type compiled[S, R any] struct {
	number int // among the sites
	value  S
	rules  []rule
	routes []R
	index  *index // of many rules; nil: they are few
}

// RouteError is a mistake of one route.
type RouteError struct {
	Route []int // its place: the number among the routes of the site, then among those nested in it, and so on
	Err   error // what is wrong and, after a colon, the cure
}

// Error begins with the place of the route.
func (e *RouteError) Error() string {
	var b strings.Builder
	for i, n := range e.Route {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "routes[%d]", n)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *RouteError) Unwrap() error { return e.Err }

// CheckRoutes returns all that is wrong with the routes of a site and those
// nested in them, in their order.
func CheckRoutes[R any](routes []Route[R]) []*RouteError {
	return newCompiler[struct{}, R](make(patterns), &compiled[struct{}, R]{}).all(routes)
}

// compiler turns the routes of one site into rules.
type compiler[S, R any] struct {
	patterns patterns
	c        *compiled[S, R]
	place    []int
	errs     []*RouteError
}

func newCompiler[S, R any](p patterns, c *compiled[S, R]) *compiler[S, R] {
	return &compiler[S, R]{patterns: p, c: c}
}

func (m *compiler[S, R]) all(routes []Route[R]) []*RouteError {
	m.list(nil, routes)
	m.c.rules, m.c.routes = slices.Clone(m.c.rules), slices.Clone(m.c.routes) // no larger than they are
	if len(m.errs) == 0 && len(m.c.rules) > few {
		m.c.index = newIndex(m.c.rules)
	}
	return m.errs
}

// list compiles routes that are nested in outer, and returns their numbers.
func (m *compiler[S, R]) list(outer *rule, routes []Route[R]) (numbers []int32) {
	m.place = append(m.place, 0)
	for i := range routes {
		m.place[len(m.place)-1] = i
		if len(m.c.rules) >= maxRoutes {
			m.fail(fmt.Errorf("the site has more than %d routes: put this one and those behind it into a site of their own", maxRoutes))
			break
		}
		numbers = append(numbers, m.route(outer, &routes[i]))
	}
	m.place = m.place[:len(m.place)-1]
	return numbers
}

// route compiles what is nested in r, and then r, whose number it returns.
func (m *compiler[S, R]) route(outer *rule, r *Route[R]) int32 {
	made, err := m.rule(outer, r)
	if err != nil {
		m.fail(err)
	}
	var nested []int32
	if made.depth < maxNesting {
		nested = m.list(&made, r.Routes)
	} else if len(r.Routes) > 0 {
		m.fail(fmt.Errorf("routes are nested in more than %d others here: put them into one that is further out", maxNesting))
	}
	number := int32(len(m.c.rules))
	for _, n := range nested {
		m.c.rules[n].outer = number
	}
	m.c.rules = append(m.c.rules, made)
	m.c.routes = append(m.c.routes, r.Value)
	return number
}

func (m *compiler[S, R]) rule(outer *rule, r *Route[R]) (rule, error) {
	at, err := m.patterns.compile(r.Path, r.Mount)
	methods, errMethods := newMethodSet(r.Methods)
	if err = errors.Join(err, errMethods); err == nil && at.kind == matchAll && r.Path+r.Mount != "" && outer != nil && outer.at.kind != matchAll {
		err = fmt.Errorf("\"/\" is not below %q, the path of the route that it is in: leave it out", &outer.at)
	}
	if err != nil {
		at, methods = matcher{}, methodSet{}
	}
	made, errNested := newRule(outer, at, methods)
	made.none, made.condition = r.None, r.Condition
	made.conditional = made.conditional || r.Condition
	return made, errors.Join(err, errNested)
}

func (m *compiler[S, R]) fail(err error) {
	m.errs = append(m.errs, &RouteError{Route: append([]int(nil), m.place...), Err: err})
}
