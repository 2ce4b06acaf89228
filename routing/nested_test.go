package routing_test

import (
	"slices"
	"strings"
	"testing"

	"headgate/routing"
)

func TestNestedRoutes(t *testing.T) {
	table := newTable(t, site{Routes: []route{
		{Path: "/admin", Value: "admin", Routes: []route{
			{Path: "=/admin/login", Value: "login"},
			{Path: "/admin/api/", Value: "api", None: true, Routes: []route{
				{Path: "~^/admin/api/v([0-9]+)/", Value: "version"},
				{Methods: []string{"POST"}, Value: "api post"},
			}},
			{Methods: []string{"DELETE"}, Value: "delete"},
		}},
		{Mount: "/blog", Value: "blog", Routes: []route{
			{Path: "/blog/static/", Value: "blog files"},
			{Mount: "/blog/en", Value: "english"},
			{Path: "~[.]xml$", Value: "feeds"},
		}},
		{Path: "~^/(u|user)/(?P<name>[a-z]+)", Value: "user", Routes: []route{
			{Path: "~/edit$", Value: "edit"},
			{Path: "/user/root", Value: "root"},
			{Methods: []string{"PUT"}, Value: "put user"},
		}},
		{None: true, Value: "nobody", Routes: []route{{Path: "/loose", Value: "loose"}}},
		{Value: "rest"},
	}})
	for _, c := range []struct{ method, path, route, script, info, prefix string }{
		{"GET", "/admin", "admin", "", "/admin", "/admin"},
		{"GET", "/admin/login", "login", "", "/admin/login", "/admin"},
		{"DELETE", "/admin/x", "delete", "", "/admin/x", "/admin"},
		{"GET", "/admin/api/v2/x", "version", "", "/admin/api/v2/x", "/admin/api/"},
		{"POST", "/admin/api/x", "api post", "", "/admin/api/x", "/admin/api/"},
		{"GET", "/admin/api/x", "admin", "", "/admin/api/x", "/admin"}, // api has nothing to do for itself
		{"GET", "/blog", "blog", "/blog", "", "/blog"},
		{"GET", "/blog/static/a.css", "blog files", "/blog", "/static/a.css", "/blog/static/"},
		{"GET", "/blog/en/x", "english", "/blog/en", "/x", "/blog/en"},
		{"GET", "/blog/feed.xml", "feeds", "/blog", "/feed.xml", "/blog"},
		{"GET", "/feed.xml", "rest", "", "/feed.xml", ""},
		{"GET", "/u/anna", "user", "", "/u/anna", ""},
		{"GET", "/u/anna/edit", "edit", "", "/u/anna/edit", ""},
		{"GET", "/x/edit", "rest", "", "/x/edit", ""},
		{"GET", "/user/root/x", "root", "", "/user/root/x", "/user/root"},
		{"PUT", "/u/anna", "put user", "", "/u/anna", ""},
		{"GET", "/loose/x", "loose", "", "/loose/x", "/loose"},
	} {
		m := table.Lookup(routing.Request{Method: c.method, Path: c.path}, nil)
		if m.Found != routing.SiteRoute || m.Route != c.route || m.ScriptName != c.script || m.PathInfo != c.info || m.Prefix != c.prefix {
			t.Errorf("%s %s: got %+v, want %+v", c.method, c.path, m, c)
		}
	}
}

func TestCaptures(t *testing.T) {
	table := newTable(t, site{Routes: []route{
		{Path: "~^/(u|user)/(?P<name>[a-z]+)(/x)?", Routes: []route{
			{Path: "~/edit/(.*)$", Value: "edit"},
			{Methods: []string{"PUT"}, Value: "put"},
			{Path: "/user/root", Value: "root"},
		}},
		{Path: "/plain"},
	}})
	for _, c := range []struct{ method, path, first, name string }{
		{"GET", "/u/anna", "u", "anna"},
		{"GET", "/u/anna/edit/5", "5", ""}, // the innermost alone
		{"PUT", "/u/anna", "u", "anna"},
		{"GET", "/user/root", "user", "root"}, // a literal path within has none of its own
		{"GET", "/plain", "", ""},
	} {
		got := table.Lookup(routing.Request{Method: c.method, Path: c.path}, nil).Captures()
		first, _ := got.Group(1)
		name, _ := got.Named("name")
		if first != c.first || name != c.name {
			t.Errorf("%s %s: captured %q and %q, want %q and %q", c.method, c.path, first, name, c.first, c.name)
		}
	}
	got := table.Lookup(routing.Request{Path: "/u/anna"}, nil).Captures()
	for _, number := range []int{-1, 3, 4, 99} {
		if text, ok := got.Group(number); ok {
			t.Errorf("group %d: got %q, want none", number, text)
		}
	}
	if text, ok := got.Named("nobody"); ok {
		t.Errorf("the group nobody has captured %q", text)
	}
}

