package upstream_test

import (
	"fmt"
	"math"
	"testing"

	"headgate/upstream"
)

func named(n int) (out []upstream.Member) {
	for i := range n {
		out = append(out, upstream.Member{Address: fmt.Sprintf("m%02d", i)})
	}
	return out
}

// near reports whether got is within tolerance (a part of want) of want.
func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*want }

func TestLeastBusyFillsMembersInProportionToTheirSlots(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Slots: 8}, {Address: "b", Slots: 2}}
	inWorld(t, upstream.Options{}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		got := map[string]int{}
		for i := range 10 {
			got[acquire(t, p, nil).Member().Address]++
			if i == 4 && (got["a"] != 4 || got["b"] != 1) {
				t.Errorf("of 5 requests %v, want 4 and 1", got)
			}
		}
		if got["a"] != 8 || got["b"] != 2 {
			t.Errorf("of 10 requests %v, want 8 and 2", got)
		}
		waits(t, ask(t.Context(), p, new(request)))
		p.Snapshot()
	})
}

func TestWeightsAreKept(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Weight: 3}, {Address: "b"}}
	for _, rule := range []upstream.Rule{upstream.LeastBusy, upstream.RoundRobin, upstream.Random} {
		t.Run(rule.String(), func(t *testing.T) {
			inWorld(t, upstream.Options{Balance: upstream.Balance{Rule: rule}}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				tolerance := 0.0
				if rule == upstream.Random {
					tolerance = 0.04
				}
				if got := shares(t, p, 8000); !near(float64(got["a"]), 6000, tolerance) {
					t.Errorf("one at a time: %v, want 3 to 1", got)
				}
				if rule == upstream.Random {
					return
				}
				if got, _ := hold(t, p, 40); got["a"] != 30 {
					t.Errorf("all at once: %v, want 3 to 1", got)
				}
			})
		})
	}
}

func TestLeastBusyInAHashOfManyKeepsWeights(t *testing.T) {
	ms := named(12)
	ms[0].Weight = 4
	inWorld(t, upstream.Options{}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		got := shares(t, p, 15000)
		for _, m := range ms {
			if n := got[m.Address]; n < 600 { // of two, even the light one has its turn
				t.Errorf("%s has %d of 15000", m.Address, n)
			}
		}
		if got["m00"] < 1600 {
			t.Errorf("the heavy one has %d of 15000", got["m00"])
		}
	})
}

func TestRoundRobinIsSmooth(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Weight: 5}, {Address: "b"}, {Address: "c"}}
	inWorld(t, upstream.Options{Balance: upstream.Balance{Rule: upstream.RoundRobin}}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		got := ""
		for range 14 {
			got += visit(t, p, nil)
		}
		if got != "aabacaaaabacaa" {
			t.Errorf("the order is %s, want aabacaa twice", got)
		}
	})
}

func TestTwoChoicesSpreadEvenly(t *testing.T) {
	inWorld(t, upstream.Options{}, named(20), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		got, _ := hold(t, p, 1000)
		for _, m := range named(20) {
			if n := got[m.Address]; !near(float64(n), 50, 0.2) {
				t.Errorf("%s has %d of 1000, want 50 within 20 %%", m.Address, n)
			}
		}
	})
}

func TestTwoChoicesFindTheLastFreeSlot(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 3}, named(20), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		hold(t, p, 60)
		for _, m := range p.Snapshot().Members {
			if m.InFlight != 3 {
				t.Errorf("%s has %d in flight, want 3", m.Address, m.InFlight)
			}
		}
	})
}

func TestHashMovesOnlyTheShareOfAMemberThatIsLost(t *testing.T) {
	const keys = 10000
	for name, b := range map[string]upstream.Balance{"ip-hash": {Rule: upstream.IPHash}, "hash": {Hash: "request.path"}} {
		t.Run(name, func(t *testing.T) {
			o := upstream.Options{Balance: b, SlowStart: -1}
			inWorld(t, o, named(10), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
				all := func() (out [keys]string) {
					for i := range keys {
						out[i] = visit(t, p, &request{Client: from(i), Key: upstream.HashKey(fmt.Sprint("/page/", i))})
					}
					return out
				}
				before := all()
				count := map[string]int{}
				for _, a := range before {
					count[a]++
				}
				for _, m := range named(10) {
					if n := count[m.Address]; !near(float64(n), keys/10, 0.15) {
						t.Errorf("%s has %d keys, want about %d", m.Address, n, keys/10)
					}
				}
				if again := all(); again != before {
					t.Error("equal keys have different members")
				}
				p.Drain("m03", true)
				spread := map[string]int{}
				for i, a := range all() {
					if before[i] != "m03" && a != before[i] {
						t.Fatalf("key %d went from %s to %s", i, before[i], a)
					}
					if before[i] == "m03" {
						spread[a]++
					}
				}
				if len(spread) != 9 {
					t.Errorf("the keys of the lost one went to %v, want to all others", spread)
				}
				p.Drain("m03", false)
				if all() != before {
					t.Error("the member that came back has not the keys that it had")
				}
				w.apply(t, w.spec(o, append(named(10), upstream.Member{Address: "new"})...))
				after(100)
				for i, a := range all() {
					if a != before[i] && a != "new" {
						t.Fatalf("with a new member key %d went from %s to %s", i, before[i], a)
					}
				}
			})
		})
	}
}

func TestHashKeepsWeights(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Weight: 3}, {Address: "b"}}
	inWorld(t, upstream.Options{Balance: upstream.Balance{Hash: "x"}}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		n := 0
		for i := range 10000 {
			if visit(t, p, &request{Key: upstream.HashKey(fmt.Sprint(i))}) == "a" {
				n++
			}
		}
		if !near(float64(n), 7500, 0.04) {
			t.Errorf("a has %d of 10000 keys, want 7500", n)
		}
	})
}

func TestHashGoesOnToTheSameNextMemberWhileTheFirstIsBusy(t *testing.T) {
	inWorld(t, upstream.Options{Balance: upstream.Balance{Hash: "x"}, Slots: 1}, named(5), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		r := func() *request { return &request{Key: 4711} }
		order := func() (s string) {
			var all []*lease
			for range 5 {
				l := acquire(t, p, r())
				s += l.Member().Address + " "
				all = append(all, l)
			}
			for _, l := range all {
				ok(l)
			}
			return s
		}
		if a, b := order(), order(); a != b {
			t.Errorf("the order of a key is %s and then %s", a, b)
		}
	})
}

func TestBackupsAreForWhenNobodyElseIsFit(t *testing.T) {
	ms := []upstream.Member{{Address: "a"}, {Address: "b"}, {Address: "spare", Backup: true}}
	inWorld(t, upstream.Options{Slots: 1}, ms, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		_, held := hold(t, p, 2)
		c := ask(t.Context(), p, new(request))
		waits(t, c) // busy is not unfit
		ok(held[0])
		ok(now(t, c).lease)
		ok(held[1])
		p.Drain("a", true)
		if got := shares(t, p, 10); got["b"] != 10 {
			t.Errorf("with b fit: %v", got)
		}
		w.setAbsent("b", true)
		acquire(t, p, nil).Fail(errRefused)
		if got := shares(t, p, 10); got["spare"] != 10 {
			t.Errorf("with nobody else: %v", got)
		}
		p.Drain("a", false)
		if got := shares(t, p, 10); got["a"] != 10 {
			t.Errorf("with a back: %v", got)
		}
	})
}
