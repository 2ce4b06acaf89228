package upstream_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// One that comes back takes a backup that is free, although others wait before it.
func TestReturnedRequestTakesWhatIsFreeToItAlone(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Slots: 1}, {Address: "b", Slots: 1, Backup: true}}
	for _, others := range []int{0, 2} {
		t.Run(fmt.Sprint(others, " others wait"), func(t *testing.T) {
			inWorld(t, upstream.Options{}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				r := new(request)
				l := acquire(t, p, r)
				var cs []<-chan result
				for range others {
					cs = append(cs, ask(t.Context(), p, new(request)))
				}
				l.Fail(errReset)
				if !p.Retry(t.Context(), r, upstream.Attempt{Err: errReset, Replayable: true}) {
					t.Fatal("Retry = false")
				}
				again := ask(t.Context(), p, r)
				if len(again) == 0 {
					t.Errorf("it waits; b has %d of 1 in flight", state(p, "b").InFlight)
					after(31 * time.Second)
					if got := now(t, again); got.err != nil {
						t.Errorf("after 30 s: %v; b has %d of 1 in flight", got.err, state(p, "b").InFlight)
					} else {
						ok(got.lease)
					}
				} else {
					ok((<-again).lease)
				}
				for _, c := range cs {
					if got := now(t, c); got.err == nil {
						ok(got.lease)
					}
				}
			})
		})
	}
}

// Who waits for a member that is away goes to another as soon as that is fit.
func TestRequestAwaitsNobodyOnceAnotherIsFit(t *testing.T) {
	o := upstream.Options{Slots: 4, Eject: upstream.EjectOptions{Failures: 1}}
	inWorld(t, o, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		r, l := new(request), (*lease)(nil)
		var others []*lease
		for l == nil {
			r = new(request)
			if l = acquire(t, p, r); l.Member().Address != "a" {
				others = append(others, l)
				l = nil
			}
		}
		l.Fail(errReset) // a is ejected
		wantState(t, p, "a", upstream.StateEjected)
		w.setAbsent("b", true)
		gone := acquire(t, p, nil)
		gone.Fail(errRefused)
		wantState(t, p, "b", upstream.StateAway)
		for _, l := range others {
			ok(l)
		}
		if !p.Retry(t.Context(), r, upstream.Attempt{Err: errReset, Replayable: true}) {
			t.Fatal("Retry = false")
		}
		begin := time.Now()
		c := ask(t.Context(), p, r)
		after(10 * time.Second)
		for range 3 {
			if who := visit(t, p, nil); who != "a" { // all others are served, the trial goes well
				t.Fatal(who)
			}
		}
		wantState(t, p, "a", upstream.StateUp)
		after(25 * time.Second)
		if got := now(t, c); got.err != nil {
			t.Errorf("after %s: %v; a is up and idle", got.at.Sub(begin), got.err)
		} else if d := got.at.Sub(begin); d > 11*time.Second {
			t.Errorf("served after %s; a was up and idle", d)
			ok(got.lease)
		} else {
			ok(got.lease)
		}
	})
}

// A trial that went well frees the member with its answer, not with its end.
func TestAnswerThatEndsATrialWakesWhoWaits(t *testing.T) {
	o := upstream.Options{Slots: 2, SlowStart: -1, Eject: upstream.EjectOptions{Failures: 1}}
	inWorld(t, o, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		failures(t, p, "a", 1)
		wantState(t, p, "a", upstream.StateEjected)
		got, held := hold(t, p, 2)
		if got["b"] != 2 {
			t.Fatal(got)
		}
		c1, c2 := ask(t.Context(), p, new(request)), ask(t.Context(), p, new(request))
		after(6 * time.Second) // one of them is the trial
		var trial *lease
		var other <-chan result
		switch {
		case len(c1) > 0:
			trial, other = (<-c1).lease, c2
		case len(c2) > 0:
			trial, other = (<-c2).lease, c1
		default:
			t.Fatal("no trial")
		}
		trial.Answered(200) // and streams on
		wantState(t, p, "a", upstream.StateUp)
		after(10 * time.Second)
		if len(other) == 0 {
			t.Errorf("a is up with %d of %d in flight, and one waits for 10 s", state(p, "a").InFlight, state(p, "a").Limit)
		}
		ok(trial)
		for _, l := range held {
			ok(l)
		}
		ok(now(t, other).lease)
	})
}

