package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// registry is a source that names the members of keys.
type registry struct {
	words chan func(upstream.SetFunc)

	mu   sync.Mutex
	runs int
}

func newRegistry() *registry { return &registry{words: make(chan func(upstream.SetFunc))} }

func (s *registry) Run(ctx context.Context, set upstream.SetFunc) error {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	for {
		select {
		case say := <-s.words:
			say(set)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// set names the members of a key and returns the channel that it was given.
func (s *registry) set(key string, ms ...upstream.Member) <-chan struct{} {
	idle := make(chan (<-chan struct{}), 1)
	s.words <- func(set upstream.SetFunc) { idle <- set(key, ms) }
	return <-idle
}

type family = upstream.Family[*server]

// kin is the spec of a family whose pools are as each.
func kin(each spec, sources map[string]upstream.Source) spec {
	return spec{Sources: sources, Each: func(string) spec { return each }}
}

func (w *world) family(t testing.TB, specs map[string]spec, name string) *family {
	t.Helper()
	c, err := w.pools.Build(specs)
	if err != nil {
		t.Fatal(err)
	}
	f := c.Family(name)
	c.Apply()
	if specs[name].Each != nil && f != w.pools.Family(name) {
		t.Error("Change and Pools have different families")
	}
	return f
}

// inFamily runs a test in a bubble with a family "apps" whose keys s names.
func inFamily(t *testing.T, o upstream.Options, test func(*testing.T, *world, *family, *registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newRegistry()
		f := w.family(t, map[string]spec{"apps": kin(w.spec(o), map[string]upstream.Source{"udp": s})}, "apps")
		synctest.Wait()
		test(t, w, f, s)
	})
}

func keysOf(f *family) (out []string) {
	for _, p := range f.All() {
		out = append(out, p.Name())
	}
	return out
}

func TestAFamilyHasAPoolForEachKey(t *testing.T) {
	inFamily(t, upstream.Options{Slots: 2}, func(t *testing.T, w *world, f *family, s *registry) {
		if f.Name() != "apps" || f.Len() != 0 || f.Get("a.example") != nil || w.pools.Get("apps") != nil {
			t.Errorf("an empty family: %d keys", f.Len())
		}
		if idle := s.set("b.example"); !isClosed(idle) || f.Len() != 0 {
			t.Error("a key that nobody serves has a pool")
		}
		s.set("b.example", members("b1", "b2")...)
		s.set("a.example", members("a1")...)
		if got := keysOf(f); !slices.Equal(got, []string{"apps/a.example", "apps/b.example"}) || f.Len() != 2 {
			t.Errorf("pools: %v, %d", got, f.Len())
		}
		a, b := f.Get("a.example"), f.Get("b.example")
		if a.Options().Slots != 2 || visit(t, a, nil) != "a1" || !slices.Equal(addresses(b), []string{"b1", "b2"}) {
			t.Errorf("members: %v and %v", addresses(a), addresses(b))
		}
		held := acquire(t, a, nil)
		idle := s.set("a.example", members("a2")...)
		if isClosed(idle) || visit(t, f.Get("a.example"), nil) != "a2" {
			t.Error("a1 has a request, and is idle; or a2 does not answer")
		}
		ok(held)
		if !isClosed(idle) || f.Get("a.example") != a {
			t.Error("a1 is not idle, or the key has another pool")
		}
	})
}

func TestAKeyWithoutMembersLingers(t *testing.T) {
	inFamily(t, upstream.Options{Queue: upstream.QueueOptions{Timeout: time.Minute}}, func(t *testing.T, w *world, f *family, s *registry) {
		s.set("k", members("m")...)
		p := f.Get("k")
		s.set("k")
		after(20 * time.Second)
		first := ask(t.Context(), p, new(request))
		after(9 * time.Second)
		s.set("k", members("n")...) // in time
		ok(now(t, first).lease)
		after(time.Hour)
		if f.Get("k") != p {
			t.Fatal("the key that came back in time has lost its pool")
		}
		s.set("k")
		lost := time.Now()
		after(upstream.FamilyLinger - 10*time.Second)
		last := ask(t.Context(), p, new(request))
		after(10*time.Second - 1)
		waits(t, last)
		if f.Get("k") != p {
			t.Fatal("taken out early")
		}
		after(1)
		r := now(t, last)
		if e := waitError(t, r, upstream.ErrNoMembers); r.at.Sub(lost) != upstream.FamilyLinger || e.Waited != 10*time.Second {
			t.Errorf("%v after %v", e, r.at.Sub(lost))
		}
		if f.Get("k") != nil || f.Len() != 0 || len(f.All()) != 0 {
			t.Error("the key has a pool")
		}
		// Who had the pool already, and comes too late, does not wait.
		waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers)
		s.set("k", members("m")...)
		if next := f.Get("k"); next == p || visit(t, next, nil) != "m" {
			t.Error("no new pool")
		}
	})
}

// Keys that flap, in any order, go when their own time is over.
func TestKeysLingerEachForItself(t *testing.T) {
	inFamily(t, upstream.Options{}, func(t *testing.T, _ *world, f *family, s *registry) {
		for i := range 5 {
			s.set(fmt.Sprint(i), members("m")...)
		}
		for i := range 5 {
			s.set(fmt.Sprint(i))
			after(time.Second)
		}
		s.set("1", members("m")...) // at 5 s
		s.set("3", members("m")...)
		s.set("3")                                           // goes at 35 s
		after(25*time.Second - 1)                            // 30 s: 0 is about to go
		for i, want := range []int{5, 4, 4, 3, 3, 2, 1, 1} { // at 30 s + i s, before and after
			if got := f.Len(); i == 0 && got != want {
				t.Fatalf("%d keys before the first goes", got)
			}
			after(1)
			want = []int{4, 4, 3, 3, 2, 1, 1, 1}[i]
			if got := f.Len(); got != want {
				t.Errorf("%d keys at %d s, want %d: %v", got, 30+i, want, keysOf(f))
			}
			after(time.Second - 1)
		}
	})
}

func TestAPausedKeyIsKept(t *testing.T) {
	inFamily(t, upstream.Options{Queue: upstream.QueueOptions{Timeout: 3 * time.Minute}}, func(t *testing.T, _ *world, f *family, s *registry) {
		s.set("k", members("m")...)
		p := f.Get("k")
		p.Pause(time.Now().Add(time.Hour))
		c := ask(t.Context(), p, new(request))
		s.set("k")
		after(2 * time.Minute)
		waits(t, c)
		s.set("k", members("m")...)
		p.Resume()
		ok(now(t, c).lease)
	})
}

func TestAFamilyHasSoManyKeysAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newRegistry()
		few := kin(w.spec(upstream.Options{}), map[string]upstream.Source{"udp": s})
		few.MostKeys = 3
		f := w.family(t, map[string]spec{"apps": few}, "apps")
		for i := range 100 {
			if idle := s.set(fmt.Sprint(i), members("m")...); i >= 3 && !isClosed(idle) {
				t.Error("idle is open for a key that has no pool")
			}
		}
		if f.Len() != 3 || f.Get("3") != nil || w.logged("too many keys", "pool=apps", "key=3") != 1 || w.logged("too many keys") != 1 {
			t.Errorf("%d keys, log:\n%s", f.Len(), w.lines())
		}
		after(time.Minute)
		s.set("new", members("m")...)
		if w.logged("too many keys") != 2 {
			t.Errorf("log:\n%s", w.lines())
		}
		s.set("0", members("m", "n")...) // those that are there change as before
		if got := addresses(f.Get("0")); len(got) != 2 {
			t.Errorf("members: %v", got)
		}
		s.set("0")
		after(upstream.FamilyLinger)
		s.set("new", members("m")...)
		if f.Get("new") == nil {
			t.Error("there is room, and no pool")
		}
	})
}

func TestAReloadKeepsAFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, s := newWorld(t), newRegistry()
		sources := map[string]upstream.Source{"udp": s}
		f := w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{Slots: 1}), sources)}, "apps")
		s.set("k", members("m")...)
		p := f.Get("k")
		held := acquire(t, p, nil)
		waiting := ask(t.Context(), p, new(request))

		changed := kin(w.keyed("new", upstream.Options{Slots: 2}), sources)
		c, err := w.pools.Build(map[string]spec{"apps": changed})
		if err != nil {
			t.Fatal(err)
		}
		s.set("late", members("l")...) // after Build, as it was before
		if got := f.Get("late").Options().Slots; got != 1 {
			t.Errorf("%d slots before Apply", got)
		}
		c.Apply()
		if c.Family("apps") != f || w.pools.Family("apps") != f || f.Get("k") != p {
			t.Fatal("another family or pool")
		}
		r := now(t, waiting)
		if r.err != nil || r.Transport().key != "new" || held.Transport().key != "" {
			t.Errorf("the new slot is not had, or with the old transport: %v", r.err)
		}
		ok(r.lease)
		ok(held)
		for _, key := range []string{"k", "late"} {
			l := acquire(t, f.Get(key), nil)
			if l.Transport().key != "new" || f.Get(key).Options().Slots != 2 {
				t.Errorf("%s is as before the reload", key)
			}
			ok(l)
		}
		s.set("then", members("t")...)
		if l := acquire(t, f.Get("then"), nil); l.Transport().key != "new" {
			t.Error("a key that came after the reload is as before it")
		} else {
			ok(l)
		}
		if s.runs != 1 {
			t.Errorf("the source was started %d times", s.runs)
		}
		closed, left := w.gone()
		if len(closed) != 2 || len(left) != 0 {
			t.Errorf("closed %v, left %v", closed, left)
		}
	})
}

