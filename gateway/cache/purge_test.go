package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

func TestPurge(t *testing.T) {
	type at struct{ site, scheme, host, path, query, key, vary string }
	all := []at{
		{"a", "https", "a.example", "/", "", "", ""},
		{"a", "https", "a.example", "/blog", "", "", ""},
		{"a", "https", "a.example", "/blog", "", "", "de"},
		{"a", "https", "a.example", "/blog", "", "mobile", ""},
		{"a", "http", "a.example", "/blog", "", "", ""},
		{"a", "https", "A.example:443", "/blog", "p=1", "", ""},
		{"a", "https", "a.example", "/blog/one", "", "", ""},
		{"a", "https", "a.example", "/blogs", "", "", ""},
		{"b", "https", "b.example", "/blog", "", "", ""},
		{"b", "https", "b.example", "/ä b/c", "", "", ""},
	}
	for _, test := range []struct {
		p    cache.Purge
		want []int
	}{
		{cache.Purge{URL: "https://a.example/blog"}, []int{1, 2, 3}},
		{cache.Purge{URL: "https://A.EXAMPLE:443//x/../blog#top"}, []int{1, 2, 3}},
		{cache.Purge{URL: "//a.example/blog"}, []int{1, 2, 3, 4}},
		{cache.Purge{URL: "/blog"}, []int{1, 2, 3, 4, 8}},
		{cache.Purge{URL: "/blog", Site: "b"}, []int{8}},
		{cache.Purge{URL: "https://a.example/blog?p=1"}, []int{5}},
		{cache.Purge{URL: "https://a.example"}, []int{0}},
		{cache.Purge{URL: "https://b.example/%c3%a4%20b/./c"}, []int{9}},
		{cache.Purge{URL: "https://a.example/none"}, nil},
		{cache.Purge{Prefix: "https://a.example/blog"}, []int{1, 2, 3, 5, 6}},
		{cache.Purge{Prefix: "https://a.example/blog/"}, []int{6}},
		{cache.Purge{Prefix: "/"}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{cache.Purge{Prefix: "/", Site: "b"}, []int{8, 9}},
		{cache.Purge{Prefix: "//a.example/"}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{cache.Purge{All: true}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{cache.Purge{All: true, Site: "a"}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{cache.Purge{Tag: "all"}, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}},
		{cache.Purge{Tag: "page-3"}, []int{3}},
		{cache.Purge{Tag: "page-8"}, []int{8}},
		{cache.Purge{Tag: "page-8", Site: "a"}, nil},
		{cache.Purge{Tag: "page"}, nil},
	} {
		for _, dir := range []string{"", t.TempDir()} {
			n := 0
			f := newFrontWith(t, cache.StoreOptions{Dir: dir, Large: 4 * kib}, cache.Options{}, func(int, wire.Request) answer {
				a := answer{lines: []string{"Cache-Control: max-age=60", "Vary: X-A", "Cache-Tag: x, all", fmt.Sprint("Surrogate-Key: y page-", n)}, body: "x"}
				if dir != "" {
					a.body = large(1)
				}
				return a
			})
			ask := func(i int) *got {
				r := request("GET", all[i].path, "X-A: "+all[i].vary)
				r.Site, r.Scheme, r.Host, r.Path, r.Query, r.Key = all[i].site, all[i].scheme, all[i].host, all[i].path, all[i].query, all[i].key
				return f.do(r)
			}
			for n = range all {
				ask(n)
			}
			removed, err := f.store.Purge(test.p)
			if err != nil || removed != len(test.want) {
				t.Errorf("%+v: removed %d, %v, want %d", test.p, removed, err, len(test.want))
			}
			var missed []int
			for i := range all {
				if ask(i).trace[0] == "miss" {
					missed = append(missed, i)
				}
			}
			if fmt.Sprint(missed) != fmt.Sprint(test.want) {
				t.Errorf("%+v: removed %v, want %v", test.p, missed, test.want)
			}
		}
	}
}

func TestPurgeRefuses(t *testing.T) {
	st := cache.NewStore(cache.Setup{})
	for _, p := range []cache.Purge{
		{},
		{Site: "x"},
		{URL: "/", Tag: "x"},
		{URL: "/", All: true},
		{URL: "ftp://x/"},
		{URL: "example.com/x"},
		{URL: "https:///x"},
		{URL: "x"},
		{URL: "://"},
		{Prefix: "https://x/?q"},
		{URL: "https://user@x/"},
		{Prefix: "mailto:x"},
	} {
		if n, err := st.Purge(p); err == nil || n != 0 {
			t.Errorf("%+v: got %d, %v", p, n, err)
		}
	}
}

// TestPurgeDuringFetch: what the app began to say before is not stored.
func TestPurgeDuringFetch(t *testing.T) {
	for _, p := range []cache.Purge{{URL: "/page"}, {Prefix: "/"}, {Tag: "t"}, {All: true}, {URL: "https://example.com/page", Site: "s"}} {
		for _, when := range []string{"before the head", "in the body", "before a 304"} {
			for _, about := range []bool{true, false} {
				synctest.Test(t, func(t *testing.T) {
					f := newFront(t, cache.Options{}, func(n int, r wire.Request) answer {
						a := answer{lines: []string{"Cache-Control: max-age=60", "Cache-Tag: t", `ETag: "v"`}, body: fmt.Sprint("version ", n)}
						switch {
						case when == "before the head" && n == 1, when == "before a 304" && n == 2:
							a.before = sleep(s)
						case when == "in the body" && n == 1:
							a.between = func(context.Context, wire.Answer) { sleep(s)(context.Background()) }
						}
						if when == "before a 304" && n == 2 {
							a.status, a.body = 304, ""
						}
						return a
					})
					lines := ""
					if when == "before a 304" {
						f.get("/page")
						lines = "Cache-Control: no-cache"
					}
					var wg sync.WaitGroup
					wg.Go(func() {
						if g := f.get("/page", lines); !g.whole || !strings.HasPrefix(g.body.String(), "version 1") {
							t.Errorf("got %v", g)
						}
					})
					synctest.Wait()
					p := p
					if !about {
						p = cache.Purge{URL: "/other"}
					}
					if _, err := f.store.Purge(p); err != nil {
						t.Fatal(err)
					}
					during := f.get("/page")
					wg.Wait()
					after := f.get("/page")
					if about && (during.body.String() == "version 1" || after.body.String() == "version 1") {
						t.Errorf("%+v %s: got %v and %v", p, when, during, after)
					}
					if !about && (during.body.String() != "version 1" || after.trace[0] != "hit") {
						t.Errorf("%s: a purge of something else: got %v and %v", when, during, after)
					}
				})
			}
		}
	}
}

// TestChangeDuringFetch is a purge too.
func TestChangeDuringFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, func(n int, r wire.Request) answer {
			a := ok("Cache-Control: max-age=60", fmt.Sprint("X-N: ", n))
			if n == 1 {
				a.before = sleep(s)
			}
			return a
		})
		var wg sync.WaitGroup
		wg.Go(func() { f.get("/page") })
		synctest.Wait()
		f.do(request("POST", "/page"))
		wg.Wait()
		if g := f.get("/page"); g.trace[0] != "miss" || g.header.Get("X-N") != "3" {
			t.Errorf("got %v", g)
		}
	})
}