func TestMethods(t *testing.T) {
	table := newTable(t, site{Routes: []route{
		{Path: "/a", Methods: []string{"GET"}, Value: "get"},
		{Path: "/a", Methods: []string{"POST", "PROPFIND"}, Value: "post"},
		{Path: "/a", Methods: []string{"PATCH"}, Condition: true, Value: "hidden"},
		{Path: "/b", Methods: []string{"POST", "GET"}, None: true, Routes: []route{{Methods: []string{"GET", "DELETE"}, Value: "nested"}}},
		{Path: "/c", Methods: []string{"POST"}, Condition: true, Value: "hidden"},
	}})
	shown := func(value string) bool { return value != "hidden" }
	for _, c := range []struct {
		method, path, route string
		found               routing.Found
		allow               string
	}{
		{"GET", "/a", "get", routing.SiteRoute, ""},
		{"HEAD", "/a", "get", routing.SiteRoute, ""},
		{"PROPFIND", "/a", "post", routing.SiteRoute, ""},
		{"get", "/a", "", routing.NoMethod, "GET HEAD POST PROPFIND"},
		{"PATCH", "/a", "", routing.NoMethod, "GET HEAD POST PROPFIND"},
		{"", "/a", "", routing.NoMethod, "GET HEAD POST PROPFIND"},
		{"MKCOL", "/a", "", routing.NoMethod, "GET HEAD POST PROPFIND"},
		{"GET", "/b", "nested", routing.SiteRoute, ""},
		{"HEAD", "/b/x", "nested", routing.SiteRoute, ""},
		{"POST", "/b", "", routing.NoMethod, "GET HEAD"},
		{"DELETE", "/b", "", routing.NoMethod, "GET HEAD"},
		{"GET", "/c", "", routing.NoRoute, ""}, // a route whose condition does not hold is not shown
		{"GET", "/d", "", routing.NoRoute, ""},
	} {
		m := table.Lookup(routing.Request{Method: c.method, Path: c.path}, shown)
		if m.Found != c.found || m.Route != c.route || strings.Join(m.Allow(), " ") != c.allow {
			t.Errorf("%s %s: got %+v with %q, want %+v", c.method, c.path, m, m.Allow(), c)
		}
	}
}

// A condition is asked when all else matches, in order, and once for all that are
// nested in one.
func TestConditionsAreAskedInOrder(t *testing.T) {
	table := newTable(t, site{Routes: []route{
		{Path: "/x", Condition: true, Value: "other path"},
		{Condition: true, Methods: []string{"POST"}, Value: "other method"},
		{Condition: true, Value: "outer", Routes: []route{
			{Condition: true, Value: "first"},
			{Condition: true, Value: "second", Routes: []route{{Value: "free"}, {Condition: true, Value: "third"}}},
		}},
		{Condition: true, Value: "outer no", None: true, Routes: []route{{Condition: true, Value: "never"}}},
		{Value: "no condition"},
		{Condition: true, Value: "behind"},
	}})
	for _, c := range []struct{ yes, want, asked string }{
		{"", "no condition", "outer, outer no"},
		{"outer first", "first", "outer, first"},
		{"outer second", "free", "outer, first, second"},
		{"outer", "outer", "outer, first, second"},
	} {
		var asked []string
		m := table.Lookup(routing.Request{Method: "GET", Path: "/"}, func(value string) bool {
			asked = append(asked, value)
			return slices.Contains(strings.Fields(c.yes), value)
		})
		if m.Route != c.want || strings.Join(asked, ", ") != c.asked {
			t.Errorf("%q hold: got %q, having asked %q; want %q and %q", c.yes, m.Route, asked, c.want, c.asked)
		}
	}
	if m := table.Lookup(routing.Request{Method: "GET", Path: "/"}, nil); m.Route != "first" {
		t.Errorf("no holds: got %q, want what always holding conditions give", m.Route)
	}
}

