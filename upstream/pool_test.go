package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitError returns the error of a request that got no slot.
func waitError(t *testing.T, r result, reason error) *upstream.WaitError {
	t.Helper()
	var e *upstream.WaitError
	if !errors.As(r.err, &e) || !errors.Is(r.err, reason) {
		t.Fatalf("got %v, want %v", r.err, reason)
	}
	return e
}

func TestSlotsAreNeverOvercommitted(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Slots: 3}, {Address: "b"}, {Address: "c", Slots: 1}}
	slots := map[string]int{"a": 3, "b": 2, "c": 1}
	inWorld(t, upstream.Options{Slots: 2}, ms, func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		for i := range 100 {
			go func() {
				r := request{Client: from(i % 7)}
				l, err := p.Acquire(t.Context(), &r)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
					return
				}
				for _, m := range p.Snapshot().Members {
					if m.InFlight > slots[m.Address] || m.Limit != slots[m.Address] {
						t.Errorf("%s has %d in flight and a limit of %d, want %d", m.Address, m.InFlight, m.Limit, slots[m.Address])
					}
				}
				time.Sleep(time.Duration(1+i%5) * time.Millisecond)
				ok(&l)
			}()
		}
		time.Sleep(time.Second)
		if s := p.Snapshot(); s.Queued != 0 || s.Members[0].InFlight != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// order lets the requests wait in that order behind one slot, and returns in which
// order they get it.
func order(t *testing.T, p *upstream.Pool[*server], all ...*request) (got []int) {
	t.Helper()
	l := acquire(t, p, nil)
	var waiting []<-chan result
	for _, r := range all {
		waiting = append(waiting, ask(t.Context(), p, r))
		time.Sleep(time.Millisecond)
	}
	for range all {
		ok(l)
		synctest.Wait()
		for i, c := range waiting {
			if len(c) > 0 {
				r := <-c
				if r.err != nil {
					t.Fatal(r.err)
				}
				l = r.lease
				got = append(got, i)
			}
		}
	}
	ok(l)
	return got
}

func TestWaitingRequestsAreServedInTurn(t *testing.T) {
	one, two := from(1), from(2)
	high, low := upstream.PriorityHigh, upstream.PriorityLow
	for _, row := range []struct {
		name string
		fair upstream.Fairness
		all  []*request
		want string
	}{
		{"first in first out", upstream.FairClients, []*request{{Client: one}, {Client: one}, {Client: one}}, "012"},
		{"clients take turns", upstream.FairClients, []*request{{Client: one}, {Client: one}, {Client: one}, {Client: two}}, "0312"},
		{"by arrival", upstream.FairOff, []*request{{Client: one}, {Client: one}, {Client: one}, {Client: two}}, "0123"},
		{"by priority", upstream.FairClients, []*request{{Priority: low}, {}, {Priority: high}, {Priority: high}}, "2310"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Fairness: row.fair}}
			inWorld(t, o, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				got := ""
				for _, i := range order(t, p, row.all...) {
					got += string(rune('0' + i))
				}
				if got != row.want {
					t.Errorf("the order is %s, want %s", got, row.want)
				}
			})
		})
	}
}

func TestAFullQueueRefuses(t *testing.T) {
	o := upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Limit: 3, Fairness: upstream.FairOff}}
	inWorld(t, o, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		l := acquire(t, p, nil)
		for range 3 {
			waits(t, ask(t.Context(), p, new(request)))
		}
		e := waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrQueueFull)
		if e.Waited != 0 || e.RetryAfter < time.Second {
			t.Errorf("%+v", e)
		}
		ok(l)
	})
}

func TestTheNewestOfTheGreediestGivesWay(t *testing.T) {
	o := upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Limit: 3}}
	inWorld(t, o, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		l := acquire(t, p, nil)
		var greedy []<-chan result
		for range 3 {
			greedy = append(greedy, ask(t.Context(), p, &request{Client: from(1)}))
			after(time.Second)
		}
		light := ask(t.Context(), p, &request{Client: from(2)})
		e := waitError(t, now(t, greedy[2]), upstream.ErrQueueFull)
		if e.Waited != time.Second {
			t.Errorf("the evicted one waited %v, want 1 s", e.Waited)
		}
		for _, c := range []<-chan result{greedy[0], light, greedy[1]} {
			ok(l)
			l = now(t, c).lease
		}
		ok(l)
	})
}

