package routing_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"headgate/routing"
)

var (
	segments = rapid.SampledFrom([]string{"a", "b", "ab", "aa", "A", "a.b", "abab", "a\n", "a\xff", "aé", "a\uFFFD", "c"})
	paths    = rapid.Custom(func(t *rapid.T) string {
		p := "/" + strings.Join(rapid.SliceOfN(segments, 0, 5).Draw(t, "segments"), "/")
		if p != "/" && rapid.IntRange(0, 3).Draw(t, "slash") == 0 {
			p += "/"
		}
		return p
	})
	methods = rapid.SliceOfN(rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PURGE"}), 1, 3)
)

// routesIn draws routes that are nested in one of the path outer.
func routesIn(outer string, depth, most int) *rapid.Generator[[]routing.Route[int]] {
	return rapid.Custom(func(t *rapid.T) []routing.Route[int] {
		routes := make([]routing.Route[int], rapid.IntRange(0, most).Draw(t, "routes"))
		for i := range routes {
			r := &routes[i]
			at := strings.TrimSuffix(outer, "/") + paths.Draw(t, "path")
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind == 0:
				r.Path = rapid.SampledFrom(regexps).Draw(t, "regexp")
			case kind == 1 && at != "/":
				r.Mount = strings.TrimSuffix(at, "/")
			case kind == 2:
				r.Path = "=" + at
			case kind > 3:
				r.Path = at
			}
			if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
				r.Methods = methods.Draw(t, "methods")
			}
			r.Condition = rapid.IntRange(0, 3).Draw(t, "condition") == 0
			if depth > 0 && rapid.IntRange(0, 2).Draw(t, "nested") == 0 {
				inner := outer
				if p := r.Mount + r.Path; strings.HasPrefix(p, "/") {
					inner = p
				}
				r.Routes = routesIn(inner, depth-1, 4).Draw(t, "inner")
				r.None = rapid.Bool().Draw(t, "none")
			}
		}
		return routes
	})
}

// number gives each route a value of its own.
func number(routes []routing.Route[int], next int) int {
	for i := range routes {
		routes[i].Value = next
		next = number(routes[i].Routes, next+1)
	}
	return next
}

// mend makes routes out of those that are wrong: what is wrong there is left out.
func mend(t *rapid.T, routes []routing.Route[int]) *routing.Table[string, int] {
	for range 100 {
		table, err := routing.NewTable([]routing.Site[string, int]{{Value: "s", Routes: routes}})
		if err == nil {
			return table
		}
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
			var at *routing.RouteError
			if !errors.As(err, &at) {
				t.Fatal(err)
			}
			in, r := routes, (*routing.Route[int])(nil)
			for _, n := range at.Route {
				r, in = &in[n], in[n].Routes
			}
			r.Path, r.Mount, r.Methods = "", "", nil
		}
	}
	t.Fatal("routes stay wrong")
	return nil
}

// TestLookupIsTheNaiveSearch: tables, with an index or without, find what a search
// finds that takes the documentation at its word, and ask the same conditions.
func TestLookupIsTheNaiveSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.SampledFrom([]int{4, 8, 30, 60}).Draw(t, "most")
		routes := routesIn("", 3, most).Draw(t, "all")
		number(routes, 1)
		table := mend(t, routes)
		for range 20 {
			r := routing.Request{Path: paths.Draw(t, "request"), Method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PURGE", "MKCOL"}).Draw(t, "method")}
			salt := rapid.IntRange(0, 1000).Draw(t, "salt")
			compare(t, table, routes, r, func(value int) bool { return (value*7919+salt)%3 == 0 })
		}
	})
}

