package upstream_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// checked are options with a check every 5 s.
func checked(rise, fall int) upstream.Options {
	return upstream.Options{Slots: 1, SlowStart: -1, Check: upstream.CheckOptions{Path: "/", Rise: rise, Fall: fall}}
}

func TestNobodyHasTrafficBeforeItsFirstCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.checks = time.Second
		begin := time.Now()
		s := w.spec(checked(0, 0), members("a", "b")...)
		check := s.Driver.Check
		s.Driver.Check = func(ctx context.Context, m *server, o upstream.CheckOptions) error {
			if m.address == "b" {
				return errClosed // at once
			}
			return check(ctx, m, o)
		}
		w.apply(t, s)
		wantState(t, w.pool, "a", upstream.StateChecking)
		r := <-ask(t.Context(), w.pool, new(request)) // also not at the one that fails, while the other may pass
		if r.err != nil || r.Member().Address != "a" || r.at.Sub(begin) != time.Second {
			t.Errorf("got %v after %v", r.err, r.at.Sub(begin))
		}
		ok(r.lease)
		wantState(t, w.pool, "b", upstream.StateFailing) // the first one decides
		if w.logged("every member fails") != 0 {
			t.Errorf("the log says:\n%s", w.lines())
		}
	})
}

func TestRiseAndFall(t *testing.T) {
	inWorld(t, checked(2, 3), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		for i, row := range []struct {
			err  error
			want upstream.State
		}{
			{nil, upstream.StateUp},
			{errClosed, upstream.StateUp},
			{errClosed, upstream.StateUp},
			{nil, upstream.StateUp},
			{errClosed, upstream.StateUp},
			{errClosed, upstream.StateUp},
			{errClosed, upstream.StateFailing},
			{nil, upstream.StateFailing},
			{errClosed, upstream.StateFailing},
			{nil, upstream.StateFailing},
			{nil, upstream.StateUp},
		} {
			w.setSick("a", row.err)
			after(5 * time.Second)
			if got := state(p, "a").State; got != row.want {
				t.Errorf("after check %d it is %s, want %s", i+1, got, row.want)
			}
			if got := shares(t, p, 10); (got["a"] > 0) != (row.want == upstream.StateUp) {
				t.Errorf("after check %d it has %d of 10 requests", i+1, got["a"])
			}
		}
		if w.logged("member fails its check", "member=a") != 1 || w.logged("member passes its check") != 1 {
			t.Errorf("the log says:\n%s", w.lines())
		}
	})
}

func TestACheckTakesASlot(t *testing.T) {
	inWorld(t, checked(0, 0), members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.mu.Lock()
		w.checks = time.Second
		w.mu.Unlock()
		after(5 * time.Second)
		if s := state(p, "a"); s.InFlight != 1 {
			t.Fatalf("%d in flight with a check", s.InFlight)
		}
		begin := time.Now()
		if r := <-ask(t.Context(), p, new(request)); r.err != nil || r.at.Sub(begin) != time.Second {
			t.Errorf("got %v after %v, want a slot when the check is over", r.err, r.at.Sub(begin))
		} else {
			ok(r.lease)
		}
	})
}

func TestABusyMemberIsNotChecked(t *testing.T) {
	inWorld(t, checked(0, 0), members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		begin := time.Now()
		l := acquire(t, p, nil)
		after(21 * time.Second)
		if got := w.times(w.checked, "a", begin); len(got) != 1 {
			t.Errorf("checked at %v", got)
		}
		ok(l)
		after(5 * time.Second)
		if got := w.times(w.checked, "a", begin); !slices.Equal(got, []time.Duration{0, 25 * time.Second}) {
			t.Errorf("checked at %v, want again within an interval once it is idle", got)
		}
	})
}

func TestACheckThatAllFailIsNotBelieved(t *testing.T) {
	inWorld(t, checked(0, 0), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setSick("a", errClosed)
		after(11 * time.Second)
		if got := shares(t, p, 10); got["a"] != 0 {
			t.Errorf("the failing one has requests: %v", got)
		}
		if w.logged("every member fails") != 0 {
			t.Error("too early")
		}
		w.setSick("b", errClosed)
		after(11 * time.Second)
		if got := shares(t, p, 10); got["a"] != 5 || got["b"] != 5 {
			t.Errorf("with both failing: %v", got)
		}
		if w.logged("level=ERROR", "every member fails") != 1 {
			t.Errorf("the log says:\n%s", w.lines())
		}
		after(time.Minute)
		w.setSick("b", nil)
		after(6 * time.Second)
		if got := shares(t, p, 10); got["b"] != 10 {
			t.Errorf("with b passing again: %v", got)
		}
		if n := w.logged("check"); n != 4 {
			t.Errorf("%d lines, want 4:\n%s", n, w.lines())
		}
	})
}

