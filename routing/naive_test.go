package routing_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"headgate/routing"
)

// naive finds routes as the documentation says, one after the other, and shares no
// code with the package.
type naive struct {
	holds   func(int) bool
	method  string
	path    string
	asked   []int
	answers map[int]bool
	allowed map[string]bool
}

// nest is a route with those that it is in, the outermost first.
type nest []routing.Route[int]

// find returns the nest that matches first, or nil.
func (n *naive) find(outer nest, routes []routing.Route[int]) nest {
	for _, r := range routes {
		in := append(slices.Clip(outer), r)
		if found := n.find(in, r.Routes); found != nil {
			return found
		}
		if !r.None && in.matches(n.path) {
			if in.takes(n.method) && n.hold(in) {
				return in
			}
		}
	}
	return nil
}

// allow gathers the methods of all that matches but for the method.
func (n *naive) allow(outer nest, routes []routing.Route[int]) {
	for _, r := range routes {
		in := append(slices.Clip(outer), r)
		n.allow(in, r.Routes)
		if !r.None && in.matches(n.path) && !in.takes(n.method) && n.hold(in) {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PURGE"} {
				if in.takes(method) {
					n.allowed[method] = true
				}
			}
		}
	}
}

func (n *naive) hold(in nest) bool {
	for _, r := range in {
		if !r.Condition {
			continue
		}
		if _, known := n.answers[r.Value]; !known {
			n.asked = append(n.asked, r.Value)
			n.answers[r.Value] = n.holds(r.Value)
		}
		if !n.answers[r.Value] {
			return false
		}
	}
	return true
}

func (in nest) matches(path string) bool {
	for _, r := range in {
		if !patternMatches(r.Path, r.Mount, path) {
			return false
		}
	}
	return true
}

func (in nest) takes(method string) bool {
	for _, r := range in {
		if len(r.Methods) > 0 && !slices.Contains(r.Methods, method) && (method != "HEAD" || !slices.Contains(r.Methods, "GET")) {
			return false
		}
	}
	return true
}

// scriptName is the innermost mount, prefix what the innermost prefix or mount is.
func (in nest) scriptName() (script, prefix string) {
	for _, r := range in {
		if r.Mount != "" {
			script, prefix = r.Mount, r.Mount
		} else if strings.HasPrefix(r.Path, "/") && r.Path != "/" {
			prefix = r.Path
		}
	}
	return script, prefix
}

// captures is what the innermost regular expression captures.
func (in nest) captures(path string) []string {
	for _, r := range slices.Backward(in) {
		if strings.HasPrefix(r.Path, "~") {
			return pattern(r.Path).FindStringSubmatch(path)
		}
	}
	return nil
}

func patternMatches(p, mount, path string) bool {
	switch {
	case mount != "":
		return path == mount || strings.HasPrefix(path, mount+"/")
	case p == "" || p == "/":
		return true
	case p[0] == '=':
		return path == p[1:]
	case p[0] == '~':
		return pattern(p).MatchString(path)
	}
	return path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/")
}

var compiled = maps.Collect(func(yield func(string, *regexp.Regexp) bool) {
	for _, p := range regexps {
		yield(p, regexp.MustCompile("(?s)"+p[1:]))
	}
})

func pattern(p string) *regexp.Regexp { return compiled[p] }

// regexps are those of the random tables; many begin alike, or seem to.
var regexps = []string{
	"~^/a", "~^/a/b$", "~b$", "~^/(a|ab)/(.*)", "~(?i)^/A/", "~^/a\uFFFD", "~^(/a)(/b)?$", "~^/a+/", "~^/(?:a/b|a/c)", "~(?m)^/b", "~^$|^/a/", `~\A/b`, "~^/aa?",
	"~^(?:/a|/b)/a", "~(^/a|^/ab)b", "~^/a*", "~^/(?:ab){2}", "~^/.+/a.b", "~^/a\\b/?", "~^^/ab", "~^/[a]b", "~^(/b){0}/a", "~(^)?/a", "~^/ab(?i)A", "~^.*\n", "~^/a/$",
	"~^/ab|b$", "~^\\x2fb", "~(?U)^/a+", "~^/aé",
}