func TestNobodyWaitsLongerThanTheTimeout(t *testing.T) {
	o := upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Timeout: 3 * time.Second}}
	inWorld(t, o, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		l := acquire(t, p, nil)
		begin := time.Now()
		r := <-ask(t.Context(), p, new(request))
		if e := waitError(t, r, upstream.ErrQueueTimeout); e.Waited != 3*time.Second || r.at.Sub(begin) != 3*time.Second {
			t.Errorf("waited %v, took %v, want 3 s", e.Waited, r.at.Sub(begin))
		}
		ok(l)
		ok(acquire(t, p, nil))
	})
}

func TestRetryAfterIsWhatTheQueueNeeds(t *testing.T) {
	for name, o := range map[string]upstream.Options{"slots": {Slots: 4}, "auto": {}} {
		t.Run(name, func(t *testing.T) {
			o.Queue = upstream.QueueOptions{Limit: 400, Fairness: upstream.FairOff}
			inWorld(t, o, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				limit := state(p, "a").Limit
				_, all := hold(t, p, limit)
				time.Sleep(time.Second)
				for _, l := range all {
					ok(l) // one second each
				}
				for range 50 { // what came to no connection is no measure
					acquire(t, p, nil).Fail(errRefused)
				}
				after(time.Second)
				hold(t, p, state(p, "a").Limit)
				ctx, cancel := context.WithCancel(t.Context())
				for range 400 {
					ask(ctx, p, new(request))
				}
				e := waitError(t, now(t, ask(ctx, p, new(request))), upstream.ErrQueueFull)
				if want := min(time.Minute, 400*time.Second/time.Duration(limit)); e.RetryAfter < want-time.Second || e.RetryAfter > want+time.Second {
					t.Errorf("ask again after %v, want %v", e.RetryAfter, want)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

func TestAClientThatLeavesIsOutAtOnce(t *testing.T) {
	cause := errors.New("the client has left")
	inWorld(t, upstream.Options{Slots: 1}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		l := acquire(t, p, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		first, second := ask(ctx, p, new(request)), ask(t.Context(), p, new(request))
		cancel(cause)
		if r := now(t, first); !errors.Is(r.err, cause) {
			t.Errorf("got %v", r.err)
		}
		if n := p.Snapshot().Queued; n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		ok(l)
		ok(now(t, second).lease)
	})
}

// Who is given a slot in the moment in which he leaves gives it to the next, and
// a member that was only waiting for that is gone.
func TestASlotGivenToOneThatHasLeftIsNotLost(t *testing.T) {
	for range 200 {
		inWorld(t, upstream.Options{Slots: 1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
			l := acquire(t, p, nil)
			ctx, cancel := context.WithCancel(t.Context())
			first, second := ask(ctx, p, new(request)), ask(t.Context(), p, new(request))
			cancel()
			ok(l)
			if r := now(t, first); r.err == nil {
				ok(r.lease)
			}
			ok(now(t, second).lease)

			l = acquire(t, p, nil)
			ctx, cancel = context.WithCancel(t.Context())
			first = ask(ctx, p, new(request))
			cancel()
			ok(l)
			w.apply(t, w.spec(upstream.Options{Slots: 1}, members("b")...))
			if r := now(t, first); r.err == nil {
				ok(r.lease)
			}
			after(time.Second)
			if s := p.Snapshot(); len(s.Members) != 1 || s.Members[0].Address != "b" {
				t.Fatalf("members afterwards: %+v", s.Members)
			}
		})
	}
}

// One that had a member and comes back was promised an answer: it stands before
// the others, and a full queue does not refuse it.
func TestWhoComesBackHasHisPlace(t *testing.T) {
	o := upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Limit: 1, Fairness: upstream.FairOff}}
	inWorld(t, o, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		var r request
		l := acquire(t, p, &r)
		other := ask(t.Context(), p, new(request))
		w.setAbsent("a", true)
		l.Fail(errRefused)
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused}) {
			t.Fatal("it may not go again")
		}
		c := ask(t.Context(), p, &r)
		waits(t, c)
		w.setAbsent("a", false)
		after(time.Second)
		l = now(t, c).lease
		waits(t, other)
		ok(l)
		ok(now(t, other).lease)
	})
}

func TestAFreeSlotAllocatesNothing(t *testing.T) {
	for _, rule := range []upstream.Rule{upstream.LeastBusy, upstream.RoundRobin, upstream.Random, upstream.IPHash} {
		w := newWorld(t)
		w.apply(t, w.spec(upstream.Options{Balance: upstream.Balance{Rule: rule}}, named(4)...))
		ctx, r := t.Context(), new(request)
		n := testing.AllocsPerRun(1000, func() {
			*r = request{Client: from(1)}
			l, err := w.pool.Acquire(ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			l.Answered(200)
			l.Release()
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", rule, n)
		}
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, row := range []struct {
		name string
		o    upstream.Options
		n    int
	}{
		{"auto/1", upstream.Options{}, 1},
		{"slots/1", upstream.Options{Slots: 8}, 1},
		{"auto/4", upstream.Options{}, 4},
		{"slots/32", upstream.Options{Slots: 8}, 32},
		{"round-robin/4", upstream.Options{Balance: upstream.Balance{Rule: upstream.RoundRobin}}, 4},
		{"ip-hash/4", upstream.Options{Balance: upstream.Balance{Rule: upstream.IPHash}}, 4},
		{"sticky/4", upstream.Options{Balance: upstream.Balance{Sticky: upstream.Sticky{Cookie: "m"}}}, 4},
		{"auto/8", upstream.Options{}, 8},
		{"auto/100", upstream.Options{}, 100},
		{"round-robin/100", upstream.Options{Balance: upstream.Balance{Rule: upstream.RoundRobin}}, 100},
		{"random/100", upstream.Options{Balance: upstream.Balance{Rule: upstream.Random}}, 100},
		{"ip-hash/100", upstream.Options{Balance: upstream.Balance{Rule: upstream.IPHash}}, 100},
	} {
		w := newWorld(b)
		w.apply(b, w.spec(row.o, named(row.n)...))
		address := netip.MustParseAddr("192.0.2.1")
		first := acquire(b, w.pool, nil)
		cookie := first.Cookie()
		ok(first)
		one := func(ctx context.Context, r *request) {
			*r = request{Client: address, Sticky: cookie}
			l, err := w.pool.Acquire(ctx, r)
			if err != nil {
				b.Error(err)
				return
			}
			l.Answered(200)
			l.Release()
		}
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			r := new(request)
			for b.Loop() {
				one(b.Context(), r)
			}
		})
		b.Run(row.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := new(request)
				for pb.Next() {
					one(b.Context(), r)
				}
			})
		})
	}
}

