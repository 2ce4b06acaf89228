package upstream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// One client whose cookie names a member that hangs does not turn the order of the others round.
func TestOneStickyWaiterIsNoOverload(t *testing.T) {
	o := upstream.Options{Slots: 1, Balance: upstream.Balance{Sticky: upstream.Sticky{Cookie: "m"}}}
	inWorld(t, o, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		_, held := hold(t, p, 2)
		var a, b *lease
		for _, l := range held {
			if l.Member().Address == "a" {
				a = l
			} else {
				b = l
			}
		}
		stuck := ask(t.Context(), p, &request{Client: from(1), Sticky: a.Cookie()})
		after(16 * time.Second)
		one := ask(t.Context(), p, &request{Client: from(2)})
		after(time.Millisecond)
		two := ask(t.Context(), p, &request{Client: from(3)})
		if p.Snapshot().Overloaded {
			t.Error("the pool is called overloaded, with one waiter that is bound to a hanging member")
		}
		ok(b)
		synctest.Wait()
		if len(one) == 0 {
			t.Error("the second that came was served first")
			ok(now(t, two).lease)
			ok(now(t, one).lease)
		} else {
			ok(now(t, one).lease)
			ok(now(t, two).lease)
		}
		ok(a)
		ok(now(t, stuck).lease)
	})
}