func TestMistakesOfRoutes(t *testing.T) {
	in := func(outer route, nested ...route) route {
		outer.Routes = nested
		return outer
	}
	deep := route{Path: "/a"}
	for range 9 {
		deep = in(route{}, deep)
	}
	const whole = "the path of the route that it is in"
	for _, c := range []struct {
		route route
		want  string // "" for none
	}{
		{route: in(route{Path: "/a"}, route{Path: "/a"}, route{Path: "/a/"}, route{Path: "=/a"}, route{Mount: "/a/b"}, route{}, route{Path: "~x"})},
		{route: in(route{Path: "=/a"}, route{Path: "=/a"}, route{Path: "~^/(.)$"})},
		{route: in(route{Path: "~^/a"}, route{Path: "/ab"}, route{Path: "=/ab"}, route{Path: "~b$"}, route{Mount: "/abc"}, route{Path: "~^/ab"})},
		{route: in(route{}, route{Path: "/"}, route{Mount: "/"}, route{Mount: "/a"})},
		{in(route{Path: "/a"}, route{}, route{Path: "/b"}), `routes[0].routes[1]: "/b" is not below "/a", ` + whole + `, and paths of nested routes are whole: write "/a/b"`},
		{in(route{Path: "/a/"}, route{Path: "=/b"}), `routes[0].routes[0]: "=/b" is not below "/a/", ` + whole + `, and paths of nested routes are whole: write "=/a/b"`},
		{in(route{Path: "/a/"}, route{Path: "/a"}), `routes[0].routes[0]: "/a" is not below "/a/", ` + whole + `, and paths of nested routes are whole: write "/a/"`},
		{in(route{Mount: "/a"}, route{Mount: "/ab"}), `routes[0].routes[0]: "/ab" is not below "/a", ` + whole + `, and paths of nested routes are whole: write "/a/ab"`},
		{in(route{Path: "/a"}, route{Path: "/"}), `routes[0].routes[0]: "/" is not below "/a", ` + whole + `: leave it out`},
		{in(route{Path: "=/a"}, route{Path: "/a"}), `routes[0].routes[0]: "/a" is in a route that has the path "=/a" alone: leave it out`},
		{in(route{Path: "/a"}, in(route{Path: "~x"}, route{Path: "/b"})), `routes[0].routes[0].routes[0]: "/b" is not below "/a", ` + whole + `, and paths of nested routes are whole: write "/a/b"`},
		{in(route{Path: "/a"}, route{Path: "~^/ab"}), `routes[0].routes[0]: "~^/ab" can never match in a route that has the path "/a": write the whole path, beginning with that of the outer route`},
		{in(route{Path: "~^/a"}, route{Path: "/b"}), `routes[0].routes[0]: "/b" can never match in a route that has the path "~^/a": write the whole path, beginning with that of the outer route`},
		{in(route{Path: "~a$"}, route{Path: "=/b"}), `routes[0].routes[0]: "=/b" can never match in a route that has the path "~a$": write the whole path, beginning with that of the outer route`},
		{in(route{Path: "=/b"}, route{Path: "~a$"}), `routes[0].routes[0]: "~a$" can never match in a route that has the path "=/b": write the whole path, beginning with that of the outer route`},
		{in(route{Methods: []string{"GET"}}, route{Methods: []string{"POST", "X"}}), `routes[0].routes[0]: no method is both of this route (POST, X) and of the one it is in (GET, HEAD): leave the methods out here, or give it one of those`},
		{route{Methods: []string{"get"}}, `routes[0]: the method "get" never comes, for its letters have a case: write GET`},
		{route{Methods: []string{""}}, `routes[0]: a method is empty: write one such as GET`},
		{route{Methods: []string{"GET POST"}}, `routes[0]: the method "GET POST" has a byte that no method has: write one such as GET`},
		{route{Methods: []string{strings.Repeat("X", 65)}}, `routes[0]: the method "XXXXXXXXXXXXXXXXXXXX"... is longer than 64 bytes: write a shorter one`},
		{route{Methods: make([]string, 65)}, `routes[0]: there are more than 64 methods: leave them out for every method`},
		{deep, `routes[0]` + strings.Repeat(".routes[0]", 8) + `: routes are nested in more than 8 others here: put them into one that is further out`},
	} {
		var got []string
		for _, err := range routing.CheckRoutes([]route{c.route}) {
			got = append(got, err.Error())
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.route, strings.Join(got, "\n"), c.want)
		}
	}
}

func TestNumberOfRoutesIsBounded(t *testing.T) {
	routes := make([]routing.Route[struct{}], 99_999)
	routes[0].Routes = make([]routing.Route[struct{}], 1)
	if errs := routing.CheckRoutes(routes); len(errs) != 0 {
		t.Errorf("100,000 routes: got %v, want no error", errs)
	}
	routes[1].Routes = routes[0].Routes
	errs := routing.CheckRoutes(routes)
	if len(errs) != 1 || !slices.Equal(errs[0].Route, []int{99_998}) {
		t.Errorf("100,001 routes: got %v, want one error, of the last route", errs)
	}
}

func TestLookupSite(t *testing.T) {
	table := newTable(t, site{Hosts: []string{"a.example"}, Value: "a"}, site{Hosts: []string{"*.a.example"}, Value: "wild"})
	for host, want := range map[string]string{"a.example": "a", "x.a.example": "wild", "b.example": ""} {
		if got, ok := table.LookupSite(host); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %t, want %q", host, got, ok, want)
		}
	}
}
