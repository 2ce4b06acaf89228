package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// TestStress: many requests for many pages while pages are evicted, purged and
// changed, clients are slow or go, answers are cut, and bounds change. Every answer
// that is whole is one that the app has said for that page and that client.
func TestStress(t *testing.T) {
	dir := t.TempDir()
	o := cache.StoreOptions{Memory: 1 << 20, Dir: dir, Disk: 2 << 20, Large: 16 * kib}
	f := newFrontWith(t, o, cache.Options{StaleIfError: time.Minute, StaleWhileRevalidate: time.Minute, MaxBody: 100 * kib}, stressApp)
	stop := f.run()
	ctx, cancel := context.WithTimeout(t.Context(), stressFor())
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(worker)))
			for ctx.Err() == nil {
				stressRequest(t, f, random)
			}
		})
	}
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			p := []cache.Purge{{URL: fmt.Sprint("/", i%200)}, {Tag: fmt.Sprint("t", i%7)}, {Prefix: fmt.Sprint("/", i%200)}, {All: i%50 == 0, URL: map[bool]string{true: "", false: "/x"}[i%50 == 0]}}[i%4]
			if _, err := f.store.Purge(p); err != nil {
				t.Error(err)
			}
			f.store.Stats()
			wait(ctx, 5*time.Millisecond)
		}
	})
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			o := o
			switch i % 4 {
			case 1:
				o.Memory *= 2
			case 2:
				o.Dir = ""
			case 3:
				o.Disk /= 2
			}
			if err := f.store.Configure(o); err != nil {
				t.Error(err)
			}
			wait(ctx, 20*time.Millisecond)
		}
	})
	wg.Wait()
	stop()
	if _, err := f.store.Purge(cache.Purge{All: true}); err != nil {
		t.Fatal(err)
	}
	if st := f.store.Stats(); st.Entries != 0 || st.Memory != 0 || st.Disk != 0 || st.Hits == 0 || st.Stored == 0 {
		t.Errorf("at the end: %+v", st)
	}
	if n := len(files(t, dir, ".tmp")); n != 0 {
		t.Errorf("%d unfinished files", n)
	}
}

func stressFor() time.Duration {
	if testing.Short() {
		return 200 * time.Millisecond
	}
	return 2 * time.Second
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func stressBody(url, variant string, size int) string {
	line := url + " for " + variant + "\n"
	return strings.Repeat(line, size/len(line)+1)
}

func stressApp(n int, r wire.Request) answer {
	if r.Method == "POST" {
		return answer{status: 204}
	}
	size := []int{0, 100, 5000, 20_000, 60_000, 150_000}[len(r.Target)*7%6]
	a := answer{body: stressBody(r.Target, r.Fields.Get("X-A"), size), chunked: n%3 == 0, cut: n%37 == 0, none: n%41 == 0, pieces: 1 + n%5}
	a.lines = []string{
		[]string{"Cache-Control: max-age=60", "Cache-Control: max-age=0, stale-while-revalidate=10", "Cache-Control: max-age=1, stale-if-error=9", "Cache-Control: private", "Cache-Control: no-cache", "Cache-Control: max-age=0"}[len(r.Target)%6],
		"Vary: X-A", fmt.Sprint("Cache-Tag: t", n%7), `ETag: "v"`,
	}
	switch {
	case r.Fields.Get("If-None-Match") == `"v"` && n%2 == 0:
		a.status, a.body, a.cut = 304, "", false
	case n%43 == 0:
		a.status, a.body = 503, "broken"
	}
	if n%5 == 0 {
		a.between = func(ctx context.Context, a wire.Answer) { a.Flush(); wait(ctx, time.Millisecond) }
	}
	return a
}

func stressRequest(t *testing.T, f *front, random *rand.Rand) {
	url, variant := fmt.Sprint("/", strings.Repeat("p", random.IntN(6)), random.IntN(30)), fmt.Sprint(random.IntN(3))
	lines := []string{"X-A: " + variant}
	method := "GET"
	switch random.IntN(30) {
	case 0:
		method = "POST"
	case 1:
		method = "HEAD"
	case 2:
		lines = append(lines, "Cache-Control: no-cache")
	case 3:
		lines = append(lines, "Range: bytes=0-9")
	case 4:
		lines = append(lines, `If-None-Match: "v"`)
	}
	g, r := &got{}, request(method, url, lines...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.Context = func() context.Context { return ctx }
	switch random.IntN(20) {
	case 0:
		g.write = func([]byte) error { cancel(); return errGone }
	case 1:
		g.write = func([]byte) error { wait(ctx, 5*time.Millisecond); return nil }
	case 2:
		time.AfterFunc(time.Duration(random.IntN(1000))*time.Microsecond, cancel)
	}
	g.whole = f.store.Serve(f.policy, r, g, &way{app: f.app, r: *r.Request})
	if !g.whole || g.status != 200 || method != "GET" {
		return
	}
	got := g.body.String()
	line := url + " for " + variant + "\n"
	if got != strings.Repeat(line, len(got)/len(line)) || got == "" || g.length >= 0 && g.length != int64(len(got)) {
		t.Errorf("%s for %s: got %v", url, variant, g)
	}
}
