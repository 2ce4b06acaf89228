package routing

import (
	"fmt"
	"regexp"
	"strings"
)

// rule is a route as it is tried: what it asks for itself, and what the routes
// that it is nested in ask for.
type rule struct {
	at       matcher        // its own path or mount, or that of the outer route
	methods  methodSet      // that all of them take
	also     []matcher      // those of outer routes that at does not imply
	captures *regexp.Regexp // the innermost of all

	outer  int32 // its number; -1: none
	script int32 // bytes of the path that are SCRIPT_NAME
	prefix int32 // bytes of the path that the innermost prefix or mount is
	depth  uint8 // how many routes it is nested in

	none        bool // only routes nested in it can match
	condition   bool // it has one
	conditional bool // it or an outer one has one
}

// newRule joins what a route says with outer, the route it is in; nil: none.
func newRule(outer *rule, at matcher, methods methodSet) (rule, error) {
	r := rule{at: at, methods: methods, outer: -1}
	if outer != nil {
		if err := r.nest(outer); err != nil {
			return r, err
		}
	}
	switch r.at.kind {
	case matchRegexp:
		r.captures = r.at.re
	case matchMount:
		r.script, r.prefix = int32(len(r.at.prefix)), int32(len(r.at.prefix))
	case matchPrefix:
		r.prefix = int32(len(r.at.prefix))
	}
	return r, nil
}

func (r *rule) nest(outer *rule) error {
	r.captures, r.script, r.prefix, r.depth = outer.captures, outer.script, outer.prefix, outer.depth+1
	r.conditional = outer.conditional
	own := r.methods
	if r.methods = own.and(&outer.methods); r.methods.none() {
		return fmt.Errorf("no method is both of this route (%s) and of the one it is in (%s): leave the methods out here, or give it one of those",
			strings.Join(own.names(), ", "), strings.Join(outer.methods.names(), ", "))
	}
	if r.at.kind == matchAll {
		r.at, r.also = outer.at, outer.also
		return nil
	}
	for i := range len(outer.also) + 1 {
		o := &outer.at
		if i < len(outer.also) {
			o = &outer.also[i]
		}
		implied, err := r.at.within(o)
		if err != nil {
			return err
		}
		if !implied {
			r.also = append(r.also, *o)
		}
	}
	return nil
}

// match reports whether the path is one of the route and of those that it is in.
func (r *rule) match(path string) bool {
	for i := range r.also {
		if !r.also[i].match(path) {
			return false
		}
	}
	return r.at.match(path)
}

// within reports whether all that m matches is matched by outer, too. The error
// says that nothing is, or that m is not below outer.
func (m *matcher) within(outer *matcher) (implied bool, err error) {
	switch {
	case outer.kind == matchAll:
		return true, nil
	case outer.kind == matchExact && m.kind == matchExact && m.prefix == outer.prefix:
		return true, nil
	case outer.kind == matchExact && m.kind != matchRegexp:
		return false, fmt.Errorf("%q is in a route that has the path %q alone: leave it out", m, outer)
	case m.kind == matchExact && outer.kind == matchRegexp && outer.match(m.prefix):
		return true, nil
	case outer.kind == matchRegexp || m.kind == matchRegexp:
		if !meet(m, outer) {
			return false, fmt.Errorf("%q can never match in a route that has the path %q: write the whole path, beginning with that of the outer route", m, outer)
		}
		return false, nil
	case !hasSegments(m.prefix, outer.prefix):
		cure := strings.TrimSuffix(outer.prefix, "/") + m.prefix
		if m.prefix+"/" == outer.prefix {
			cure = outer.prefix
		}
		if m.kind == matchExact {
			cure = "=" + cure
		}
		return false, fmt.Errorf("%q is not below %q, the path of the route that it is in, and paths of nested routes are whole: write %q", m, outer, cure)
	}
	return true, nil
}

// meet reports whether there may be a path that both match, one of which is a
// regular expression.
func meet(a, b *matcher) bool {
	if a.kind != matchRegexp {
		a, b = b, a
	}
	switch b.kind {
	case matchExact:
		return a.match(b.prefix)
	case matchRegexp:
		return strings.HasPrefix(a.prefix, b.prefix) || strings.HasPrefix(b.prefix, a.prefix)
	}
	return strings.HasPrefix(b.prefix, a.prefix) || hasSegments(a.prefix, b.prefix)
}
