package upstream_test

import (
	"strings"
	"testing"
	"time"

	"headgate/upstream"
)

func TestHealthEjectionsDouble(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{Time: 5 * time.Second})
	w.ejectHard(t, 0)
	m := w.members[0]
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300} {
		want *= time.Second
		if got := m.Until().Sub(w.now); got < want*9/10 || got > want*11/10 {
			t.Errorf("ejection %d takes %s, want %s give or take a tenth", i+1, got, want)
		}
		if _, ejections := m.Counts(); ejections != i+1 {
			t.Errorf("%d ejections counted, want %d", ejections, i+1)
		}
		end := m.Until()
		if got := m.State(end.Add(-1)); got != upstream.HealthEjected {
			t.Errorf("state just before the end = %v, want ejected", got)
		}
		w.toTrial(t, 0)
		m.Begin(w.now)
		if !w.hard(0) {
			t.Fatalf("trial %d failed and the member is not ejected", i+1)
		}
	}
}

func TestHealthEjectionsAreSpread(t *testing.T) {
	lengths := map[time.Duration]bool{}
	for range 20 {
		var h upstream.Health
		now := time.Now()
		h.Eject(now, upstream.EjectOptions{})
		lengths[h.Until().Sub(now)] = true
	}
	if len(lengths) < 2 {
		t.Error("all ejections take the same time: members that failed together are tried together")
	}
}

func TestHealthForgives(t *testing.T) {
	tests := []struct {
		name     string
		fit      time.Duration // after an ejection of 20 s, the third
		min, max time.Duration // of the next one
	}{
		{"at once", 0, 36 * time.Second, 44 * time.Second},
		{"nearly 10 times as long", 199 * time.Second, 36 * time.Second, 44 * time.Second},
		{"10 times as long", 200 * time.Second, 18 * time.Second, 22 * time.Second},
		{"and 10 times half of that", 300 * time.Second, 9 * time.Second, 11 * time.Second},
		{"long", 350 * time.Second, 4500 * time.Millisecond, 5500 * time.Millisecond},
		{"for days", 100 * time.Hour, 4500 * time.Millisecond, 5500 * time.Millisecond},
	}
	for _, tt := range tests {
		w := newWard(2, upstream.EjectOptions{})
		w.ejectHard(t, 0)
		for range 2 {
			w.toTrial(t, 0)
			w.hard(0)
		}
		w.toTrial(t, 0)
		w.succeed(0)
		w.pass(tt.fit)
		w.ejectHard(t, 0)
		if got := w.members[0].Until().Sub(w.now); got < tt.min || got > tt.max {
			t.Errorf("fit %s: the next ejection takes %s, want %s to %s", tt.name, got, tt.min, tt.max)
		}
		if _, ejections := w.members[0].Counts(); ejections != 4 {
			t.Errorf("fit %s: %d ejections counted, want 4", tt.name, ejections)
		}
	}
}

func TestHealthEjectionsSettle(t *testing.T) {
	tests := []struct {
		fit, min, max time.Duration
	}{
		{40 * time.Second, 270 * time.Second, 330 * time.Second},
		{10 * time.Minute, 4500 * time.Millisecond, 5500 * time.Millisecond},
	}
	for _, tt := range tests {
		w := newWard(2, upstream.EjectOptions{})
		var gone time.Duration
		for range 100 {
			w.ejectHard(t, 0)
			gone = w.members[0].Until().Sub(w.now)
			w.toTrial(t, 0)
			w.succeed(0)
			w.pass(tt.fit)
		}
		if gone < tt.min || gone > tt.max {
			t.Errorf("bad after each %s: left alone for %s each time, want %s to %s", tt.fit, gone, tt.min, tt.max)
		}
	}
}

