package routing_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"headgate/routing"
)

// TestManyRoutesMatchAsFewDo: a table that looks routes up in an index finds what
// one route after the other finds: each is a table of its own here, which has no
// index.
func TestManyRoutesMatchAsFewDo(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	words := []string{"a", "b", "ab", "a.b", "aa"}
	text := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most) {
			b.WriteString("/" + words[rng.IntN(len(words))])
		}
		if b.Len() == 0 || rng.IntN(3) == 0 {
			b.WriteByte('/')
		}
		return b.String()
	}
	for range 300 {
		var all []routing.Route[int]
		for i := range 12 + rng.IntN(40) {
			r := routing.Route[int]{Value: i}
			switch rng.IntN(10) {
			case 0:
				r.Path = "~^" + text(3) + "(/|$)"
			case 1:
				r.Mount = strings.TrimSuffix(text(4), "/")
			case 2, 3:
				r.Path = "=" + text(5)
			default:
				r.Path = text(5)
			}
			if r.Path == "/" && rng.IntN(20) > 0 {
				r.Path = "/a" // what matches everything hides all behind it
			}
			all = append(all, r)
		}
		many := table(t, all)
		for range 100 {
			path := text(7)
			got, want := many.Lookup(routing.Request{Path: path}, nil), firstOf(t, all, path)
			if !same(got, want) {
				t.Fatalf("%s: got %+v, want %+v among %+v", path, got, want, all)
			}
		}
		if got, want := many.Lookup(routing.Request{Path: "*"}, nil), firstOf(t, all, "*"); !same(got, want) {
			t.Fatalf("*: got %+v, want %+v", got, want)
		}
	}
}

// same compares all of a match but the captures, whose regular expressions differ
// from table to table.
func same(a, b routing.Match[string, int]) bool {
	return a.Site == b.Site && a.Route == b.Route && a.ScriptName == b.ScriptName && a.PathInfo == b.PathInfo && a.Prefix == b.Prefix && a.Found == b.Found
}

func table(t *testing.T, routes []routing.Route[int]) *routing.Table[string, int] {
	t.Helper()
	made, err := routing.NewTable([]routing.Site[string, int]{{Value: "s", Routes: routes}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// firstOf asks the routes one after the other.
func firstOf(t *testing.T, routes []routing.Route[int], path string) routing.Match[string, int] {
	t.Helper()
	for i := range routes {
		if m := table(t, routes[i:i+1]).Lookup(routing.Request{Path: path}, nil); m.Found == routing.SiteRoute {
			return m
		}
	}
	return routing.Match[string, int]{Site: "s", Found: routing.NoRoute}
}

// BenchmarkLookupOfManyRoutes is for a path that the last route takes. A hostile one has as
// many segments as fit.
func BenchmarkLookupOfManyRoutes(b *testing.B) {
	for _, count := range []int{1, 8, 10, 100, 10_000} {
		var routes []routing.Route[int]
		for i := range count {
			routes = append(routes, routing.Route[int]{Path: fmt.Sprintf("/shop/category-%d/", i), Value: i})
		}
		routes[count-1].Path = ""
		made, err := routing.NewTable([]routing.Site[string, int]{{Hosts: []string{"shop.example.com"}, Routes: routes}})
		if err != nil {
			b.Fatal(err)
		}
		for name, path := range map[string]string{"usual": "/shop/item/12345", "hostile": strings.Repeat("/a", 8000)} {
			b.Run(fmt.Sprintf("%d/%s", count, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					made.Lookup(routing.Request{Host: "shop.example.com", Path: path}, nil)
				}
			})
		}
	}
}
