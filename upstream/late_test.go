package upstream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// A request that comes to a pool whose work has ended, since its body was being read during the reload, finds a member that is away for a moment.
func TestRetiredPoolWorksForALateRequest(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		c, err := w.pools.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Apply()
		synctest.Wait()
		r := new(request) // its route still names the pool
		l := acquire(t, p, r)
		l.Fail(errRefused)
		if !p.Retry(t.Context(), r, upstream.Attempt{Err: errRefused}) {
			t.Fatal("Retry = false")
		}
		again := ask(t.Context(), p, r) // the member is back 1 ms later
		after(31 * time.Second)
		if got := now(t, again); got.err != nil {
			t.Errorf("the member is there since 31 s: %v", got.err)
		} else {
			ok(got.lease)
		}
	})
}

// Drained, taken out of the file, undrained and named again while a request runs: it is in service.
func TestMemberUndrainedWhileLeavingComesBackInService(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 2}, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		_, held := hold(t, p, 2)
		p.Drain("a", true)
		w.apply(t, w.spec(upstream.Options{Slots: 2}, members("b")...))
		if _, found := p.Drain("a", false); !found {
			t.Error("not found")
		}
		w.apply(t, w.spec(upstream.Options{Slots: 2}, members("a", "b")...))
		after(time.Second)
		wantState(t, p, "a", upstream.StateUp)
		for _, l := range held {
			ok(l)
		}
	})
}
