package upstream_test

import (
	"testing"
	"time"

	"headgate/upstream"
)

func TestFiveFailuresInARowEject(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b", "c"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 4)
		wantState(t, p, "a", upstream.StateUp)
		failures(t, p, "a", 1)
		wantState(t, p, "a", upstream.StateEjected)
		if got := shares(t, p, 100); got["a"] != 0 {
			t.Errorf("the ejected one has %d of 100", got["a"])
		}
		if w.logged("member ejected", "member=a", errClosed.text) != 1 {
			t.Errorf("the log says:\n%s", w.lines())
		}
		failures(t, p, "b", 10) // at most half, rounded down
		wantState(t, p, "b", upstream.StateUp)
	})
}

func TestAPoolOfOneIsNeverEjected(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		for range 50 {
			acquire(t, p, nil).Fail(errClosed)
		}
		wantState(t, p, "a", upstream.StateUp)
	})
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("b", true) // one that is drained is nobody to go to
		failures(t, p, "a", 20)
		wantState(t, p, "a", upstream.StateUp)
	})
}

// Of two members one is ejected at most, and it answers for the other when that
// fails: never are there "no live members".
func TestAnEjectedMemberIsBetterThanNobody(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		failures(t, p, "b", 10)
		wantState(t, p, "a", upstream.StateEjected)
		wantState(t, p, "b", upstream.StateUp)
		for _, err := range []error{errReset, errRefused} {
			var r request
			l := acquire(t, p, &r)
			if l.Member().Address != "b" {
				t.Fatal("the ejected one comes first")
			}
			w.setAbsent("b", err == errRefused)
			l.Fail(err)
			if !p.Retry(t.Context(), &r, upstream.Attempt{Err: err, Replayable: true}) {
				t.Fatal("it may not go again")
			}
			begin := time.Now()
			if got := visit(t, p, &r); got != "a" || time.Since(begin) > 0 {
				t.Errorf("after %v at b it went to %s after %v", err, got, time.Since(begin))
			}
		}
		if got := shares(t, p, 10); got["a"] != 10 {
			t.Errorf("with b away: %v", got)
		}
	})
}

func TestATrialIsOneRequestAtATime(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		after(5600 * time.Millisecond)
		wantState(t, p, "a", upstream.StateTrial)
		got, all := hold(t, p, 20)
		if got["a"] != 1 {
			t.Fatalf("%d requests try it at once", got["a"])
		}
		for _, l := range all {
			if l.Member().Address == "a" {
				l.Fail(errClient) // says nothing: the next one tries
			} else {
				ok(l)
			}
		}
		wantState(t, p, "a", upstream.StateTrial)
		if got, all = hold(t, p, 20); got["a"] != 1 {
			t.Fatalf("%d requests try it next", got["a"])
		}
		for _, l := range all {
			ok(l)
		}
		wantState(t, p, "a", upstream.StateUp)
		if w.logged("member returned", "member=a") != 1 {
			t.Errorf("the log says:\n%s", w.lines())
		}
	})
}

func TestAFailedTrialEjectsForLonger(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		after(5600 * time.Millisecond)
		failures(t, p, "a", 1)
		wantState(t, p, "a", upstream.StateEjected)
		if left := time.Until(state(p, "a").Since); left < 9*time.Second || left > 11*time.Second {
			t.Errorf("it is left alone for %v, want 10 s and a tenth", left)
		}
	})
}

// Who waits in the queue makes the trial when its time comes, without another event.
func TestATrialBeginsByItself(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		l := acquire(t, p, nil)
		c := ask(t.Context(), p, new(request))
		waits(t, c)
		after(5600 * time.Millisecond)
		if r := now(t, c); r.err != nil || r.Member().Address != "a" {
			t.Errorf("%v", r)
		} else {
			ok(r.lease)
		}
		ok(l)
	})
}

