package upstream_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"headgate/upstream"
)

func TestRequestsWaitForAMemberThatIsAway(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("a", true)
		var r request
		acquire(t, p, &r).Fail(errRefused)
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused}) || r.Attempts() != 0 {
			t.Fatalf("no second try, or %d attempts", r.Attempts())
		}
		begin := time.Now()
		time.AfterFunc(2*time.Second, func() { w.setAbsent("a", false) })
		l := acquire(t, p, &r)
		if took := time.Since(begin); took < 2*time.Second || took > 2300*time.Millisecond {
			t.Errorf("waited for %v, want 2 s and at most 250 ms", took)
		}
		ok(l)
		if w.logged("member away", "member=a", "connection refused") != 1 || w.logged("member reached", "member=a") != 1 {
			t.Errorf("the log says:\n%s", w.lines())
		}
	})
}

func TestNobodyComesBack(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("a", true)
		var r request
		acquire(t, p, &r).Fail(errRefused)
		p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused})
		_, err := p.Acquire(t.Context(), &r)
		var wait *upstream.WaitError
		if !errors.As(err, &wait) || !errors.Is(err, upstream.ErrAway) || !errors.Is(err, errRefused) || wait.Waited != 30*time.Second || wait.Member != "a" {
			t.Errorf("got %v", err)
		}
		if p.Retry(t.Context(), &r, upstream.Attempt{Err: err}) {
			t.Error("it may wait once more")
		}
	})
}

// The time that connects take counts as waiting: a member that takes connections
// from the one that tries it, and from nobody else, holds no request for ever.
func TestTimeForConnectionsIsTimeOfTheQueue(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		begin := time.Now()
		var r request
		for {
			l, err := p.Acquire(t.Context(), &r)
			if err != nil {
				break
			}
			time.Sleep(4 * time.Second)
			l.Fail(errRefused)
			if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused, Took: 4 * time.Second}) {
				break
			}
		}
		if took := time.Since(begin); took > 35*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestProbesOfAMemberThatIsAway(t *testing.T) {
	for name, row := range map[string]struct {
		members []upstream.Member
		most    time.Duration
	}{
		"alone":       {members("a"), 250 * time.Millisecond},
		"with others": {members("a", "b"), 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{}, row.members, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				w.setAbsent("a", true)
				begin := time.Now()
				_, all := hold(t, p, len(row.members))
				for _, l := range all {
					if l.Member().Address == "a" {
						l.Fail(errRefused)
					} else {
						ok(l)
					}
				}
				after(20 * time.Second)
				var want []time.Duration
				for at, wait := 10*time.Millisecond, 20*time.Millisecond; at <= 20*time.Second; wait = min(2*wait, row.most) {
					want = append(want, at)
					at += wait
				}
				if got := w.times(w.reached, "a", begin); !slices.Equal(got, want) {
					t.Errorf("probes at %v, want %v", got, want)
				}
				if row.most > time.Second && p.Snapshot().Members[1].State != upstream.StateUp {
					t.Error("b is not up")
				}
				if n := w.logged("member away"); n != 1 {
					t.Errorf("%d lines in the log, want 1", n)
				}
			})
		})
	}
}

// With the last other member gone too, requests wait: nothing is put off then.
func TestProbesHurryOnceAllAreAway(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("a", true)
		w.setAbsent("b", true)
		_, all := hold(t, p, 2)
		i := slices.IndexFunc(all, func(l *lease) bool { return l.Member().Address == "a" })
		all[i].Fail(errRefused)
		after(2600 * time.Millisecond) // the next try of a is 1.9 s away
		w.setAbsent("a", false)
		all[1-i].Fail(errRefused)
		begin := time.Now()
		ok(acquire(t, p, nil))
		if took := time.Since(begin); took > 250*time.Millisecond {
			t.Errorf("it waited for %v", took)
		}
	})
}

