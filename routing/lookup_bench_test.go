package routing_test

import (
	"fmt"
	"testing"

	"headgate/routing"
)

// fullSite has 20 routes with the nested ones, of all kinds: as a site of an app
// with an API, files, a blog beside it and some guarded corners.
func fullSite(name string) site {
	get, post := []string{"GET"}, []string{"POST"}
	return site{Hosts: []string{name}, Value: name, Routes: []route{
		{Path: "=/favicon.ico", Value: "icon"},
		{Path: "=/robots.txt", Methods: get, Value: "robots"},
		{Path: "/static/", Methods: get, Value: "static", Routes: []route{{Path: "~[.](css|js)$", Value: "code"}}},
		{Path: "/media/", Methods: get, Condition: true, Value: "media"},
		{Path: "/protected/", Value: "protected"},
		{Path: "/admin", Condition: true, Value: "admin", Routes: []route{
			{Path: "=/admin/login", Methods: post, Value: "login"},
			{Path: "/admin/api/", Value: "admin api", Routes: []route{{Methods: post, Value: "admin api post"}}},
		}},
		{Mount: "/blog", Value: "blog", Routes: []route{{Path: "/blog/feed", Value: "feed"}}},
		{Mount: "/wiki", Value: "wiki"},
		{Path: "/api/v1/", Methods: post, Value: "post"},
		{Path: "/api/v1/", Methods: get, Value: "get"},
		{Path: "~^/old/([0-9]+)/(.*)$", Value: "old"},
		{Path: "~^/u/[a-z0-9]+$", Value: "user"},
		{Path: "~[.]php$", Value: "none"},
		{Path: "/", Condition: true, Value: "canary"},
		{Value: "app"},
	}}
}

// atFull are requests of a full site, and the routes that take them; "" for none.
var atFull = []struct{ name, method, path, route string }{
	{"exact", "GET", "/robots.txt", "robots"},
	{"prefix", "GET", "/static/css/site.png", "static"},
	{"nested", "POST", "/admin/api/users/7", "admin api post"},
	{"mount", "GET", "/blog/2026/11/an-article", "blog"},
	{"method", "GET", "/api/v1/items", "get"},
	{"regexp", "GET", "/u/anna", "user"},
	{"condition", "GET", "/media/x.png", "app"},
	{"last", "GET", "/shop/category/article-4711", "app"},
}

// lookUp has a closure that knows something, as that of the gateway.
func lookUp(table *routing.Table[string, string], r routing.Request, canary string) string {
	m := table.Lookup(r, func(value string) bool { return value != canary && value != "media" })
	return m.Route
}

func fullTable(t testing.TB, sites int) *routing.Table[string, string] {
	all := make([]site, sites)
	for i := range all {
		all[i] = fullSite(fmt.Sprintf("shop%d.example.com", i))
	}
	return newTable(t, all...)
}

func TestLookupOfFullSiteDoesNotAllocate(t *testing.T) {
	table := fullTable(t, 3)
	for _, c := range atFull {
		r := routing.Request{Method: c.method, Host: "shop2.example.com", Path: c.path}
		if got := lookUp(table, r, "canary"); got != c.route {
			t.Errorf("%s: got %q, want %q", c.name, got, c.route)
		}
		if raceEnabled {
			continue // the race detector lets the pools of package regexp forget
		}
		if n := testing.AllocsPerRun(100, func() { lookUp(table, r, "canary") }); n != 0 {
			t.Errorf("%s: %v allocations, want none", c.name, n)
		}
	}
}

// BenchmarkLookupOfManySites asks another host each time, so that the cache of the
// processor does not hold the site.
func BenchmarkLookupOfManySites(b *testing.B) {
	const sites = 10_000
	table := fullTable(b, sites)
	hosts := make([]string, sites)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("shop%d.example.com", i*7919%sites)
	}
	for _, c := range atFull {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				lookUp(table, routing.Request{Method: c.method, Host: hosts[i], Path: c.path}, "canary")
				if i++; i == sites {
					i = 0
				}
			}
		})
	}
}

// Redirects of a site that has moved: 1,000 regular expressions, of which hardly
// any can match a path.
func BenchmarkLookupOfManyRegexps(b *testing.B) {
	for name, form := range map[string]string{"folders": "~^/old/%d/(.*)$", "names": "~^/article-%d-(.*)$"} {
		var routes []route
		for i := range 1000 {
			routes = append(routes, route{Path: fmt.Sprintf(form, i), Value: "old"})
		}
		table := newTable(b, site{Routes: append(routes, route{Value: "app"})})
		for name2, path := range map[string]string{"hit": "/old/999/x", "name": "/article-999-x", "miss": "/shop/x"} {
			b.Run(name+"/"+name2, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					lookUp(table, routing.Request{Method: "GET", Path: path}, "")
				}
			})
		}
	}
}

func BenchmarkNewTable(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fullTable(b, 1000)
	}
}
