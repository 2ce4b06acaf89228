package cache_test

import (
	"context"
	"fmt"
	"testing"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// sink takes answers and does nothing with them.
type sink struct{ n int }

func (s *sink) WriteHead(int, wire.Fields, int64) {}
func (s *sink) Write(p []byte) (int, error)       { s.n += len(p); return len(p), nil }
func (s *sink) Flush() error                      { return nil }
func (s *sink) Detached() cache.Origin            { return nil }
func (s *sink) Fetch(_ context.Context, f wire.Fields, a wire.Answer) bool {
	a.WriteHead(200, wire.Fields{{Name: "Cache-Control", Value: "max-age=1000"}, {Name: "Content-Type", Value: "text/html"}, {Name: "Vary", Value: "Accept-Encoding"}}, 8<<10)
	a.Write(make([]byte, 8<<10))
	return true
}

func browser(url string, lines ...string) *cache.Request {
	return request("GET", url, append(lines, "Host: example.com", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Accept: text/html,application/xhtml+xml,application/xml;q=0.9",
		"Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "Priority: u=0, i", "Cookie: sessionid=0123456789abcdef")...)
}

func benchStore(b *testing.B) (*cache.Store, *cache.Policy) {
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		b.Fatal(err)
	}
	return st, policy(b, cache.Options{})
}

func BenchmarkHit(b *testing.B) {
	for name, r := range map[string]*cache.Request{
		"page": browser("/page"), "not modified": browser("/page", `If-None-Match: *`), "range": browser("/page", "Range: bytes=0-99"), "other order": browser("/page", "Accept-Encoding: br, gzip"),
	} {
		b.Run(name, func(b *testing.B) {
			st, p := benchStore(b)
			a := &sink{}
			st.Serve(p, browser("/page"), a, a)
			st.Serve(p, r, a, a)
			b.ReportAllocs()
			for b.Loop() {
				st.Serve(p, r, a, a)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		st, p := benchStore(b)
		a := &sink{}
		st.Serve(p, browser("/page"), a, a)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			r, a := browser("/page"), &sink{}
			for pb.Next() {
				st.Serve(p, r, a, a)
			}
		})
	})
	b.Run("of 5000", func(b *testing.B) {
		st, p := benchStore(b)
		a := &sink{}
		var all []*cache.Request
		for i := range 5000 {
			r := browser(fmt.Sprint("/page/", i))
			all = append(all, r)
			st.Serve(p, r, a, a)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			st.Serve(p, all[i%len(all)], a, a)
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	st, p := benchStore(b)
	a := &sink{}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := browser("/page")
		r.Path = fmt.Sprint("/page/", i)
		i++
		st.Serve(p, r, a, a)
	}
}

func BenchmarkPass(b *testing.B) {
	st, p := benchStore(b)
	a := &sink{}
	r := browser("/page", "Cache-Control: no-store")
	b.ReportAllocs()
	for b.Loop() {
		st.Serve(p, r, a, a)
	}
}

func TestHitDoesNotAllocate(t *testing.T) {
	st := cache.NewStore(cache.Setup{})
	if err := st.Configure(cache.StoreOptions{}); err != nil {
		t.Fatal(err)
	}
	p, a, r := policy(t, cache.Options{}), &sink{}, browser("/page")
	st.Serve(p, r, a, a)
	n := testing.AllocsPerRun(1000, func() { st.Serve(p, r, a, a) })
	if n > 0.5 { // the header is made anew once a second
		t.Errorf("%v allocations", n)
	}
}
