package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newPool(t testing.TB, o upstream.Options, addrs ...string) *upstream.Pool[string] {
	t.Helper()
	var ms []upstream.Member
	for _, a := range addrs {
		ms = append(ms, upstream.Member{Address: a})
	}
	p, err := upstream.NewPool("web", o, ms, func(m upstream.Member) (string, error) { return "to " + m.Address, nil })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func acquire(t testing.TB, p *upstream.Pool[string], tried *upstream.Tried) upstream.Lease[string] {
	t.Helper()
	l, err := p.Acquire(t.Context(), tried)
	if err != nil {
		t.Fatalf("Acquire = %v", err)
	}
	return l
}

func TestLeastBusyTakesTheIdleMember(t *testing.T) {
	p := newPool(t, upstream.Options{}, "a", "b", "c")
	seen := map[string]bool{}
	for range 3 {
		l := acquire(t, p, nil)
		seen[l.Transport()] = true
	}
	if len(seen) != 3 {
		t.Errorf("three requests went to %v, want one to each member", seen)
	}
	var leases []upstream.Lease[string]
	for range 3 {
		leases = append(leases, acquire(t, p, nil))
	}
	idle := leases[1].Member().Address
	leases[1].Release() // one in flight there, two at the others
	for range 10 {
		l := acquire(t, p, nil)
		if got := l.Member().Address; got != idle {
			t.Errorf("request went to %s, want %s, which has the fewest in flight", got, idle)
		}
		l.Release()
	}
}

func TestReleaseTwiceCountsOnce(t *testing.T) {
	p := newPool(t, upstream.Options{}, "a")
	l := acquire(t, p, nil)
	l.Release()
	l.Release()
	p.Each(func(_ upstream.Member, _ string, n int64, requests uint64) {
		if n != 0 || requests != 1 {
			t.Errorf("in flight, requests = %d, %d; want 0, 1", n, requests)
		}
	})
}

func TestRoundRobinTakesEachInTurn(t *testing.T) {
	p := newPool(t, upstream.Options{Balance: upstream.RoundRobin}, "a", "b")
	counts := map[string]int{}
	for range 10 {
		l := acquire(t, p, nil)
		counts[l.Member().Address]++
	}
	if counts["a"] != 5 || counts["b"] != 5 {
		t.Errorf("requests = %v, want 5 each", counts)
	}
}

func TestTriedMembersComeLast(t *testing.T) {
	for _, balance := range []upstream.Balance{upstream.LeastBusy, upstream.RoundRobin, upstream.Random} {
		p := newPool(t, upstream.Options{Balance: balance}, "a", "b", "c")
		for range 20 {
			var tried upstream.Tried
			seen := map[string]bool{}
			for range 3 {
				l := acquire(t, p, &tried)
				seen[l.Member().Address] = true
			}
			if len(seen) != 3 {
				t.Fatalf("%v: three attempts saw %v, want each member once", balance, seen)
			}
			l := acquire(t, p, &tried) // all tried: any is better than none
			l.Release()
		}
	}
}

func TestQueueIsFirstInFirstOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, upstream.Options{Slots: 1}, "a")
		first := acquire(t, p, nil)
		order := make(chan int, 5)
		for i := range 5 {
			go func() {
				l, err := p.Acquire(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				order <- i
				l.Release()
			}()
			synctest.Wait()
		}
		if got := p.Queued(); got != 5 {
			t.Errorf("Queued = %d, want 5", got)
		}
		first.Release()
		synctest.Wait()
		for want := range 5 {
			if got := <-order; got != want {
				t.Errorf("request %d came when %d was due", got, want)
			}
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, upstream.Options{Slots: 1, Queue: upstream.QueueOptions{Limit: 2, Timeout: time.Second}}, "a")
		l := acquire(t, p, nil)
		errs := make(chan error, 3)
		start := time.Now()
		for range 3 {
			go func() {
				_, err := p.Acquire(t.Context(), nil)
				errs <- err
			}()
			synctest.Wait()
		}
		if err := <-errs; !errors.Is(err, upstream.ErrQueueFull) {
			t.Errorf("third in a queue of two = %v, want ErrQueueFull", err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, upstream.ErrQueueTimeout) {
				t.Errorf("waiting = %v, want ErrQueueTimeout", err)
			}
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("waited %v, want 1s", got)
		}
		l.Release()
		l = acquire(t, p, nil) // the slot is free again
		l.Release()
	})
}