func TestOthersAreUsedMeanwhile(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b", "c"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("a", true)
		for range 3 {
			var r request
			l := acquire(t, p, &r)
			if l.Member().Address != "a" {
				ok(l)
				continue
			}
			l.Fail(errRefused)
			p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused})
			if got := visit(t, p, &r); got == "a" {
				t.Error("again a")
			}
		}
		wantState(t, p, "a", upstream.StateAway)
		if got := shares(t, p, 100); got["b"] != 50 || got["c"] != 50 {
			t.Errorf("shares: %v", got)
		}
		w.setAbsent("a", false)
		after(3 * time.Second)
		wantState(t, p, "a", upstream.StateUp)
	})
}

// An exchange that began before the member came back, and hears of its absence
// now, does not take it away once more.
func TestOldNewsOfAMemberIsNoNews(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		old := acquire(t, p, nil)
		w.setAbsent("a", true)
		after(time.Second)
		acquire(t, p, nil).Fail(errRefused)
		after(time.Second)
		w.setAbsent("a", false)
		after(time.Second)
		old.Fail(errRefused)
		wantState(t, p, "a", upstream.StateUp)
	})
}

// A member that takes connections and refuses them in turn is not written about
// each time.
func TestFlappingDoesNotFloodTheLog(t *testing.T) {
	for name, down := range map[string]time.Duration{"at once": 0, "after some tries": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				begin := time.Now()
				for time.Since(begin) < time.Minute {
					w.setAbsent("a", true)
					time.AfterFunc(down, func() { w.setAbsent("a", false) })
					acquire(t, p, nil).Fail(errRefused)
				}
				if n := w.logged("member=a"); n > 4 {
					t.Errorf("%d lines in a minute:\n%s", n, w.lines())
				}
				if n := len(w.times(w.reached, "a", begin)); n > 60*4+20 {
					t.Errorf("%d tries in a minute", n)
				}
			})
		})
	}
}

func TestAFullBacklogLowersTheLimit(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		_, all := hold(t, p, 20)
		all[19].Fail(errFull)
		wantState(t, p, "a", upstream.StateUp)
		if got := state(p, "a").Limit; got != 19 {
			t.Errorf("the limit is %d, want 19", got)
		}
		var r request
		c := ask(t.Context(), p, &r)
		waits(t, c)
		ok(all[0])
		ok(now(t, c).lease)
		if r.Attempts() != 1 {
			t.Errorf("%d attempts", r.Attempts())
		}
	})
}

func TestAFullBacklogIsWaitedForWithoutSpinning(t *testing.T) {
	for name, busy := range map[string]int{"nothing of ours there": 0, "busy with ours": 3} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{Slots: 8}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				hold(t, p, busy)
				w.mu.Lock()
				w.reach["a"] = errFull
				w.mu.Unlock()
				begin, tries := time.Now(), 0
				time.AfterFunc(5*time.Second, func() { w.setAbsent("a", false) })
				var r request
				for {
					l := acquire(t, p, &r)
					if tries++; time.Since(begin) >= 5*time.Second {
						ok(l)
						break
					}
					l.Fail(errFull)
					if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errFull}) {
						t.Fatal("it may not go again")
					}
				}
				if took := time.Since(begin); took > 5300*time.Millisecond || tries > 30 || r.Attempts() != 1 {
					t.Errorf("%d tries in %v, %d attempts", tries, took, r.Attempts())
				}
			})
		})
	}
}

func TestNewMembersAreReachedFirst(t *testing.T) {
	inWorld(t, upstream.Options{SlowStart: -1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("b", true)
		w.apply(t, w.spec(upstream.Options{SlowStart: -1}, members("a", "b")...))
		for range 5 {
			if got := visit(t, p, nil); got != "a" {
				t.Errorf("%s has a request and was never reached", got)
			}
		}
		after(10 * time.Second)
		wantState(t, p, "b", upstream.StateAway)
		w.setAbsent("b", false)
		after(3 * time.Second)
		if got := shares(t, p, 10); got["b"] != 5 {
			t.Errorf("shares: %v", got)
		}
	})
}