// The last step of a slow start is not lost, however short it is.
func TestSlowStartEndsWithAllSlots(t *testing.T) {
	o := upstream.Options{Slots: 10, SlowStart: 150 * time.Millisecond}
	inWorld(t, o, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		p.Drain("a", true)
		after(time.Second)
		_, held := hold(t, p, 10) // all of b
		p.Drain("a", false)
		var waiting []<-chan result
		for range 10 {
			waiting = append(waiting, ask(t.Context(), p, new(request)))
		}
		after(20 * time.Second)
		if s := state(p, "a"); s.InFlight < s.Limit {
			t.Errorf("20 s after its return a has %d in flight of %d, and %d wait", s.InFlight, s.Limit, p.Snapshot().Queued)
		}
		for _, l := range held {
			ok(l)
		}
		after(time.Second)
		for _, c := range waiting {
			ok(now(t, c).lease)
		}
		if got := shares(t, p, 1000); got["a"] < 400 {
			t.Errorf("the shares 20 s after a slow start of 150 ms: %v", got)
		}
	})
}

// A limit that a full backlog has lowered rises although no request is answered.
func TestBacklogThatWasFullIsTriedAgainBesideALongRequest(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		long := acquire(t, p, nil)
		long.Answered(200) // an answer that streams for minutes
		r := new(request)
		l := acquire(t, p, r)
		l.Fail(errFull)
		if !p.Retry(t.Context(), r, upstream.Attempt{Err: errFull, Replayable: true}) {
			t.Fatal("Retry = false")
		}
		begin := time.Now()
		c := ask(t.Context(), p, r)
		after(5 * time.Second)
		if len(c) == 0 {
			t.Errorf("still waits after 5 s; limit %d, in flight %d", state(p, "a").Limit, state(p, "a").InFlight)
		}
		after(26 * time.Second)
		if got := now(t, c); got.err != nil {
			t.Errorf("after %s: %v", got.at.Sub(begin), got.err)
		} else {
			ok(got.lease)
		}
		ok(long)
	})
}

// Whatever happens, nobody waits for long while a fit member has a free slot.
func TestNobodyWaitsBesideAFreeSlot(t *testing.T) {
	bad := 0
	for seed := range 150 {
		var trail []string
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { trail = wakeups(t, uint64(seed)) })
		}) {
			n := len(trail)
			t.Log(trail[max(0, n-14):])
			if bad++; bad > 4 {
				return
			}
		}
	}
}

