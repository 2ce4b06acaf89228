package routing_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"headgate/routing"
)

type (
	site  = routing.Site[string, string]
	route = routing.Route[string]
)

func newTable(t testing.TB, sites ...site) *routing.Table[string, string] {
	t.Helper()
	table, err := routing.NewTable(sites)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestLookupChoosesSite(t *testing.T) {
	all := []route{{Value: "all"}}
	table := newTable(t,
		site{Hosts: []string{"*.example.com"}, Value: "wild", Routes: all},
		site{Value: "other", Routes: all},
		site{Hosts: []string{"Shop.Example.com.", "[2001:DB8::1]"}, Value: "shop", Routes: all},
		site{Hosts: []string{"*.shop.example.com"}, Value: "deeper", Routes: all},
		site{Hosts: []string{"*.localhost"}, Value: "local", Routes: all},
	)
	for host, want := range map[string]string{
		"shop.example.com":     "shop", // exact before wildcard, whatever the order
		"[2001:db8::1]":        "shop",
		"www.example.com":      "wild",
		"a.shop.example.com":   "deeper",
		"a.b.shop.example.com": "other", // a wildcard is one label
		"a.www.example.com":    "other",
		"example.com":          "other",
		".example.com":         "other",
		"wwwexample.com":       "other",
		"x.localhost":          "local",
		"localhost":            "other",
		"":                     "other",
		"*.example.com":        "wild",
	} {
		if m := table.Lookup(routing.Request{Host: host, Path: "/"}, nil); m.Site != want || m.Found != routing.SiteRoute {
			t.Errorf("host %q: got %+v, want the site %q", host, m, want)
		}
	}
}

func TestLookupTakesFirstRoute(t *testing.T) {
	table := newTable(t, site{Routes: []route{
		{Path: "=/static/special", Value: "special"},
		{Path: "/static/", Value: "static"},
		{Path: "~^/u/[0-9]+$", Value: "user"},
		{Mount: "/blog", Value: "blog"},
		{Path: "/blog/never", Value: "never"},
		{Value: "rest"},
		{Path: "/after", Value: "after"},
	}})
	for path, want := range map[string]string{
		"/static/special": "special", "/static/x": "static", "/static": "rest", "/u/7": "user", "/u/x": "rest",
		"/blog": "blog", "/blog/never": "blog", "/after": "rest", "/": "rest",
	} {
		if m := table.Lookup(routing.Request{Path: path}, nil); m.Route != want {
			t.Errorf("path %q: got %q, want %q", path, m.Route, want)
		}
	}
}

func TestLookupSaysWhatIsMissing(t *testing.T) {
	table := newTable(t, site{Hosts: []string{"a.example"}, Value: "a", Routes: []route{{Path: "/x", Value: "x"}}},
		site{Hosts: []string{"empty.example"}, Value: "empty"})
	for _, c := range []struct {
		host, path, site string
		found            routing.Found
	}{
		{"a.example", "/x", "a", routing.SiteRoute},
		{"a.example", "/y", "a", routing.NoRoute},
		{"empty.example", "/", "empty", routing.NoRoute},
		{"b.example", "/x", "", routing.NoSite},
	} {
		m := table.Lookup(routing.Request{Host: c.host, Path: c.path}, nil)
		if m.Found != c.found || m.Site != c.site {
			t.Errorf("%s%s: got %+v, want site %q and %d", c.host, c.path, m, c.site, c.found)
		}
	}
	var zero routing.Table[string, string]
	if m := zero.Lookup(routing.Request{Host: "a.example", Path: "/"}, nil); m.Found != routing.NoSite {
		t.Errorf("zero table: got %+v, want no site", m)
	}
}

// A site that has the host answers, even when a wider one has a route.
func TestLookupDoesNotFallBackToWiderSite(t *testing.T) {
	table := newTable(t, site{Hosts: []string{"a.example"}, Value: "a", Routes: []route{{Path: "/x"}}}, site{Value: "other", Routes: []route{{}}})
	if m := table.Lookup(routing.Request{Host: "a.example", Path: "/secret"}, nil); m.Found != routing.NoRoute || m.Site != "a" {
		t.Errorf("got %+v, want no route in site a", m)
	}
}

func TestNewTableReportsEveryMistake(t *testing.T) {
	table, err := routing.NewTable([]site{
		{Hosts: []string{"a.example", "*.b.example"}, Routes: []route{{Path: "x"}, {}, {Path: "/a", Mount: "/b"}}},
		{},
		{Hosts: []string{"A.example.", "c.example:80", "c.example:", "a.*.example", "*", "*.[::1]", "u@x", "*.*.example"}},
		{},
		{Hosts: []string{"*.B.example", "d.example", "d.example"}, Routes: []route{{Mount: "/m/"}}},
	})
	if table != nil {
		t.Error("got a table, want nil with an error")
	}
	if err == nil {
		t.Fatal("got no error")
	}
	want := []string{
		`sites[0].routes[0]: "x" does not begin with a slash: write "/x"`,
		`sites[0].routes[2]: path and mount exclude each other, for a mount is a prefix already: remove one of the two`,
		`sites[2]: the host "A.example." is in sites[0] already: remove one of the two`,
		`sites[2]: the host "c.example:80" has a port: write "c.example"`,
		`sites[2]: the host "c.example:" has a port: write "c.example"`,
		`sites[2]: the host "a.*.example" has a * that is not its first label: write *.example.com`,
		`sites[2]: the host "*" has a * that is not its first label: write *.example.com`,
		`sites[2]: the host "*.[::1]" has a * before an address: write "[::1]"`,
		`sites[2]: the host "u@x" is not valid: ` + routing.ErrHostByte.Error(),
		`sites[2]: the host "*.*.example" has a * that is not its first label: write *.example.com`,
		`sites[3]: no hosts, but sites[1] takes all other hosts already: give one of the two hosts`,
		`sites[4].routes[0]: "/m/" ends with a slash: write "/m"`,
		`sites[4]: the host "*.B.example" is in sites[0] already: remove one of the two`,
		`sites[4]: the host "d.example" is in sites[4] already: remove one of the two`,
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestTableCopiesItsSites(t *testing.T) {
	hosts, routes := []string{"a.example"}, []route{{Path: "/x", Value: "x"}}
	table := newTable(t, site{Hosts: hosts, Routes: routes})
	hosts[0], routes[0] = "b.example", route{Path: "/y", Value: "y"}
	if m := table.Lookup(routing.Request{Host: "a.example", Path: "/x"}, nil); m.Route != "x" {
		t.Errorf("got %+v, want what the table was made of", m)
	}
}

func TestLookupConcurrently(t *testing.T) {
	table := manySites(t, 100)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				host := fmt.Sprintf("shop%d.example.com", (i+g)%100)
				if m := table.Lookup(routing.Request{Host: host, Path: "/u/7"}, nil); m.Site != host || m.Route != "user" {
					t.Errorf("%s: got %+v", host, m)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLookupDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector lets the pools of package regexp forget")
	}
	table := manySites(t, 10)
	for _, r := range []routing.Request{
		{Host: "shop7.example.com", Path: "/static19/x"},
		{Host: "shop7.example.com", Path: "/u/7"},
		{Host: "shop7.example.com", Path: "/nothing"},
		{Host: "x.wild3.example.com", Path: "/mount/x"},
		{Host: "nobody.example", Path: "/"},
	} {
		if n := testing.AllocsPerRun(100, func() { table.Lookup(r, nil) }); n != 0 {
			t.Errorf("%s%s: %v allocations, want none", r.Host, r.Path, n)
		}
	}
}

// manySites has n sites of one exact and one wildcard host and 20 routes, one of
// them a regular expression.
func manySites(t testing.TB, n int) *routing.Table[string, string] {
	sites := make([]site, n)
	for i := range sites {
		name := fmt.Sprintf("shop%d.example.com", i)
		s := site{Hosts: []string{name, fmt.Sprintf("*.wild%d.example.com", i)}, Value: name}
		s.Routes = append(s.Routes, route{Path: "~^/u/[0-9]+$", Value: "user"}, route{Mount: "/mount", Value: "mount"}, route{Path: "=/exact", Value: "exact"})
		for j := len(s.Routes); j < 20; j++ {
			s.Routes = append(s.Routes, route{Path: fmt.Sprintf("/static%d/", j), Value: "static"})
		}
		sites[i] = s
	}
	return newTable(t, sites...)
}

func BenchmarkLookup(b *testing.B) {
	table := manySites(b, 10_000)
	for name, r := range map[string]routing.Request{
		"last-route": {Host: "shop9876.example.com", Path: "/static19/css/site.css"},
		"regexp":     {Host: "shop9876.example.com", Path: "/u/123456"},
		"wildcard":   {Host: "tenant.wild9876.example.com", Path: "/static19/css/site.css"},
		"no-route":   {Host: "shop9876.example.com", Path: "/nothing/of/the/kind"},
		"no-site":    {Host: "nobody.example.org", Path: "/"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Lookup(r, nil)
			}
		})
	}
}