func BenchmarkFinish(b *testing.B) {
	w := newWorld(b)
	w.apply(b, w.spec(upstream.Options{}, named(1)...))
	r := new(request)
	b.ReportAllocs()
	for b.Loop() {
		*r = request{Client: netip.MustParseAddr("192.0.2.1")}
		l, err := w.pool.Acquire(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		l.Finish(200)
	}
}

// TestFinishIsAnsweredAndRelease compares what a pool knows after either.
func TestFinishIsAnsweredAndRelease(t *testing.T) {
	for _, status := range []int{200, 500} {
		var got [2]string
		for i, end := range []func(*lease){
			func(l *lease) { l.Answered(status); l.Release() },
			func(l *lease) { l.Finish(status); l.Finish(status); l.Release() },
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.apply(t, w.spec(upstream.Options{}, named(2)...))
				for range 30 {
					l := acquire(t, w.pool, nil)
					time.Sleep(time.Millisecond)
					end(l)
				}
				got[i] = fmt.Sprintf("%+v", w.pool.Snapshot())
			})
		}
		if got[0] != got[1] {
			t.Errorf("status %d: Answered and Release leave\n%s\nand Finish leaves\n%s", status, got[0], got[1])
		}
	}
}

// TestFinishGivesTheSlotToWhoWaits also counts an answer that was told before once.
func TestFinishGivesTheSlotToWhoWaits(t *testing.T) {
	w := newWorld(t)
	w.apply(t, w.spec(upstream.Options{Slots: 1}, named(1)...))
	first := acquire(t, w.pool, nil)
	first.Answered(200)
	got := make(chan *lease)
	go func() {
		l, _ := w.pool.Acquire(t.Context(), new(request))
		got <- &l
	}()
	for tick := time.NewTicker(time.Millisecond); w.pool.Snapshot().Queued == 0; {
		<-tick.C
	}
	first.Finish(200)
	(<-got).Finish(200)
	if n := w.pool.Snapshot().Members[0].InFlight; n != 0 {
		t.Errorf("%d requests are in flight, want none", n)
	}
}
