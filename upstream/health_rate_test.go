package upstream_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"headgate/upstream"
)

func TestHealthTrialAnsweredWithServerError(t *testing.T) {
	tests := []struct {
		name      string
		good, bad int // of the peer's answers
		want      bool
	}{
		{"peer answers well", 50, 0, true},
		{"peer answers mostly well", 40, 10, true},
		{"nothing known of the peer", 0, 0, true},
		{"peer answers so too", 10, 40, false},
		{"peer answers so half the time", 1, 1, false},
	}
	for _, tt := range tests {
		w := newWard(2, upstream.EjectOptions{})
		w.ejectHard(t, 0)
		w.toTrial(t, 0)
		for range tt.good {
			w.succeed(1)
		}
		for range tt.bad {
			w.members[1].Failed(w.now, upstream.FaultAnswer)
		}
		w.members[0].Begin(w.now)
		if got := w.answer(0); got != tt.want {
			t.Errorf("%s: ejected again = %v, want %v", tt.name, got, tt.want)
		}
		if fit := w.members[0].State(w.now) == upstream.HealthFit; fit == tt.want {
			t.Errorf("%s: fit = %v", tt.name, fit)
		}
	}
}

func rates(seed uint64, traffic float64, during time.Duration, f func(*ward, int) bool, rates ...float64) []int {
	r := rand.New(rand.NewPCG(seed, 7))
	w := newWard(len(rates), upstream.EjectOptions{Failures: 1 << 20}) // not for failures in a row
	ejections := make([]int, len(rates))
	for end := w.now.Add(during); w.now.Before(end); w.pass(time.Duration(r.ExpFloat64() / traffic * float64(time.Second))) {
		i := r.IntN(len(rates))
		switch s := w.members[i].State(w.now); {
		case s == upstream.HealthEjected:
		case r.Float64() >= rates[i]:
			w.succeed(i)
		case f(w, i):
			ejections[i]++
		}
	}
	return ejections
}

func TestHealthErrorRateAgainstPeers(t *testing.T) {
	tests := []struct {
		name    string
		traffic float64
		rates   []float64
		ejected []bool
	}{
		{"all members fail alike", 200, []float64{0.6, 0.6, 0.6}, []bool{false, false, false}},
		{"all members fail always", 200, []float64{1, 1, 1, 1}, []bool{false, false, false, false}},
		{"all members fail a third", 200, []float64{0.33, 0.33, 0.33}, []bool{false, false, false}},
		{"two members fail alike", 50, []float64{0.6, 0.6}, []bool{false, false}},
		{"one is bad", 200, []float64{0.01, 0.6, 0.01}, []bool{false, true, false}},
		{"one of two is bad", 20, []float64{0.6, 0.01}, []bool{true, false}},
		{"one is bad, others never fail", 200, []float64{0, 0.6, 0}, []bool{false, true, false}},
		{"two of five are bad", 200, []float64{0.01, 0.9, 0.01, 0.01, 0.9}, []bool{false, true, false, false, true}},
		{"one is not bad enough", 200, []float64{0.2, 0.01, 0.01}, []bool{false, false, false}},
		{"one is bad, the others are not much better", 200, []float64{0.7, 0.4, 0.4}, []bool{false, false, false}},
		{"a pool of one", 100, []float64{1}, []bool{false}},
		{"little traffic", 2, []float64{0, 0.9, 0}, []bool{false, false, false}},
	}
	kinds := map[string]func(*ward, int) bool{"server errors": (*ward).answer, "hard failures": (*ward).hard}
	for _, tt := range tests {
		for kind, f := range kinds {
			for seed := range uint64(3) {
				for i, n := range rates(seed, tt.traffic, time.Minute, f, tt.rates...) {
					if n > 0 != tt.ejected[i] {
						t.Errorf("%s (%s, seed %d): member %d ejected %d times, want any: %v", tt.name, kind, seed, i, n, tt.ejected[i])
					}
				}
			}
		}
	}
}

func TestHealthChanceEjectsRarely(t *testing.T) {
	sum := 0
	for seed := range uint64(16) {
		for _, n := range rates(seed, 6, time.Hour, (*ward).answer, 0.35, 0.35) {
			sum += n
		}
	}
	if sum > 8 {
		t.Errorf("%d ejections in 16 hours", sum)
	}
}

