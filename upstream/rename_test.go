package upstream_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// The name that the certificate must have is another one: so is the transport.
func TestAnotherNameMakesAnotherTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.spec(upstream.Options{}, upstream.Member{Address: "a", Name: "old"})
		s.Driver.Dial = func(m upstream.Member) (*server, error) { return &server{m.Address, m.Name}, nil }
		w.apply(t, s)
		s.Members = []upstream.Member{{Address: "a", Name: "new"}}
		w.apply(t, s)
		synctest.Wait()
		l := acquire(t, w.pool, nil)
		if l.Transport().key != l.Member().Name {
			t.Errorf("the member has the name %q, its transport %q", l.Member().Name, l.Transport().key)
		}
		ok(l)
	})
}

// Statistics are read once a second, also while there is no traffic.
func TestStatisticsOfAnIdlePoolAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.spec(upstream.Options{}, upstream.Member{Address: "a", Stats: "s"})
		var reads atomic.Int64
		s.Driver.Stats = func(context.Context, upstream.Member) (upstream.Load, error) {
			reads.Add(1)
			return upstream.Load{Slots: 4}, nil
		}
		w.apply(t, s)
		after(30 * time.Second)
		if n := reads.Load(); n < 15 {
			t.Errorf("%d reads in 30 s", n)
		}
	})
}

// A lease's member may be asked for while a reload says something else of it (-race).
func TestLeaseKeepsTheMemberThatItBeganWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(t, w.spec(upstream.Options{}, upstream.Member{Address: "a", Weight: 1}))
		l := acquire(t, w.pool, nil)
		begun, seen := make(chan struct{}), make(chan int)
		go func() {
			close(begun)
			seen <- l.Member().Weight
		}()
		<-begun
		w.apply(t, w.spec(upstream.Options{}, upstream.Member{Address: "a", Weight: 2}))
		if n := <-seen; n != 1 || l.Member().Weight != 1 {
			t.Errorf("the lease began with a weight of 1 and says %d, then %d", n, l.Member().Weight)
		}
		ok(l)
	})
}
