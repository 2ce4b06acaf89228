package upstream_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"headgate/upstream"
)

// ward is members that are there, and a clock. It does with them what a pool does.
type ward struct {
	now     time.Time
	opts    upstream.EjectOptions
	slow    time.Duration
	members []*upstream.Health
}

func newWard(members int, o upstream.EjectOptions) *ward {
	w := &ward{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), opts: o, slow: -1}
	for range members {
		w.members = append(w.members, new(upstream.Health))
	}
	return w
}

func (w *ward) pass(d time.Duration) { w.now = w.now.Add(d) }

func (w *ward) succeed(i int) {
	m := w.members[i]
	trial := m.State(w.now) == upstream.HealthTrial
	m.Succeeded(w.now)
	if trial {
		m.Back(w.now, w.slow)
	}
}

// hard and answer fail a request of member i, and report whether that ejects it.
func (w *ward) hard(i int) bool {
	w.members[i].Failed(w.now, upstream.FaultHard)
	return w.judge(i)
}

func (w *ward) answer(i int) bool {
	w.members[i].Failed(w.now, upstream.FaultAnswer)
	return w.judge(i)
}

func (w *ward) judge(i int) bool {
	m := w.members[i]
	if upstream.Judge(w.now, w.opts, w.members, m) {
		m.Eject(w.now, w.opts)
		return true
	}
	if m.State(w.now) == upstream.HealthTrial {
		m.Back(w.now, w.slow)
	}
	return false
}

// out counts the members that are not fit.
func (w *ward) out() (n int) {
	for _, m := range w.members {
		if m.State(w.now) != upstream.HealthFit {
			n++
		}
	}
	return n
}

// ejectHard fails requests of member i until it is ejected.
func (w *ward) ejectHard(t *testing.T, i int) {
	t.Helper()
	for range 5 {
		if w.hard(i) {
			return
		}
	}
	t.Fatalf("5 failures in a row did not eject member %d", i)
}

// toTrial lets the time of member i's ejection pass.
func (w *ward) toTrial(t *testing.T, i int) {
	t.Helper()
	w.now = w.members[i].Until()
	if got := w.members[i].State(w.now); got != upstream.HealthTrial {
		t.Fatalf("state at the end of the ejection = %v, want trial", got)
	}
}

func TestHealthZeroValueIsFit(t *testing.T) {
	var h upstream.Health
	now := time.Now()
	fit := h.State(now) == upstream.HealthFit && h.MayTry(now) && h.Until().IsZero()
	if !fit || h.Ramping(now) || h.Share(now) != 1 || h.ErrorRate(now) != 0 || h.Stale(now) {
		t.Errorf("zero value is not fit: %+v", h)
	}
}

func TestHealthFailuresInARowEject(t *testing.T) {
	for _, failures := range []int{0, 1, 2, 5, 9} {
		w := newWard(3, upstream.EjectOptions{Failures: failures})
		want := failures
		if want == 0 {
			want = upstream.DefaultEjectFailures
		}
		for i := 1; i < want; i++ {
			if w.hard(0) {
				t.Fatalf("failures %d: ejected after %d", failures, i)
			}
			if row, _ := w.members[0].Counts(); row != i {
				t.Fatalf("failures %d: %d in a row, want %d", failures, row, i)
			}
		}
		if !w.hard(0) {
			t.Errorf("failures %d: not ejected after %d", failures, want)
		}
		if got := w.members[0].State(w.now); got != upstream.HealthEjected {
			t.Errorf("failures %d: state %v, want ejected", failures, got)
		}
	}
}

func TestHealthAnAnswerEndsARow(t *testing.T) {
	answers := map[string]func(*ward){
		"good answer":  func(w *ward) { w.succeed(0) },
		"server error": func(w *ward) { w.answer(0) },
	}
	for name, answer := range answers {
		w := newWard(2, upstream.EjectOptions{})
		for range 4 { // 16 failures, too few to be judged by their rate
			for range 4 {
				if w.hard(0) {
					t.Fatalf("%s: ejected with 4 failures in a row", name)
				}
			}
			answer(w)
			w.pass(20 * time.Second)
		}
		w.ejectHard(t, 0)
	}
}