func TestWaiterThatLeavesLosesNoSlot(t *testing.T) {
	p := newPool(t, upstream.Options{Slots: 2, Queue: upstream.QueueOptions{Timeout: time.Minute}}, "a", "b")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if i%3 == 0 {
				go cancel() // leaves at about the moment in which it is served
			}
			defer cancel()
			if l, err := p.Acquire(ctx, nil); err == nil {
				l.Release()
			}
		})
	}
	wg.Wait()
	p.Each(func(m upstream.Member, _ string, n int64, _ uint64) {
		if n != 0 {
			t.Errorf("member %s has %d in flight after all left, want 0", m.Address, n)
		}
	})
	if p.Queued() != 0 {
		t.Errorf("Queued = %d, want 0", p.Queued())
	}
}

func TestEmptyPool(t *testing.T) {
	if _, err := newPool(t, upstream.Options{}).Acquire(t.Context(), nil); !errors.Is(err, upstream.ErrNoMembers) {
		t.Errorf("Acquire = %v, want ErrNoMembers", err)
	}
}

type exchangeError struct{ unsent, timeout bool }

func (e exchangeError) Error() string {
	return fmt.Sprintf("unsent %t, timeout %t", e.unsent, e.timeout)
}
func (e exchangeError) Unsent() bool  { return e.unsent }
func (e exchangeError) Timeout() bool { return e.timeout }

func TestAgain(t *testing.T) {
	never, ran, slow := exchangeError{unsent: true}, exchangeError{}, exchangeError{timeout: true}
	for _, tt := range []struct {
		name                   string
		errs                   []error
		took                   time.Duration
		idempotent, replayable bool
		want                   int // attempts in all
	}{
		{"never ran, any method", []error{never, never, never, never}, 0, false, true, 3},
		{"never ran, body gone", []error{never}, 0, false, false, 1},
		{"may have run, POST", []error{ran}, 0, false, true, 1},
		{"may have run, GET: once more only", []error{ran, ran, ran}, 0, true, true, 2},
		{"may have run, then never ran", []error{ran, never, never}, 0, true, true, 3},
		{"killed after a long run, GET", []error{ran}, 2 * time.Second, true, true, 1},
		{"never ran, long in the backlog", []error{never, never, never}, 2 * time.Second, false, true, 3},
		{"time ran out, GET", []error{slow}, 0, true, true, 1},
		{"wrapped", []error{fmt.Errorf("member a: %w", never), nil}, 0, false, true, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, upstream.Options{}, "a")
			var tried upstream.Tried
			for {
				l := acquire(t, p, &tried)
				l.Release()
				err := tt.errs[tried.Attempts()-1]
				if err == nil {
					break
				}
				if _, again := p.Options().Retry.Again(&tried, err, tt.took, tt.idempotent, tt.replayable); !again {
					break
				}
			}
			if got := tried.Attempts(); got != tt.want {
				t.Errorf("attempts = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestOptionsNameTheirKeys(t *testing.T) {
	o := upstream.Options{Slots: -1, Queue: upstream.QueueOptions{Limit: -1, Timeout: -1}, Retry: upstream.RetryOptions{Attempts: 11}}
	want := "slots: -1 is out of range: write auto or a number from 1 to 1048576\n" +
		"queue.limit: -1 is out of range: write a number from 1 to 1048576\n" +
		"queue.timeout: -1ns is negative: write a duration such as 30s\n" +
		"retry.attempts: 11 is out of range: write a number from 1 (never again) to 10"
	if err := o.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate = %v\nwant %s", err, want)
	}
	if err := (upstream.Options{}).Validate(); err != nil {
		t.Errorf("zero Options: %v", err)
	}
}

func BenchmarkAcquire(b *testing.B) {
	for name, o := range map[string]upstream.Options{"auto": {}, "slots": {Slots: 8}} {
		b.Run(name, func(b *testing.B) {
			p := newPool(b, o, "a", "b", "c", "d")
			b.ReportAllocs()
			for b.Loop() {
				var tried upstream.Tried
				l, err := p.Acquire(b.Context(), &tried)
				if err != nil {
					b.Fatal(err)
				}
				l.Release()
			}
		})
	}
}

// TestNoSlotEndsTheAttempts: a request that went to one member in vain and then
// found no slot does not wait through the queue once more.
func TestNoSlotEndsTheAttempts(t *testing.T) {
	p := newPool(t, upstream.Options{}, "a", "b")
	var tried upstream.Tried
	l := acquire(t, p, &tried)
	l.Release()
	for _, err := range []error{upstream.ErrQueueTimeout, upstream.ErrQueueFull} {
		if _, again := p.Options().Retry.Again(&tried, err, 0, true, true); again {
			t.Errorf("Again(%v) = true", err)
		}
	}
}