func TestSlowStart(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		after(5600 * time.Millisecond)
		for visit(t, p, nil) != "a" {
		}
		for _, row := range []struct {
			after time.Duration
			want  float64 // of 2000 requests
		}{
			{200 * time.Millisecond, 2000 * 0.118 / 1.118},
			{4800 * time.Millisecond, 2000 * 0.55 / 1.55},
			{4 * time.Second, 2000 * 0.91 / 1.91},
			{2 * time.Second, 1000},
		} {
			after(row.after)
			if got := shares(t, p, 2000); !near(float64(got["a"]), row.want, 0.06) {
				t.Errorf("after %v more it has %d of 2000, want about %.0f", row.after, got["a"], row.want)
			}
		}
	})
}

// Slow start holds nobody back when there is nobody else to go to.
func TestSlowStartEndsWhenNobodyElseIsThere(t *testing.T) {
	for name, lose := range map[string]func(*testing.T, *world){
		"away":    func(t *testing.T, w *world) { w.setAbsent("b", true); l := holdOf(t, w.pool, "b"); l.Fail(errRefused) },
		"drained": func(_ *testing.T, w *world) { w.pool.Drain("b", true) },
		"gone":    func(t *testing.T, w *world) { w.apply(t, w.spec(upstream.Options{Slots: 10}, members("a")...)) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{Slots: 10}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				p.Drain("a", true)
				p.Drain("a", false)
				if s := state(p, "a"); s.Limit != 1 || s.Share > 0.11 {
					t.Fatalf("no slow start: %+v", s)
				}
				lose(t, w)
				if s := state(p, "a"); s.Limit != 10 || s.Share != 1 {
					t.Errorf("still in slow start: %+v", s)
				}
			})
		})
	}
}

// holdOf takes a slot of that member.
func holdOf(t *testing.T, p *upstream.Pool[*server], address string) *lease {
	t.Helper()
	var others []*lease
	for {
		l := acquire(t, p, nil)
		if l.Member().Address == address {
			for _, o := range others {
				ok(o)
			}
			return l
		}
		others = append(others, l)
	}
}

func TestWhatBeganBeforeAnEjectionDoesNotEndTheTrial(t *testing.T) {
	for name, end := range map[string]func(*lease){
		"answered": ok,
		"broken":   func(l *lease) { l.Answered(500); l.Release() },
		"failed":   func(l *lease) { l.Fail(errClosed) },
		"left":     func(l *lease) { l.Release() },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				old := []*lease{holdOf(t, p, "a"), holdOf(t, p, "a"), holdOf(t, p, "a")}
				after(time.Millisecond)
				failures(t, p, "a", 5)
				after(time.Second)
				end(old[0])
				wantState(t, p, "a", upstream.StateEjected)
				after(4600 * time.Millisecond)
				end(old[1])
				wantState(t, p, "a", upstream.StateTrial)
				trial := holdOf(t, p, "a")
				end(old[2])
				wantState(t, p, "a", upstream.StateTrial)
				if got, _ := hold(t, p, 10); got["a"] != 0 {
					t.Errorf("%d more trials", got["a"])
				}
				ok(trial)
				wantState(t, p, "a", upstream.StateUp)
			})
		})
	}
}

func TestAMemberThatIsMuchWorseIsEjected(t *testing.T) {
	for name, row := range map[string]struct {
		status map[string]int
		want   upstream.State
	}{
		"one is broken":  {map[string]int{"a": 500, "b": 200, "c": 404}, upstream.StateEjected},
		"all are broken": {map[string]int{"a": 500, "b": 500, "c": 503}, upstream.StateUp},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, upstream.Options{}, members("a", "b", "c"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				for range 120 {
					l := acquire(t, p, nil)
					l.Answered(row.status[l.Member().Address])
					l.Release()
					after(10 * time.Millisecond)
				}
				wantState(t, p, "a", row.want)
			})
		})
	}
}

func TestAClientsFaultIsNotTheMembers(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		for range 100 {
			acquire(t, p, nil).Fail(errClient)
			acquire(t, p, nil).Release()
		}
		wantState(t, p, "a", upstream.StateUp)
		wantState(t, p, "b", upstream.StateUp)
	})
}

func TestEjectionCanBeSwitchedOff(t *testing.T) {
	inWorld(t, upstream.Options{Eject: upstream.EjectOptions{Failures: -1}}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 30)
		wantState(t, p, "a", upstream.StateUp)
	})
}