func TestHealthServerErrorsAreNoFailuresInARow(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	for range 1000 {
		if w.answer(0) {
			t.Fatal("ejected without anything to compare it with")
		}
		w.pass(100 * time.Millisecond)
	}
}

func TestHealthOffEjectsNobody(t *testing.T) {
	w := newWard(4, upstream.EjectOptions{Failures: -1})
	for range 100 {
		w.succeed(1)
		if w.hard(0) {
			t.Fatal("ejected although ejection is off")
		}
	}
}

// Every number of members, all of which fail: half of them at most are out, in
// trial or not, and more than none as soon as there are two.
func TestHealthEjectsAtMostHalf(t *testing.T) {
	for n := 1; n <= 9; n++ {
		w := newWard(n, upstream.EjectOptions{})
		for range 200 {
			for i := range n {
				w.hard(i)
			}
			if got := w.out(); got > n/2 {
				t.Fatalf("%d of %d members out at once", got, n)
			}
			w.pass(700 * time.Millisecond)
		}
		most := 0
		for _, m := range w.members {
			if _, ejections := m.Counts(); ejections > 0 {
				most++
			}
		}
		if n == 1 && most != 0 || n > 1 && most == 0 {
			t.Errorf("of %d members that all fail %d were ejected", n, most)
		}
	}
}

// A member in trial is no stand-in for one that is fit.
func TestHealthTrialCountsAsOut(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	w.ejectHard(t, 0)
	w.toTrial(t, 0)
	for range 20 {
		if w.hard(1) {
			t.Fatal("the last fit member was ejected while the other was in trial")
		}
	}
}

// When the members that were fit have left, those that are out are needed.
func TestHealthIsTakenBackWhenNeeded(t *testing.T) {
	w := newWard(4, upstream.EjectOptions{})
	w.ejectHard(t, 0)
	w.ejectHard(t, 1)
	w.members = w.members[:2]
	w.now = w.members[0].Until().Add(time.Minute)
	if w.hard(0) {
		t.Error("ejected again with no fit member left")
	}
	if got := w.members[0].State(w.now); got != upstream.HealthFit {
		t.Errorf("state %v, want fit", got)
	}
}

func TestHealthRandomHistories(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 4))
		n := 1 + r.IntN(9)
		w := newWard(n, upstream.EjectOptions{Failures: 1 + r.IntN(5), Time: time.Duration(1+r.IntN(20)) * time.Second})
		w.slow = 10 * time.Second
		for range 2000 {
			i := r.IntN(n)
			m := w.members[i]
			before, wasOut := w.out(), m.State(w.now) != upstream.HealthFit
			m.Begin(w.now)
			ejected := false
			switch r.IntN(5) {
			case 0, 1:
				ejected = w.hard(i)
			case 2:
				ejected = w.answer(i)
			case 3:
				w.succeed(i)
			default:
				m.Abandoned()
			}
			if got := w.out(); got > n/2 || got == n {
				t.Fatalf("seed %d: %d of %d members out", seed, got, n)
			}
			if ejected && !wasOut && w.out() != before+1 {
				t.Fatalf("seed %d: %d members out before an ejection, %d after it", seed, before, w.out())
			}
			if s := m.Share(w.now); s < 0.1 || s > 1 {
				t.Fatalf("seed %d: share %v", seed, s)
			}
			if s := m.State(w.now); s != upstream.HealthTrial && m.MayTry(w.now) != (s == upstream.HealthFit) {
				t.Fatalf("seed %d: may be tried in state %v: %v", seed, s, m.MayTry(w.now))
			}
			w.pass(time.Duration(r.Int64N(int64(2 * time.Second))))
		}
	}
}