func TestHealthErrorRateLimits(t *testing.T) {
	tests := []struct {
		name                        string
		bad, all, peerBad, peersAll int
		want                        bool
	}{
		{"few requests", 20, 20, 0, 20, true},
		{"too few", 19, 19, 0, 200, false},
		{"too few at the peers", 200, 200, 0, 19, false},
		{"half", 100, 200, 0, 200, true},
		{"less than half", 99, 200, 0, 200, false},
		{"thrice", 600, 1000, 200, 1000, true},
		{"less than thrice", 600, 1000, 201, 1000, false},
		{"maybe by chance", 10, 20, 0, 20, false},
		{"hardly by chance", 13, 20, 0, 20, true},
	}
	for _, tt := range tests {
		w := newWard(2, upstream.EjectOptions{Failures: 1 << 20})
		for i := range tt.peersAll {
			if i < tt.peerBad {
				w.members[1].Failed(w.now, upstream.FaultAnswer)
			} else {
				w.members[1].Succeeded(w.now)
			}
		}
		m := w.members[0]
		for range tt.all - tt.bad {
			m.Succeeded(w.now)
		}
		for range tt.bad {
			m.Failed(w.now, upstream.FaultHard)
		}
		if got := upstream.Judge(w.now, w.opts, w.members, m); got != tt.want {
			t.Errorf("%s: %d of %d failed beside %d of %d: ejected = %v, want %v", tt.name, tt.bad, tt.all, tt.peerBad, tt.peersAll, got, tt.want)
		}
	}
}

func TestHealthEjectedPeersDoNotCount(t *testing.T) {
	w := newWard(4, upstream.EjectOptions{})
	for range 20 {
		w.succeed(2)
		w.succeed(3)
	}
	w.ejectHard(t, 0)
	for range 200 {
		w.hard(0) // requests that were under way
	}
	ejected := false
	for range 20 {
		ejected = ejected || w.answer(1)
	}
	if !ejected {
		t.Error("a bad member looks good beside one that is ejected")
	}
}

func TestHealthErrorRateForgetsAfterTenSeconds(t *testing.T) {
	var h upstream.Health
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 30 {
		h.Failed(now, upstream.FaultAnswer)
	}
	now = now.Add(5 * time.Second)
	for range 10 {
		h.Succeeded(now)
	}
	steps := []struct {
		after time.Duration
		want  float64
	}{
		{0, 0.75},
		{-time.Second, 0.75}, // the clock of one that has waited for the lock
		{4 * time.Second, 0.75},
		{5 * time.Second, 0},
		{9 * time.Second, 0},
	}
	for _, s := range steps {
		if got := h.ErrorRate(now.Add(s.after)); got != s.want {
			t.Errorf("error rate %s later = %v, want %v", s.after, got, s.want)
		}
	}
	h.Failed(now.Add(9*time.Second), upstream.FaultAnswer)
	if got := h.ErrorRate(now.Add(9 * time.Second)); got != 1.0/11 {
		t.Errorf("error rate = %v, want %v", got, 1.0/11)
	}
	now = now.Add(time.Hour)
	h.Failed(now, upstream.FaultAnswer)
	if got := h.ErrorRate(now); got != 1 {
		t.Errorf("error rate an hour later = %v, want 1", got)
	}
}

func TestHealthReturnsWithACleanSheet(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{Time: time.Second})
	for range 100 {
		w.succeed(1)
		w.members[0].Failed(w.now, upstream.FaultHard)
	}
	w.ejectHard(t, 0)
	w.toTrial(t, 0)
	w.succeed(0)
	for range 4 {
		if w.hard(0) {
			t.Fatal("ejected again for old failures")
		}
	}
	if !w.hard(0) {
		t.Error("not ejected after 5 new failures in a row")
	}
}

func BenchmarkHealthJudge(b *testing.B) {
	w := newWard(100, upstream.EjectOptions{})
	for i := range 100 * 30 {
		w.members[i%100].Failed(w.now, upstream.FaultAnswer)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.pass(20 * time.Microsecond)
		w.answer(0)
	}
}

// A member is not excused by what its peers did long ago.
func TestHealthErrorRateOfPeersLately(t *testing.T) {
	w := newWard(2, upstream.EjectOptions{Failures: 1 << 20})
	for range 30 {
		w.members[1].Failed(w.now, upstream.FaultAnswer)
	}
	w.pass(9 * time.Second)
	for range 30 {
		w.succeed(1)
	}
	w.pass(time.Second)
	ejected := false
	for range 30 {
		ejected = ejected || w.answer(0)
	}
	if !ejected {
		t.Error("not ejected")
	}
}
