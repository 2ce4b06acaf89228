package limit_test

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"headgate/gateway/expression"
	"headgate/gateway/filter/limit"
)

func gate(t testing.TB, s limit.Setup, rules ...limit.InFlight) *limit.Gate {
	t.Helper()
	g, err := limit.NewInFlight(rules, "here", s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestInFlight(t *testing.T) {
	g := gate(t, limit.Setup{}, limit.InFlight{Limit: 2})
	a, ok := g.Enter(one, noView)
	b, ok2 := g.Enter(one, noView)
	if !ok || !ok2 {
		t.Fatal("two are not let in")
	}
	if p, ok := g.Enter(one, noView); ok || p.Limit != 2 {
		t.Errorf("a third: %+v, %v", p, ok)
	}
	c, ok := g.Enter(two, noView)
	if !ok {
		t.Error("another client is not let in")
	}
	b.Leave()
	if b, ok = g.Enter(one, noView); !ok {
		t.Error("a place that is free is not given")
	}
	a.Leave()
	b.Leave()
	c.Leave()
	(&limit.Pass{}).Leave()
}

// TestInFlightOfTheSameKey: a request counts once for each rule.
func TestInFlightOfTheSameKey(t *testing.T) {
	g := gate(t, limit.Setup{}, limit.InFlight{Limit: 10}, limit.InFlight{Limit: 4}, limit.InFlight{Limit: 6, Key: " client.ip "})
	n := 0
	for range 6 {
		if p, ok := g.Enter(one, noView); ok {
			n++
			defer p.Leave()
		} else if p.Limit != 4 {
			t.Errorf("refused by the limit %d, want 4", p.Limit)
		}
	}
	if n != 4 {
		t.Errorf("%d are let in, want 4", n)
	}
}

func TestInFlightOfSeveralRules(t *testing.T) {
	g := gate(t, limit.Setup{}, limit.InFlight{Limit: 2}, limit.InFlight{Limit: 3, Key: `"all"`}, limit.InFlight{Limit: 1, Key: `request.header["x-user"]`})
	view := func(user string) func() expression.View {
		return func() expression.View { return expression.View{Header: http.Header{"X-User": {user}}} }
	}
	var in []limit.Pass
	enter := func(client netip.Addr, user string, want int) {
		t.Helper()
		p, ok := g.Enter(client, view(user))
		if ok != (want == 0) || p.Limit != want {
			t.Errorf("%v %q: got %v, limit %d, want %d", client, user, ok, p.Limit, want)
		}
		if ok {
			in = append(in, p)
		}
	}
	enter(one, "ann", 0)
	enter(two, "ann", 1) // and takes no place of the others
	enter(one, "", 0)
	enter(one, "", 2)
	enter(two, "bob", 0)
	enter(two, "", 3)
	for i := range in {
		in[i].Leave()
	}
	enter(two, "ann", 0)
	enter(two, "bob", 0)
	in[len(in)-2].Leave()
	in[len(in)-1].Leave()
}

func TestInFlightAcrossReloads(t *testing.T) {
	s := limit.Setup{Counters: limit.NewCounters()}
	before, after := gate(t, s, limit.InFlight{Limit: 1}), gate(t, s, limit.InFlight{Limit: 2, Key: "client.ip"})
	p, ok := before.Enter(one, noView)
	q, ok2 := after.Enter(one, noView)
	if !ok || !ok2 {
		t.Fatal("not let in")
	}
	if _, ok := after.Enter(one, noView); ok {
		t.Error("what runs across a reload is forgotten")
	}
	p.Leave()
	q.Leave()
}

func TestInFlightOfMany(t *testing.T) {
	g := gate(t, limit.Setup{}, limit.InFlight{Limit: 3})
	var runs, most atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 2000 {
				if p, ok := g.Enter(one, noView); ok {
					n := runs.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					runs.Add(-1)
					p.Leave()
				}
			}
		})
	}
	all.Wait()
	if most.Load() > 3 {
		t.Errorf("%d ran at once", most.Load())
	}
}

func TestEnterDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := gate(t, limit.Setup{}, limit.InFlight{Limit: 3})
	hold, _ := g.Enter(one, noView)
	defer hold.Leave()
	if n := testing.AllocsPerRun(1000, func() {
		p, _ := g.Enter(one, noView)
		p.Leave()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
