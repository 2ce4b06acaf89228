package config

import (
	"fmt"
	"slices"
	"strings"
)

// checkReach warns of routes that the ones before them leave nothing for.
func checkReach(r *report, p path, routes []Route) {
	seen := map[string][]int{} // routes by their pattern
	for j := range routes {
		t, at := &routes[j], p.key("routes").item(j)
		checkReach(r, at, t.Routes)
		for _, pattern := range t.takers() {
			i := slices.IndexFunc(seen[pattern], func(i int) bool { return routes[i].takesAllOf(t) })
			if i < 0 {
				continue
			}
			switch first := seen[pattern][i]; {
			case pattern == "":
				r.warn(at, p, fmt.Sprintf("route %d is never reached: route %d takes everything", j+1, first+1), "move it up")
			case pattern == t.pattern():
				r.warn(at, p, fmt.Sprintf("route %d is never reached: route %d has the same match", j+1, first+1), "remove it")
			default:
				r.warn(at, p, fmt.Sprintf("route %d is never reached: route %d takes all below %s", j+1, first+1, pattern), "move it up")
			}
			break
		}
		seen[t.pattern()] = append(seen[t.pattern()], j)
	}
}

// pattern is what t matches: a prefix, a path that begins with = or an expression
// that begins with ~. "" is everything.
func (t *Route) pattern() string {
	if p := t.Path + t.Mount; p != "/" {
		return p
	}
	return ""
}

// takers are the patterns that match all that t matches: everything, its own, and
// each prefix of it.
func (t *Route) takers() []string {
	p := t.pattern()
	out := []string{""}
	if p == "" {
		return out
	}
	if out = append(out, p); strings.HasPrefix(p, "~") {
		return out
	}
	p = strings.TrimPrefix(p, "=")
	if !slices.Contains(out, p) {
		out = append(out, p)
	}
	for i := len(p) - 1; i > 0; i-- {
		if p[i] == '/' {
			out = append(out, p[:i+1], p[:i])
		}
	}
	return out
}

// takesAllOf reports whether t takes every request of o that the pattern of t
// matches. One that is internal does: clients get 404.
func (t *Route) takesAllOf(o *Route) bool {
	if !t.acts() && t.Rewrite == nil { // only the routes in it take something
		return false
	}
	if t.When != "" && t.When != o.When {
		return false
	}
	if len(t.Method) == 0 {
		return true
	}
	return len(o.Method) > 0 && !slices.ContainsFunc(o.Method, func(m string) bool {
		return !slices.Contains(t.Method, m) && (m != "HEAD" || !slices.Contains(t.Method, "GET"))
	})
}