func compare(t *rapid.T, table *routing.Table[string, int], routes []routing.Route[int], r routing.Request, holds func(int) bool) {
	n := &naive{holds: holds, method: r.Method, path: r.Path, answers: map[int]bool{}, allowed: map[string]bool{}}
	want := n.find(nil, routes)
	first := len(n.asked)
	if want == nil {
		n.allow(nil, routes)
	}
	var asked []int
	m := table.Lookup(r, func(value int) bool {
		asked = append(asked, value)
		return holds(value)
	})
	if len(asked) < first || !slices.Equal(asked[:first], n.asked[:first]) || want != nil && len(asked) != first {
		t.Fatalf("%+v: asked %v, want %v", r, asked, n.asked[:first])
	}
	for _, value := range asked[first:] { // for Allow; again some of those that it has asked
		if !slices.Contains(n.asked, value) {
			t.Fatalf("%+v: asked %v, want of %v", r, asked, n.asked)
		}
	}
	switch {
	case want != nil:
		checkFound(t, r.Path, m, want)
	case len(n.allowed) > 0:
		var allow []string
		for method := range n.allowed {
			allow = append(allow, method)
		}
		slices.Sort(allow)
		if m.Found != routing.NoMethod || !slices.Equal(m.Allow(), allow) {
			t.Fatalf("%+v: got %+v, want the methods %v", r, m, allow)
		}
	case m.Found != routing.NoRoute:
		t.Fatalf("%+v: got %+v, want no route", r, m)
	}
}

func checkFound(t *rapid.T, path string, m routing.Match[string, int], want nest) {
	script, prefix := want.scriptName()
	if m.Found != routing.SiteRoute || m.Route != want[len(want)-1].Value || m.ScriptName != script || m.Prefix != prefix || m.ScriptName+m.PathInfo != path {
		t.Fatalf("%q: got %+v, want %+v with %q and %q", path, m, want[len(want)-1], script, prefix)
	}
	captured := want.captures(path)
	for i := range max(len(captured), 1) {
		got, ok := m.Captures().Group(i)
		if len(captured) == 0 && ok || len(captured) > 0 && got != captured[i] {
			t.Fatalf("%q: group %d is %q, want of %q", path, i, got, captured)
		}
	}
}

// targets are what hostile clients write into a request line.
var targets = rapid.Custom(func(t *rapid.T) string {
	return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "b", "ab", "/", "/", "/", ".", "..", "%2e", "%2E%2e", "%2f", "%5c", `\`, "%61", "%25", "%252e", "%0a", "%ff", "%C3%A9", "é", ";", "%3b", "%00", "%", "?", "A",
	}), 0, 12).Draw(t, "pieces"), "")
})

// TestRoutingAndPathInfoAgree: what a route was chosen by is what the app sees.
// SCRIPT_NAME and PATH_INFO are together the canonical path, the first is the mount
// to the byte, and both together, sent once more, take the same route.
func TestRoutingAndPathInfoAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		routes := routesIn("", 2, 30).Draw(t, "all")
		number(routes, 1)
		table := mend(t, routes)
		for range 20 {
			raw := targets.Draw(t, "target")
			path, err := routing.CanonicalPath(raw)
			if err != nil {
				continue
			}
			m := table.Lookup(routing.Request{Method: "GET", Path: path}, nil)
			if m.Found != routing.SiteRoute {
				continue
			}
			if m.ScriptName+m.PathInfo != path {
				t.Fatalf("%q: got %+v, want %q in two", raw, m, path)
			}
			if m.PathInfo != "" && m.PathInfo[0] != '/' || strings.HasSuffix(m.ScriptName, "/") {
				t.Fatalf("%q: got %+v, which is not split at a slash", raw, m)
			}
			if !strings.HasPrefix(path, m.Prefix) || !strings.HasPrefix(m.Prefix, m.ScriptName) {
				t.Fatalf("%q: got %+v, want the prefix to begin with the mount, and the path with the prefix", raw, m)
			}
			again, err := routing.CanonicalPath(encode(m.ScriptName + m.PathInfo))
			if again != path || err != nil {
				t.Fatalf("%q: sent once more %q is %q, %v", raw, path, again, err)
			}
			if clean, err := routing.CleanPath(path); clean != path || err != nil {
				t.Fatalf("%q: cleaned %q is %q, %v", raw, path, clean, err)
			}
			if m := table.Lookup(routing.Request{Method: "GET", Path: again}, nil); m.ScriptName+m.PathInfo != path {
				t.Fatalf("%q: sent once more got %+v", raw, m)
			}
		}
	})
}
