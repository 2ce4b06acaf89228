package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/cache"
	"headgate/gateway/wire"
)

// crowd asks for the same many times at once.
func (f *front) crowd(n int, url string, lines ...string) []*got {
	all := make([]*got, n)
	var wg sync.WaitGroup
	for i := range n {
		all[i] = &got{}
		wg.Go(func() { f.doTo(request("GET", url, lines...), all[i]) })
	}
	wg.Wait()
	return all
}

func TestOneFetchForMany(t *testing.T) {
	for _, body := range []string{"", "hello", strings.Repeat("x", 300*kib)} {
		for _, chunked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				f := newFront(t, cache.Options{}, always(answer{lines: []string{"Cache-Control: max-age=60"}, body: body, chunked: chunked, pieces: 5, before: sleep(s)}))
				collapsed := 0
				for _, g := range f.crowd(50, "/") {
					if g.body.String() != body || !g.whole || g.status != 200 {
						t.Fatalf("%d bytes: got %v", len(body), g)
					}
					if g.trace[0] == "collapsed" {
						collapsed++
						if g.cacheStatus() != "Headgate; fwd=uri-miss; collapsed" {
							t.Errorf("got %v", g)
						}
					}
				}
				if n := f.app.count(); n != 1 || collapsed != 49 {
					t.Errorf("%d bytes: the app was asked %d times, %d collapsed", len(body), n, collapsed)
				}
				if st := f.store.Stats(); st.Collapsed != 49 || st.Stored != 1 || st.Entries != 1 || st.Misses != 1 {
					t.Errorf("stats: %+v", st)
				}
			})
		}
	}
}

// TestPrivateAnswersAreNotSerialized: who has waited in vain does so once.
func TestPrivateAnswersAreNotSerialized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, always(answer{lines: []string{"Cache-Control: private"}, body: "x", before: sleep(s)}))
		began := time.Now()
		f.crowd(50, "/")
		if d := time.Since(began); d != 2*s {
			t.Errorf("the first took %v, want 2s: one and then all the others", d)
		}
		began = time.Now()
		f.crowd(50, "/")
		if d := time.Since(began); d != s {
			t.Errorf("the second took %v, want 1s: nobody waits", d)
		}
		if n := f.app.count(); n != 100 {
			t.Errorf("the app was asked %d times", n)
		}
	})
}

func TestPagesThatAreAskedAboutEachTimeAreNotSerialized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, func(_ int, r wire.Request) answer {
			a := validated("no-cache", `ETag: "v1"`)(0, r)
			a.before = sleep(s)
			return a
		})
		f.get("/")
		began := time.Now()
		for _, g := range f.crowd(50, "/") {
			if g.trace[0] != "revalidated" {
				t.Errorf("got %v", g)
			}
		}
		if d := time.Since(began); d != s || f.app.count() != 51 {
			t.Errorf("it took %v, and %d requests to the app", d, f.app.count())
		}
	})
}

func TestVariantsThatWaitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, func(_ int, r wire.Request) answer {
			return answer{lines: []string{"Cache-Control: max-age=60", "Vary: X-A"}, body: r.Fields.Get("X-A"), before: sleep(s)}
		})
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				want := fmt.Sprint(i % 4)
				if g := f.get("/", "X-A: "+want); g.body.String() != want || !g.whole {
					t.Errorf("got %v, want %s", g, want)
				}
			})
		}
		wg.Wait()
		if n := f.app.count(); n != 4 {
			t.Errorf("the app was asked %d times, want once for each of 4 variants", n)
		}
	})
}

func TestLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{Lock: 2 * s}, func(n int, _ wire.Request) answer {
			a := answer{lines: []string{"Cache-Control: max-age=60"}, body: fmt.Sprint(n)}
			if n == 1 {
				a.before = sleep(10 * s)
			}
			return a
		})
		var wg sync.WaitGroup
		wg.Go(func() { f.get("/") })
		synctest.Wait()
		began := time.Now()
		if g := f.get("/"); g.body.String() != "2" || time.Since(began) != 2*s {
			t.Errorf("after %v: got %v", time.Since(began), g)
		}
		wg.Wait()
	})
}

// TestSlowClientBlocksNobody: neither the app nor others wait for the one whose
// request is on its way.
func TestSlowClientBlocksNobody(t *testing.T) {
	for name, first := range map[string]bool{"the first": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := strings.Repeat("0123456789", 50*kib)
				done := time.Time{}
				f := newFront(t, cache.Options{}, func(int, wire.Request) answer {
					return answer{lines: []string{"Cache-Control: max-age=60"}, body: body, pieces: 20, before: sleep(s)}
				})
				slow := &got{write: func([]byte) error { time.Sleep(time.Minute); return nil }}
				quick := &got{}
				order := []*got{slow, quick}
				if !first {
					order = []*got{quick, slow}
				}
				began := time.Now()
				var wg sync.WaitGroup
				for _, g := range order {
					wg.Go(func() {
						f.doTo(request("GET", "/", ""), g)
						if g == quick {
							done = time.Now()
						}
					})
					synctest.Wait()
				}
				wg.Wait()
				if d := done.Sub(began); d > 2*s {
					t.Errorf("the quick one had to wait %v", d)
				}
				if !slow.whole || !quick.whole || slow.body.String() != body || quick.body.String() != body || f.app.count() != 1 {
					t.Errorf("got %v and %v", slow, quick)
				}
			})
		})
	}
}

