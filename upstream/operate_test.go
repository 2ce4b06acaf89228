package upstream_test

import (
	"testing"
	"time"

	"headgate/upstream"
)

func TestDrainAndUndrain(t *testing.T) {
	inWorld(t, upstream.Options{SlowStart: -1}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		l := holdOf(t, p, "a")
		if n, found := p.Drain("a", true); n != 1 || !found {
			t.Errorf("Drain = %d, %t, want 1 in flight", n, found)
		}
		if got := shares(t, p, 10); got["b"] != 10 {
			t.Errorf("shares with a drained: %v", got)
		}
		wantState(t, p, "a", upstream.StateDrained)
		ok(l)
		if n, found := p.Drain("a", true); n != 0 || !found {
			t.Errorf("Drain = %d, %t, want none in flight", n, found)
		}
		if _, found := p.Drain("z", true); found {
			t.Error("there is no z")
		}
		if _, found := p.Drain("z", false); found {
			t.Error("there was no z")
		}
		w.apply(t, w.spec(upstream.Options{SlowStart: -1}, members("b")...))
		if _, found := p.Drain("a", false); !found { // it was asked for, and holds for one that comes later
			t.Error("nothing was drained")
		}
		w.apply(t, w.spec(upstream.Options{SlowStart: -1}, members("a", "b")...))
		after(time.Second)
		if got := shares(t, p, 10); got["a"] != 5 {
			t.Errorf("shares afterwards: %v", got)
		}
	})
}

func TestUndrainBeginsSlowly(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("a", true)
		p.Drain("a", false)
		if got := shares(t, p, 110); got["a"] != 10 {
			t.Errorf("shares: %v, want 1 to 10", got)
		}
		after(11 * time.Second)
		if got := shares(t, p, 100); got["a"] != 50 {
			t.Errorf("shares later: %v", got)
		}
	})
	inWorld(t, upstream.Options{Slots: 10}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("a", true)
		p.Drain("a", false)
		if s := state(p, "a"); s.Limit != 10 {
			t.Errorf("the only one has a limit of %d", s.Limit)
		}
	})
}

func TestWithEveryMemberDrainedRequestsWait(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("a", true)
		p.Drain("b", true)
		begin := time.Now()
		first := ask(t.Context(), p, new(request))
		after(20 * time.Second)
		second := ask(t.Context(), p, new(request))
		r := <-first
		if e := waitError(t, r, upstream.ErrDrained); r.at.Sub(begin) != 30*time.Second || e.RetryAfter < time.Second {
			t.Errorf("%v after %v", e, r.at.Sub(begin))
		}
		p.Drain("b", false)
		if r := now(t, second); r.err != nil || r.Member().Address != "b" {
			t.Errorf("got %v", r.err)
		} else {
			ok(r.lease)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		l := acquire(t, p, nil)
		if n := p.Pause(time.Now().Add(time.Hour)); n != 1 {
			t.Errorf("%d in flight, want 1", n)
		}
		c := ask(t.Context(), p, new(request))
		ok(l) // what runs goes on
		waits(t, c)
		w.apply(t, w.spec(upstream.Options{}, members("a", "b", "c")...))
		after(10 * time.Second)
		waits(t, c)
		if !p.Resume() {
			t.Error("there was no pause")
		}
		ok(now(t, c).lease)
		if p.Resume() {
			t.Error("there was a pause")
		}
		ok(acquire(t, p, nil))
	})
}

func TestAPauseEndsByItself(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		begin := time.Now()
		p.Pause(begin.Add(10 * time.Second))
		r := <-ask(t.Context(), p, new(request))
		if r.err != nil || r.at.Sub(begin) != 10*time.Second {
			t.Errorf("got %v after %v", r.err, r.at.Sub(begin))
		}
		ok(r.lease)
		if w.logged("pool resumed") != 1 || !p.Snapshot().Paused.IsZero() {
			t.Errorf("the log says:\n%s", w.lines())
		}
	})
}

func TestAPauseThatIsTooLong(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Pause(time.Now().Add(45 * time.Second))
		e := waitError(t, <-ask(t.Context(), p, new(request)), upstream.ErrPaused)
		if e.RetryAfter != 15*time.Second || e.Waited != 30*time.Second {
			t.Errorf("ask again after %v, waited %v", e.RetryAfter, e.Waited)
		}
		p.Pause(time.Now().Add(24 * time.Hour))
		e = waitError(t, <-ask(t.Context(), p, new(request)), upstream.ErrPaused)
		if e.RetryAfter != time.Minute {
			t.Errorf("ask again after %v", e.RetryAfter)
		}
	})
}

func TestWithoutMembersRequestsWait(t *testing.T) {
	inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		c := ask(t.Context(), p, new(request))
		after(5 * time.Second)
		w.apply(t, w.spec(upstream.Options{}, members("a")...))
		ok(now(t, c).lease)
		w.apply(t, w.spec(upstream.Options{}))
		waitError(t, <-ask(t.Context(), p, new(request)), upstream.ErrNoMembers)
	})
}