func TestABuildOfAFamilyThatFails(t *testing.T) {
	inFamily(t, upstream.Options{}, func(t *testing.T, w *world, f *family, s *registry) {
		s.set("good", members("m")...)
		s.set("hard", members("bad")...)
		broken := w.keyed("new", upstream.Options{Slots: 5})
		dial := broken.Driver.Dial
		bad := errors.New("no such file")
		broken.Driver.Dial = func(m upstream.Member) (*server, error) {
			if m.Address == "bad" {
				return nil, bad
			}
			return dial(m)
		}
		if _, err := w.pools.Build(map[string]spec{"apps": kin(broken, nil)}); !errors.Is(err, bad) || err.Error() != "pool apps/hard: member bad: no such file" {
			t.Errorf("Build = %v", err)
		}
		if f.Get("good").Options().Slots != 0 || visit(t, f.Get("hard"), nil) != "bad" {
			t.Error("something has changed")
		}
		made := len(func() []server { c, _ := w.gone(); return c }())
		c, err := w.pools.Build(map[string]spec{"apps": kin(w.keyed("new", upstream.Options{}), nil)})
		if err != nil {
			t.Fatal(err)
		}
		c.Discard()
		if closed, _ := w.gone(); len(closed) != made+2 {
			t.Errorf("Discard has closed %v", closed[made:])
		}
		visit(t, f.Get("good"), nil)
	})
}

func TestAFamilyThatIsRemovedServesWhoIsThere(t *testing.T) {
	for name, next := range map[string]map[string]spec{"removed": nil, "a pool now": {"apps": {}}} {
		t.Run(name, func(t *testing.T) {
			inFamily(t, upstream.Options{Slots: 1}, func(t *testing.T, w *world, f *family, s *registry) {
				s.set("k", members("m")...)
				s.set("idle", members("i")...)
				p := f.Get("k")
				held := acquire(t, p, nil)
				waiting := ask(t.Context(), p, new(request))
				specs := map[string]spec{}
				for name := range next {
					specs[name] = w.spec(upstream.Options{}, members("other")...)
				}
				w.family(t, specs, "apps")
				if w.pools.Family("apps") != nil || (w.pools.Get("apps") == nil) != (next == nil) {
					t.Error("the family is there, or the pool is not")
				}
				after(0)
				waits(t, waiting)
				if closed, _ := w.gone(); len(closed) != 1 || closed[0].address != "i" {
					t.Errorf("closed %v, want that of the idle key", closed)
				}
				ok(held)
				r := now(t, waiting)
				ok(r.lease)
				after(0)
				if closed, _ := w.gone(); len(closed) != 2 {
					t.Errorf("closed %v, want both", closed)
				}
				ok(acquire(t, p, nil)) // one that had the pool is served, as late as it is
				if next == nil {
					return
				}
				if got := visit(t, w.pools.Get("apps"), nil); got != "other" {
					t.Errorf("%s answers for the pool", got)
				}
				w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{}), map[string]upstream.Source{"udp": s})}, "apps")
				after(0)
				if w.pools.Get("apps") != nil || w.pools.Family("apps") == f {
					t.Error("the pool is there, or the old family")
				}
				s.set("k", members("again")...)
				if got := visit(t, w.pools.Family("apps").Get("k"), nil); got != "again" {
					t.Errorf("%s answers", got)
				}
			})
		})
	}
}

// The word of a source that another one replaces holds until that one speaks of the
// key, and no longer than a key lingers.
func TestAFamilyGetsAnotherSource(t *testing.T) {
	inFamily(t, upstream.Options{SlowStart: -1}, func(t *testing.T, w *world, f *family, s *registry) {
		s.set("both", members("m")...)
		s.set("old", members("m")...)
		s2 := newRegistry()
		w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{SlowStart: -1}), map[string]upstream.Source{"unix": s2})}, "apps")
		s2.set("both", members("n")...)
		after(0)
		if got := visit(t, f.Get("both"), nil); got != "n" {
			t.Errorf("%s answers", got)
		}
		after(upstream.FamilyLinger - 1)
		if got := visit(t, f.Get("old"), nil); got != "m" {
			t.Errorf("%s answers", got)
		}
		after(1)
		if got := addresses(f.Get("old")); len(got) != 0 {
			t.Errorf("members: %v", got)
		}
		after(upstream.FamilyLinger)
		if got := keysOf(f); !slices.Equal(got, []string{"apps/both"}) {
			t.Errorf("keys: %v", got)
		}
		w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{}), nil)}, "apps")
		if got := addresses(f.Get("both")); len(got) != 0 {
			t.Errorf("without a source: %v", got)
		}
	})
}