// TestBytesComeAsTheAppSaysThem: a body that comes slowly is not held back.
func TestBytesComeAsTheAppSaysThem(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		synctest.Test(t, func(t *testing.T) {
			a := answer{lines: []string{"Cache-Control: " + control}, body: "firstsecond", chunked: true, between: func(_ context.Context, a wire.Answer) {
				a.Flush()
				time.Sleep(10 * s)
			}}
			a.body = "first1second"
			f := newFront(t, cache.Options{}, always(a))
			g, began := &got{}, time.Now()
			g.write = func(p []byte) error {
				if string(p) == "first1" && time.Since(began) != 0 || string(p) == "second" && time.Since(began) != 10*s {
					t.Errorf("%q came after %v", p, time.Since(began))
				}
				return nil
			}
			f.doTo(request("GET", "/"), g)
			if !g.whole || g.flushes == 0 || g.length != -1 {
				t.Errorf("got %v, %d flushes", g, g.flushes)
			}
		})
	}
}

// TestClientThatGoes: a fetch ends when nobody wants it any more, and no sooner.
func TestClientThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ended time.Duration
		began := time.Now()
		f := newFront(t, cache.Options{Lock: m}, func(n int, _ wire.Request) answer {
			return answer{lines: []string{"Cache-Control: max-age=60"}, body: "hello", before: func(ctx context.Context) {
				sleep(10 * s)(ctx)
				mu.Lock()
				defer mu.Unlock()
				ended = time.Since(began)
			}}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*s)
		defer cancel()
		r := request("GET", "/")
		r.Context = func() context.Context { return ctx }
		if g := f.do(r); g.whole || g.heads > 0 || ended != 2*s {
			t.Errorf("got %v after %v, want nothing after 2s", g, ended)
		}

		began = time.Now()
		ctx, cancel = context.WithTimeout(t.Context(), 2*s)
		defer cancel()
		r = request("GET", "/")
		r.Context = func() context.Context { return ctx }
		var wg sync.WaitGroup
		wg.Go(func() { f.do(r) })
		synctest.Wait()
		if g := f.get("/"); !g.whole || g.body.String() != "hello" || ended != 10*s || f.app.count() != 2 {
			t.Errorf("got %v after %v, want the whole of the first's", g, ended)
		}
		wg.Wait()
	})
}

// TestFollowerThatGoes does not wait any longer.
func TestFollowerThatGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, always(answer{lines: []string{"Cache-Control: max-age=60"}, body: "hello", before: sleep(4 * s)}))
		var wg sync.WaitGroup
		wg.Go(func() { f.get("/") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), s)
		defer cancel()
		r := request("GET", "/")
		r.Context = func() context.Context { return ctx }
		began := time.Now()
		g := &got{}
		if f.store.Serve(f.policy, r, g, &way{app: f.app, r: *r.Request}) || time.Since(began) != s || g.heads > 0 {
			t.Errorf("got %v after %v", g, time.Since(began))
		}
		wg.Wait()
	})
}

// TestAnswerThatIsCut is cut for all who get it, and not kept.
func TestAnswerThatIsCut(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFront(t, cache.Options{}, func(n int, _ wire.Request) answer {
				return answer{lines: []string{"Cache-Control: max-age=60"}, body: "hello", chunked: chunked, cut: n == 1, before: sleep(s), between: func(context.Context, wire.Answer) { time.Sleep(s) }}
			})
			for _, g := range f.crowd(5, "/") {
				if g.whole || g.status != 200 {
					t.Errorf("got %v, want it cut", g)
				}
			}
			if g := f.get("/"); !g.whole || g.trace[0] != "miss" || g.body.String() != "hello" {
				t.Errorf("got %v", g)
			}
			if st := f.store.Stats(); st.Refused["cut"] != 1 || st.Entries != 1 {
				t.Errorf("stats: %+v", st)
			}
		})
	}
}

// TestAppThatDoesNotAnswer: each of those who waited asks itself.
func TestAppThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, always(answer{none: true, before: sleep(s)}))
		for _, g := range f.crowd(5, "/") {
			if g.whole || g.heads != 0 {
				t.Errorf("got %v, want nothing", g)
			}
		}
		if f.app.count() != 5 {
			t.Errorf("asked %d times", f.app.count())
		}
	})
}

// TestStaleIsSharedWhenTheAppFails: one request finds out, all get what is kept.
func TestStaleIsSharedWhenTheAppFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{StaleIfError: h}, func(n int, _ wire.Request) answer {
			if n == 1 {
				return ok("Cache-Control: max-age=1")
			}
			return answer{status: 502, before: sleep(s)}
		})
		f.get("/")
		time.Sleep(2 * s)
		for _, g := range f.crowd(20, "/") {
			if g.status != 200 || g.trace[0] != "stale" || !g.whole {
				t.Errorf("got %v", g)
			}
		}
		if f.app.count() != 2 {
			t.Errorf("asked %d times, want one more", f.app.count())
		}
	})
}

