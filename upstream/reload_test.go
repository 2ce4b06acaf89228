package upstream_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"headgate/upstream"
)

func TestAReloadKeepsWhatIsKnown(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a", "b", "c"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 5)
		p.Drain("b", true)
		l := acquire(t, p, nil)
		waiting := ask(t.Context(), p, new(request))
		o := upstream.Options{Slots: 2, Balance: upstream.Balance{Rule: upstream.RoundRobin}}
		w.apply(t, w.spec(o, members("a", "b", "c", "d")...))
		if w.pool != p {
			t.Fatal("another pool")
		}
		wantState(t, p, "a", upstream.StateEjected)
		wantState(t, p, "b", upstream.StateDrained)
		r := now(t, waiting)
		if r.err != nil || r.Member().Address != "c" || state(p, "c").InFlight != 2 {
			t.Errorf("the one that waited does not have the new slot: %+v", state(p, "c"))
		}
		ok(r.lease)
		ok(l)
		if closed, left := w.gone(); len(closed)+len(left) > 0 {
			t.Errorf("closed %v, left %v", closed, left)
		}
		w.apply(t, w.spec(o, members("a")...))
		w.apply(t, w.spec(o, members("a", "b")...))
		wantState(t, p, "b", upstream.StateDrained) // also when it was away in between
	})
}

func TestAnotherKeyMakesNewTransports(t *testing.T) {
	inWorld(t, upstream.Options{SlowStart: -1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		sources := map[string]upstream.Source{"dns": s}
		w.apply(t, with(w.spec(upstream.Options{SlowStart: -1}, members("a", "x")...), sources))
		after(0)
		s.say(members("b")...)
		a, x := holdOf(t, p, "a"), holdOf(t, p, "x")
		w.apply(t, with(w.spec(upstream.Options{SlowStart: -1}, members("a")...), sources)) // x leaves
		c := w.build(t, with(w.keyed("new", upstream.Options{SlowStart: -1}, members("a", "x")...), sources))
		s.say(members("b", "late")...) // after Build
		c.Apply()
		after(time.Second)
		if a.Transport().key != "" || x.Transport().key != "" {
			t.Error("a lease has another transport than it had")
		}
		for _, address := range []string{"a", "b", "x", "late"} {
			l := holdOf(t, p, address)
			if got := l.Transport().key; got != "new" {
				t.Errorf("%s has the transport of key %q", address, got)
			}
			ok(l)
		}
		ok(a)
		ok(x)
		closed, _ := w.gone()
		for _, one := range closed {
			if one.key != "" {
				t.Errorf("a new transport was closed: %v", one)
			}
		}
		if len(closed) != 4 {
			t.Errorf("closed %v, want the four old ones", closed)
		}
	})
}

func TestASourceThatDropsWhatAPlanNeeds(t *testing.T) {
	o := upstream.Options{SlowStart: -1}
	inWorld(t, o, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		sources := map[string]upstream.Source{"dns": s}
		w.apply(t, with(w.spec(o, members("a")...), sources))
		after(0)
		s.say(members("b")...)
		c := w.build(t, with(w.spec(o, members("a", "b")...), sources))
		s.say()
		c.Apply()
		after(time.Second)
		if got := addresses(p); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("members: %v", got)
		}
	})
}

func TestABuildThatFailsChangesNothing(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := w.keyed("new", upstream.Options{Slots: 5}, members("a", "b", "bad")...)
		dial := s.Driver.Dial
		bad := errors.New("bad address")
		s.Driver.Dial = func(m upstream.Member) (*server, error) {
			if m.Address == "bad" {
				return nil, bad
			}
			return dial(m)
		}
		other := w.spec(upstream.Options{}, members("z")...)
		if _, err := w.pools.Build(map[string]spec{"web": s, "other": other}); !errors.Is(err, bad) || err.Error() != "pool web: member bad: bad address" {
			t.Errorf("Build = %v", err)
		}
		closed, _ := w.gone()
		made := 0
		for _, c := range closed {
			if c.key == "new" {
				made++
			}
		}
		if made != 2 || w.pools.Get("other") != nil || !slices.Equal(addresses(p), []string{"a"}) || p.Options().Slots != 1 {
			t.Errorf("closed %v, members %v", closed, addresses(p))
		}
		ok(acquire(t, p, nil))

		w.build(t, w.keyed("new", upstream.Options{Slots: 5}, members("a", "b")...)).Discard()
		if again, _ := w.gone(); len(again) != len(closed)+2 || p.Options().Slots != 1 {
			t.Errorf("Discard closed %v", again[len(closed):])
		}
	})
}

func TestAPoolThatIsRemovedServesWhoIsThere(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(upstream.Options{Slots: 1}, members("a")...), map[string]upstream.Source{"dns": s}))
		after(0)
		s.say(members("b")...)
		_, all := hold(t, p, 2)
		var waiting []<-chan result
		for range 2 {
			waiting = append(waiting, ask(t.Context(), p, new(request)))
		}
		c, err := w.pools.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply()
		if w.pools.Get("web") != nil {
			t.Error("the pool is there")
		}
		w.setAbsent("a", true)
		for _, l := range all {
			if l.Member().Address == "a" {
				l.Fail(errRefused)
			} else {
				ok(l)
			}
		}
		last := now(t, waiting[0])
		after(time.Second)
		w.setAbsent("a", false) // and it is still looked for
		after(3 * time.Second)
		ok(now(t, waiting[1]).lease)
		if closed, _ := w.gone(); len(closed) > 0 {
			t.Errorf("closed %v with a request under way", closed)
		}
		ok(last.lease)
		after(0)
		if closed, _ := w.gone(); len(closed) != 2 {
			t.Errorf("closed %v, want both", closed)
		}
	})
}
