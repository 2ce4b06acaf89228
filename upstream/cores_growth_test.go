package upstream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// grown is a member whose number of workers changes; the kernel shows what lies unread.
type grown struct {
	cores    atomic.Int64
	inFlight atomic.Int64
}

// Cores that were counted while few workers were there are counted anew when there are more, also when a request takes longer than 50 ms.
func TestCountOfCoresGrowsWithSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var g grown
		g.cores.Store(1)
		s := w.spec(upstream.Options{}, members("a")...)
		tokens := make(chan struct{}, 64)
		tokens <- struct{}{}
		s.Driver.Watch = func(*server, time.Duration) (busy, unread int, ok bool) {
			n := int(g.inFlight.Load())
			busy = min(n, int(g.cores.Load()))
			return busy, n - busy, true
		}
		w.apply(t, s)
		synctest.Wait()
		ctx, stop := context.WithCancel(t.Context())
		var done atomic.Int64
		for i := range 200 { // clients that ask again as soon as they have their answer
			go func() {
				for ctx.Err() == nil {
					l, err := w.pool.Acquire(ctx, &request{Client: from(i)})
					if err != nil {
						var e *upstream.WaitError
						if errors.As(err, &e) {
							continue
						}
						return
					}
					g.inFlight.Add(1)
					<-tokens
					time.Sleep(193 * time.Millisecond) // no multiple of the pause between two looks, which would all see the same moment
					tokens <- struct{}{}
					g.inFlight.Add(-1)
					done.Add(1)
					ok(&l)
				}
			}()
		}
		time.Sleep(20 * time.Second)
		t.Logf("1 core: limit %d by %s", state(w.pool, "a").Limit, state(w.pool, "a").Known)
		g.cores.Store(16)
		for range 15 {
			tokens <- struct{}{}
		}
		time.Sleep(20 * time.Second)
		done.Store(0)
		time.Sleep(10 * time.Second)
		if n := done.Load(); n < 700 {
			t.Errorf("20 s later, 16 cores and 193 ms: %d answers in 10 s instead of 829; limit %d by %s, in flight %d, %d wait",
				n, state(w.pool, "a").Limit, state(w.pool, "a").Known, state(w.pool, "a").InFlight, w.pool.Snapshot().Queued)
		}
		stop()
		time.Sleep(time.Minute)
	})
}