func TestACheckFindsThatAMemberIsAway(t *testing.T) {
	inWorld(t, checked(0, 1), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setAbsent("a", true)
		w.setSick("a", errRefused)
		after(6 * time.Second)
		wantState(t, p, "a", upstream.StateAway)
		w.setAbsent("a", false)
		w.setSick("a", errClosed) // its next check is at once
		after(3 * time.Second)
		wantState(t, p, "a", upstream.StateFailing)
		w.setSick("a", nil)
		after(5 * time.Second)
		wantState(t, p, "a", upstream.StateUp)
	})
}

func TestAFullBacklogIsNoFailedCheck(t *testing.T) {
	inWorld(t, checked(0, 1), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setSick("a", errFull)
		after(11 * time.Second)
		wantState(t, p, "a", upstream.StateUp)
		w.setSick("c", errFull) // a new one is waited for
		w.apply(t, w.spec(checked(0, 1), members("a", "b", "c")...))
		after(2 * time.Second)
		wantState(t, p, "c", upstream.StateChecking)
		w.setSick("c", nil)
		after(time.Second)
		wantState(t, p, "c", upstream.StateUp)
	})
}

func TestACheckThatTakesTooLongFails(t *testing.T) {
	inWorld(t, checked(0, 1), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.mu.Lock()
		w.checks = time.Minute
		w.mu.Unlock()
		after(7 * time.Second)
		wantState(t, p, "a", upstream.StateFailing)
		if got := state(p, "a").Cause; got != errSlow.text {
			t.Errorf("the cause is %q", got)
		}
	})
}

func TestADrainedMemberIsNotChecked(t *testing.T) {
	inWorld(t, checked(0, 0), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		begin := time.Now()
		p.Drain("a", true)
		after(time.Minute)
		if got := w.times(w.checked, "a", begin); len(got) != 1 {
			t.Errorf("checked at %v", got)
		}
		p.Drain("a", false)
		after(0)
		if got := w.times(w.checked, "a", begin); len(got) != 2 {
			t.Errorf("checked at %v, want again when it is back", got)
		}
	})
}

// What serves goes on serving when a reload brings a check, until that has failed.
func TestAReloadThatBringsACheck(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.mu.Lock()
		w.checks = time.Second
		w.mu.Unlock()
		l := acquire(t, p, nil)
		w.apply(t, w.spec(checked(0, 2), members("a", "b")...))
		wantState(t, p, "a", upstream.StateUp)
		ok(l)
		if got := visit(t, p, nil); got != "a" {
			t.Errorf("%s was not checked yet", got)
		}
		after(2 * time.Second)
		wantState(t, p, "b", upstream.StateUp)
	})
}

func TestAReloadThatTakesTheCheckAway(t *testing.T) {
	for name, wait := range map[string]time.Duration{"after it failed": 7 * time.Second, "while it runs": 5500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, checked(0, 1), members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				w.mu.Lock()
				w.checks = time.Second
				w.mu.Unlock()
				w.setSick("a", errClosed)
				after(wait)
				w.apply(t, w.spec(upstream.Options{Slots: 1, SlowStart: -1}, members("a", "b")...))
				after(2 * time.Second)
				wantState(t, p, "a", upstream.StateUp)
				if s := state(p, "a"); s.InFlight != 0 {
					t.Errorf("%d in flight", s.InFlight)
				}
			})
		})
	}
}

func TestAReloadWithAnotherCheckIsHeededAtOnce(t *testing.T) {
	o := checked(0, 1)
	o.Check.Interval = time.Hour
	inWorld(t, o, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		after(time.Minute)
		w.setSick("a", errClosed)
		o.Check.Interval = time.Second
		w.apply(t, w.spec(o, members("a", "b")...))
		after(0)
		wantState(t, p, "a", upstream.StateFailing)
	})
}

// A single member that passes again has all its slots at once: there is nobody
// else to carry the rest.
func TestASingleMemberThatPassesAgainHasAllItsSlots(t *testing.T) {
	o := checked(0, 1)
	o.Slots, o.SlowStart = 10, 0
	inWorld(t, o, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.setSick("a", errClosed)
		after(6 * time.Second)
		wantState(t, p, "a", upstream.StateFailing)
		w.setSick("a", nil)
		after(5 * time.Second)
		if s := state(p, "a"); s.State != upstream.StateUp || s.Limit != 10 {
			t.Errorf("%+v", s)
		}
	})
}

// TestWhoWasCheckedNeedNotWait: a source that has seen a member pass its check says so,
// and a rolling reload does not make requests wait for one more.
func TestWhoWasCheckedNeedNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.checks = time.Second
		begin := time.Now()
		seen := members("a")
		seen[0].Checked = true
		w.apply(t, w.spec(checked(0, 0), seen...))
		r := <-ask(t.Context(), w.pool, new(request))
		if r.err != nil || r.at != begin {
			t.Errorf("got %v after %v, want a slot at once", r.err, r.at.Sub(begin))
		}
		ok(r.lease)
	})
}