// However often a member goes bad, it is left alone for long only if it does not
// last long.
func TestHealthOneTrialAtATime(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	w.slow = 10 * time.Second
	w.ejectHard(t, 0)
	m := w.members[0]
	m.Begin(w.now) // with nobody else to ask: it counts for no trial
	if m.MayTry(w.now) {
		t.Error("may be tried while it is ejected")
	}
	w.toTrial(t, 0)
	if !m.MayTry(w.now) {
		t.Fatal("may not be tried after its time")
	}
	m.Begin(w.now)
	if m.MayTry(w.now) {
		t.Error("a second trial beside the first")
	}
	m.Abandoned()
	if !m.MayTry(w.now) {
		t.Error("may not be tried again after a trial that said nothing")
	}
	m.Begin(w.now)
	w.succeed(0)
	if m.State(w.now) != upstream.HealthFit || !m.MayTry(w.now) {
		t.Error("not fit after a trial that succeeded")
	}
	if got := m.Share(w.now); got != 0.1 {
		t.Errorf("share after the trial = %v, want 0.1", got)
	}
}

// The trial alone ends an ejection: neither what was under way at the time of it
// nor what was sent for want of others does, and neither ejects twice.
func TestHealthOutcomesWhileEjected(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	begun := w.now
	w.pass(time.Second)
	w.ejectHard(t, 0)
	m := w.members[0]
	until := m.Until()
	for range 50 {
		if w.hard(0) || w.answer(0) {
			t.Fatal("ejected while it is ejected")
		}
		w.succeed(0)
	}
	if !m.Until().Equal(until) || m.State(w.now) != upstream.HealthEjected {
		t.Errorf("the ejection ends at %s, state %v; want %s, ejected", m.Until(), m.State(w.now), until)
	}
	if !m.Stale(begun) || m.Stale(w.now) {
		t.Error("stale: want true for a request from before the ejection, false for one from after it")
	}
	w.toTrial(t, 0)
	if m.Stale(w.now) || !m.Stale(begun) {
		t.Error("stale: want false for the trial, true for what is older than the ejection")
	}
	trial := w.now
	w.pass(time.Second)
	w.succeed(0)
	if !m.Stale(trial) || m.Stale(w.now) {
		t.Error("stale: want true for a request from before the return, false for one from after it")
	}
}

// A trial is answered with a server error: that is a failure beside peers that
// answer well, and none when all of them answer so.
// rates is the part of the requests of each member that fail, and traffic how
// many requests a second all of them have together. It returns the ejections of
// each member within a time.
// Chance rarely ejects one of members that all fail alike, with little traffic
// too: less than 8 times in 16 hours.
// What is just enough, and what is just not.
// One that is out is no measure for the others.
// What failed before an ejection must not eject a member right after it.
// Whoever calls Back knows that the member is another one now.
// The trial alone, not what its caller does next, ends an ejection.
func TestHealthTrialEnds(t *testing.T) {
	outcomes := []struct {
		name    string
		outcome func(*upstream.Health, time.Time)
		fit     bool
	}{
		{"answer", (*upstream.Health).Succeeded, true},
		{"server error", func(h *upstream.Health, now time.Time) { h.Failed(now, upstream.FaultAnswer) }, false},
		{"hard failure", func(h *upstream.Health, now time.Time) { h.Failed(now, upstream.FaultHard) }, false},
		{"nothing said", func(h *upstream.Health, _ time.Time) { h.Abandoned() }, false},
	}
	for _, tt := range outcomes {
		var h upstream.Health
		h.Eject(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), upstream.EjectOptions{})
		now := h.Until()
		h.Begin(now)
		tt.outcome(&h, now)
		if fit := h.State(now) == upstream.HealthFit; fit != tt.fit || !h.MayTry(now) {
			t.Errorf("%s: fit = %v, may be tried = %v, want %v, true", tt.name, fit, h.MayTry(now), tt.fit)
		}
	}
}

// A trial without an answer is a failure even while all others fail.
// Time without a request proves nothing.
// A member that joins or comes back is judged by what it does from then on.
func TestHealthSucceededDoesNotAllocate(t *testing.T) {
	var h upstream.Health
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(time.Millisecond)
		h.Begin(now)
		h.Succeeded(now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkHealthSucceeded(b *testing.B) {
	var h upstream.Health
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(20 * time.Microsecond)
		h.Begin(now)
		h.Succeeded(now)
	}
}

// The price of each failure in an outage of the app, in a pool of 100.