// TestTooLarge: what does not fit is handed through, at the speed of the slowest.
func TestTooLarge(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 64*kib) // 1 MiB
	for name, o := range map[string]cache.Options{"by max_body": {MaxBody: 200 * kib}, "by memory": {}} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, chunked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFrontWith(t, cache.StoreOptions{Memory: 4 << 20, Large: 32 * kib}, o, always(answer{lines: []string{"Cache-Control: max-age=60"}, body: body, chunked: chunked, pieces: 100, before: sleep(s)}))
					var wg sync.WaitGroup
					for i := range 4 {
						g := &got{}
						if i%2 == 1 {
							g.write = func([]byte) error { time.Sleep(10 * time.Millisecond); return nil }
						}
						wg.Go(func() {
							f.doTo(request("GET", "/"), g)
							if !g.whole || g.body.String() != body {
								t.Errorf("got %v", g)
							}
						})
					}
					wg.Wait()
					if st := f.store.Stats(); st.Entries != 0 || st.Memory != 0 || st.Refused["size"] == 0 {
						t.Errorf("stats: %+v", st)
					}
				})
			})
		}
	}
}

// TestTooLargeForNobody: when all have gone, the app does not go on.
func TestTooLargeForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{MaxBody: 100 * kib}, func(int, wire.Request) answer {
			return answer{lines: []string{"Cache-Control: max-age=60"}, body: strings.Repeat("x", 10<<20), chunked: true, pieces: 1000, before: sleep(s)}
		})
		n := 0
		g := &got{write: func([]byte) error {
			if n++; n > 20 {
				return errGone
			}
			return nil
		}}
		f.doTo(request("GET", "/"), g)
		if st := f.store.Stats(); g.whole || st.Memory != 0 || st.Entries != 0 {
			t.Errorf("got %v, %+v", g, st)
		}
	})
}

func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{}, says(answer{panicked: "app", before: sleep(s)}, ok("Cache-Control: max-age=60"), ok("Cache-Control: max-age=60")))
		caught := func(f func()) (p any) {
			defer func() { p = recover() }()
			f()
			return nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if p := caught(func() { f.get("/") }); p != "app" {
				t.Errorf("got %v", p)
			}
		})
		synctest.Wait()
		if g := f.get("/"); !g.whole || g.body.String() != "body" {
			t.Errorf("who waited for it got %v", g)
		}
		wg.Wait()
		for i, chunked := range []bool{false, true} {
			g := &got{write: func([]byte) error { panic("client") }}
			f.app.says = always(answer{lines: []string{"Cache-Control: max-age=60"}, body: "hello", chunked: chunked})
			if p := caught(func() { f.doTo(request("GET", fmt.Sprint("/", i)), g) }); p != "client" {
				t.Errorf("got %v", p)
			}
		}
		if st := f.store.Stats(); st.Memory > 8*kib {
			t.Errorf("stats: %+v", st)
		}
	})
}

// TestBackgroundIsPartOfRun: Run returns after the last fetch, which it ends.
func TestBackgroundIsPartOfRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFront(t, cache.Options{StaleWhileRevalidate: h}, func(n int, r wire.Request) answer {
			a := ok("Cache-Control: max-age=1")
			if n > 1 {
				a.before = sleep(h)
			}
			return a
		})
		stop := f.run()
		f.get("/")
		time.Sleep(2 * s)
		for range 10 {
			if g := f.get("/"); g.trace[0] != "stale" {
				t.Fatalf("got %v", g)
			}
		}
		synctest.Wait()
		if f.app.count() != 2 || f.store.Stats().Background != 1 {
			t.Errorf("asked %d times, want one in the background: %+v", f.app.count(), f.store.Stats())
		}
		began := time.Now()
		stop()
		if d := time.Since(began); d > s {
			t.Errorf("Run took %v to end", d)
		}
		time.Sleep(5 * s)
		if g := f.get("/"); g.trace[0] != "miss" {
			t.Errorf("after Run: got %v, want the request itself to fetch", g)
		}
	})
}

func TestBackgroundThatFails(t *testing.T) {
	for _, broken := range []answer{status(503), {none: true}, {panicked: "x"}, {cut: true, lines: []string{"Cache-Control: max-age=1"}, body: "short"}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFront(t, cache.Options{StaleWhileRevalidate: h}, says(ok("Cache-Control: max-age=1"), broken))
			stop := f.run()
			f.get("/")
			time.Sleep(2 * s)
			for range 20 {
				if g := f.get("/"); g.trace[0] != "stale" || g.body.String() != "body" {
					t.Fatalf("got %v", g)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if n := f.app.count(); n < 2 || n > 3 {
				t.Errorf("asked %d times in 2 s, want at most 2 more", n)
			}
			stop()
		})
	}
}