// Two sources may name the same key: its members are those of both.
func TestTwoSourcesOfAFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := newWorld(t), newRegistry(), newRegistry()
		f := w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{}), map[string]upstream.Source{"a": a, "b": b})}, "apps")
		a.set("k", members("m")...)
		b.set("k", members("m", "n")...)
		after(0)
		a.set("k")
		after(time.Hour)
		if got := addresses(f.Get("k")); !slices.Equal(got, []string{"m", "n"}) {
			t.Errorf("members: %v", got)
		}
		b.set("k")
		after(upstream.FamilyLinger)
		if f.Get("k") != nil {
			t.Error("the key is there")
		}
	})
}

// Keys come and go while requests look for their pools (-race). Each is answered, or
// told that nobody serves it.
func TestGetWhileKeysComeAndGo(t *testing.T) {
	w, s := newWorld(t), newRegistry()
	f := w.family(t, map[string]spec{"apps": kin(w.spec(upstream.Options{}), map[string]upstream.Source{"udp": s})}, "apps")
	ctx, cancel := context.WithCancel(t.Context())
	var visitors, others sync.WaitGroup
	var answered atomic.Int64
	for i := range 4 {
		visitors.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				p := f.Get(fmt.Sprint(n % 20))
				if p == nil {
					runtime.Gosched()
					continue
				}
				limit, stop := context.WithTimeout(ctx, time.Millisecond)
				var r request
				if l, err := p.Acquire(limit, &r); err == nil {
					l.Finish(200)
					answered.Add(1)
				} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					t.Errorf("Acquire = %v", err)
				}
				stop()
			}
		})
	}
	others.Go(func() {
		for n := range 50 {
			w.family(t, map[string]spec{"apps": kin(w.keyed(fmt.Sprint(n%2), upstream.Options{}), map[string]upstream.Source{"udp": s})}, "apps")
			if len(f.All()) > 20 {
				t.Error("too many keys")
			}
		}
	})
	for n := range 2000 {
		if key := fmt.Sprint(n % 20); n%3 == 0 {
			s.set(key)
		} else {
			s.set(key, members(fmt.Sprint("m", n%7))...)
		}
	}
	others.Wait()
	cancel()
	visitors.Wait()
	if answered.Load() == 0 {
		t.Error("nobody was answered")
	}
}

// BenchmarkFamilyKey says what a key costs that is idle, and one more of 10,000.
func BenchmarkFamilyKey(b *testing.B) {
	const keys = 10000
	pools := upstream.NewPools[*server](nil)
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() { pools.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	s := newRegistry()
	each := spec{Driver: upstream.Driver[*server]{Dial: func(m upstream.Member) (*server, error) { return &server{m.Address, ""}, nil }}}
	all := kin(each, map[string]upstream.Source{"udp": s})
	all.MostKeys = 2 * keys
	c, err := pools.Build(map[string]spec{"apps": all})
	if err != nil {
		b.Fatal(err)
	}
	c.Apply()
	f := pools.Family("apps")
	s.set("first", members("127.0.0.1:3031")...)
	before, goroutines := held(), runtime.NumGoroutine()
	for i := range keys {
		s.set(fmt.Sprintf("host-%d.example.com", i), members("127.0.0.1:3031")...)
	}
	for _, p := range f.All() {
		ok(acquire(b, p, nil))
	}
	bytes, routines := float64(held()-before)/keys, float64(runtime.NumGoroutine()-goroutines)/keys
	b.ReportAllocs()
	for b.Loop() {
		if f.Get("host-77.example.com") == nil {
			b.Fatal("no pool")
		}
	}
	b.ReportMetric(bytes, "B/key")
	b.ReportMetric(routines, "goroutines/key")
}

// held is how much memory is in use, stacks included.
func held() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Run may end and run again: keys, pools and sources go on.
func TestAFamilyRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pools, s := upstream.NewPools[*server](nil), newRegistry()
		each := spec{Driver: upstream.Driver[*server]{Dial: func(m upstream.Member) (*server, error) { return &server{m.Address, ""}, nil }}}
		c, err := pools.Build(map[string]spec{"apps": kin(each, map[string]upstream.Source{"udp": s})})
		if err != nil {
			t.Fatal(err)
		}
		c.Apply()
		f := pools.Family("apps")
		for n := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { pools.Run(ctx) })
			key := fmt.Sprint(n)
			s.set(key, members("m")...)
			s.set("0", members(key)...)
			after(time.Hour)
			if got := visit(t, f.Get("0"), nil); got != key || f.Len() != n+1 {
				t.Errorf("%s answers, and there are %d keys", got, f.Len())
			}
			cancel()
			wg.Wait()
		}
	})
}