func TestHealthSlowStart(t *testing.T) {
	tests := []struct {
		name       string
		slow, want time.Duration
	}{
		{"default", 0, 10 * time.Second},
		{"set", 3 * time.Second, 3 * time.Second},
		{"off", -1, 0},
	}
	for _, tt := range tests {
		var h upstream.Health
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		h.Back(now, tt.slow)
		last := 0.0
		for at := -time.Second; at <= 20*time.Second; at += 100 * time.Millisecond {
			got, want := h.Share(now.Add(at)), 1.0
			if at < tt.want {
				want = 0.1 + 0.9*max(at.Seconds(), 0)/tt.want.Seconds()
			}
			if diff := got - want; tt.want > 0 && (diff > 1e-9 || diff < -1e-9) || tt.want == 0 && got != 1 {
				t.Fatalf("%s: share after %s = %v, want %v", tt.name, at, got, want)
			}
			if got < last {
				t.Fatalf("%s: share falls from %v to %v after %s", tt.name, last, got, at)
			}
			last = got
			if ramping := h.Ramping(now.Add(at)); ramping != (got < 1) {
				t.Fatalf("%s: ramping after %s = %v with a share of %v", tt.name, at, ramping, got)
			}
		}
	}
}

// Slow start ends with an ejection: a member that is asked for want of others is
// not held back.
func TestHealthEjectedInSlowStart(t *testing.T) {
	var h upstream.Health
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h.Back(now, time.Minute)
	h.Eject(now, upstream.EjectOptions{})
	if got := h.Share(now.Add(time.Second)); got != 1 || h.Ramping(now.Add(time.Second)) {
		t.Errorf("share = %v, want 1", got)
	}
}

func TestHealthTrialNotAnswered(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	w.ejectHard(t, 0)
	w.toTrial(t, 0)
	for range 100 {
		w.answer(1)
	}
	if !w.hard(0) {
		t.Error("not ejected again")
	}
}

func TestHealthTrialIsNotForgivenForWaiting(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	w.ejectHard(t, 0)
	w.pass(100 * time.Hour)
	w.hard(0)
	if got := w.members[0].Until().Sub(w.now); got < 9*time.Second {
		t.Errorf("ejected for %s after its trial failed, want 10 s", got)
	}
}

func TestHealthBackEndsARow(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	for range 4 {
		w.hard(0)
	}
	w.members[0].Back(w.now, -1)
	if w.hard(0) {
		t.Error("ejected for failures from before it came back")
	}
}

func TestHealthBackEndsAnEjection(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{})
	w.ejectHard(t, 0)
	m := w.members[0]
	m.Back(w.now, -1)
	if m.State(w.now) != upstream.HealthFit || !m.Until().IsZero() {
		t.Errorf("state %v, want fit", m.State(w.now))
	}
	w.ejectHard(t, 0)
	if got := m.Until().Sub(w.now); got < 9*time.Second {
		t.Errorf("ejected for %s after it came back only to fail again, want 10 s", got)
	}
}

func TestEjectOptionsValidate(t *testing.T) {
	tests := []struct {
		o    upstream.EjectOptions
		want []string // beginnings of the lines
	}{
		{upstream.EjectOptions{}, nil},
		{upstream.EjectOptions{Failures: -1, Time: 5 * time.Minute}, nil},
		{upstream.EjectOptions{Failures: 1000, Time: time.Millisecond}, nil},
		{upstream.EjectOptions{Failures: 1001}, []string{"eject.failures: 1001 "}},
		{upstream.EjectOptions{Time: -1}, []string{"eject.time: -1ns "}},
		{upstream.EjectOptions{Failures: 1 << 30, Time: 6 * time.Minute}, []string{"eject.failures: ", "eject.time: 6m0s "}},
	}
	for _, tt := range tests {
		var lines []string
		if err := tt.o.Validate(); err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(tt.want) {
			t.Errorf("%+v: got %q, want %q", tt.o, lines, tt.want)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, tt.want[i]) || !strings.Contains(line, ": write ") {
				t.Errorf("%+v: got %q, want %q and a cure", tt.o, line, tt.want[i])
			}
		}
	}
}