// wakeups lets things happen to a pool and returns what did.
func wakeups(t *testing.T, seed uint64) (trail []string) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	all := []string{"a", "b", "c"}
	opts := func() (upstream.Options, []upstream.Member) {
		o := upstream.Options{
			Slots: upstream.Slots(rnd.IntN(4)), Queue: upstream.QueueOptions{Timeout: 60 * time.Second}, SlowStart: time.Duration(rnd.IntN(3)-1) * 3 * time.Second,
			Eject: upstream.EjectOptions{Failures: 1 + rnd.IntN(3)},
		}
		if rnd.IntN(3) == 0 {
			o.Check = upstream.CheckOptions{Path: "/"}
		}
		switch rnd.IntN(4) {
		case 0:
			o.Balance.Rule = upstream.IPHash
		case 1:
			o.Balance.Sticky = upstream.Sticky{Cookie: "c", Secret: "0123456789abcdef0123"}
		}
		var ms []upstream.Member
		for _, a := range all {
			if rnd.IntN(4) > 0 {
				ms = append(ms, upstream.Member{Address: a, Weight: rnd.IntN(3)})
			}
		}
		return o, ms
	}
	key := 0
	apply := func() {
		o, ms := opts()
		key += rnd.IntN(2)
		w.apply(t, w.keyed(fmt.Sprint(key), o, ms...))
		trail = append(trail, fmt.Sprintf("apply %d slots %d %v check %v slow %s balance %+v", key, o.Slots, ms, o.Check.Enabled(), o.SlowStart, o.Balance.Rule))
	}
	apply()
	p := w.pool
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); synctest.Wait() }()
	type holder struct {
		r *request
		l *lease
	}
	got := make(chan holder, 10000)
	var held []holder
	cookie := ""
	paused := false
	for range 150 {
		switch op := rnd.IntN(22); {
		case op < 8:
			c := ctx
			stop := func() {}
			if rnd.IntN(6) == 0 {
				c, stop = context.WithTimeout(ctx, time.Duration(rnd.IntN(3000))*time.Millisecond)
			}
			r := &request{Client: from(rnd.IntN(5)), Priority: upstream.Priority(rnd.IntN(3) - 1)}
			if rnd.IntN(2) == 0 {
				_ = cookie // sticky ones wait for a busy member on purpose
			}
			go func() {
				defer stop()
				if l, err := p.Acquire(c, r); err == nil {
					got <- holder{r, &l}
				}
			}()
			trail = append(trail, "acquire")
		case op < 11 && len(held) > 0:
			i := rnd.IntN(len(held))
			ok(held[i].l)
			held = append(held[:i], held[i+1:]...)
			trail = append(trail, "ok")
		case op < 12 && len(held) > 0:
			i := rnd.IntN(len(held))
			held[i].l.Answered(200)
			trail = append(trail, "answered "+held[i].l.Member().Address)
		case op < 16 && len(held) > 0:
			i := rnd.IntN(len(held))
			h := held[i]
			held = append(held[:i], held[i+1:]...)
			e := []error{errRefused, errReset, errClosed, errFull, errClient}[rnd.IntN(5)]
			trail = append(trail, "fail "+h.l.Member().Address+" "+e.Error())
			h.l.Fail(e)
			go func() {
				if p.Retry(ctx, h.r, upstream.Attempt{Err: e, Took: time.Millisecond, Idempotent: true, Replayable: true}) {
					if l, err := p.Acquire(ctx, h.r); err == nil {
						got <- holder{h.r, &l}
					}
				}
			}()
		case op == 16:
			a, on := all[rnd.IntN(3)], rnd.IntN(3) == 0
			p.Drain(a, on)
			trail = append(trail, fmt.Sprint("drain ", a, on))
		case op == 17:
			if paused = !paused && rnd.IntN(2) == 0; paused {
				p.Pause(time.Now().Add(time.Duration(rnd.IntN(5000)+1) * time.Millisecond))
			} else {
				p.Resume()
			}
			trail = append(trail, fmt.Sprint("paused ", paused))
		case op == 18:
			a, absent := all[rnd.IntN(3)], rnd.IntN(2) == 0
			w.setAbsent(a, absent)
			trail = append(trail, fmt.Sprint("absent ", a, absent))
		case op == 19:
			a := all[rnd.IntN(3)]
			if rnd.IntN(2) == 0 {
				w.setSick(a, errClosed)
			} else {
				w.setSick(a, nil)
			}
		case op == 20:
			apply()
		default:
			time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
			trail = append(trail, "time")
		}
		synctest.Wait()
		for len(got) > 0 {
			h := <-got
			if c := h.l.Cookie(); c != "" {
				cookie = c
			}
			held = append(held, h)
		}
		if s, m := idle(p); m != "" {
			before := s.Queued
			time.Sleep(900 * time.Millisecond)
			synctest.Wait()
			if s, m := idle(p); m != "" && s.Queued == before && len(got) == 0 {
				t.Errorf("seed %d: %d wait beside %s", seed, s.Queued, m)
				break
			}
		}
	}
	for _, h := range held {
		ok(h.l)
	}
	return trail
}

// idle returns which members are up and have a free slot while somebody waits.
func idle(p *upstream.Pool[*server]) (upstream.PoolState, string) {
	s := p.Snapshot()
	if s.Queued == 0 || !s.Paused.IsZero() {
		return s, ""
	}
	out := ""
	for _, m := range s.Members {
		if m.State == upstream.StateUp && m.InFlight < m.Limit {
			out += fmt.Sprintf(" %s (%d of %d, share %.2f)", m.Address, m.InFlight, m.Limit, m.Share)
		}
	}
	return s, out
}
