package upstream_test

import (
	"testing"
	"time"

	"headgate/upstream"
)

// TestOperatorsWishHoldsForAllKeys: for those too that come after it.
func TestOperatorsWishHoldsForAllKeys(t *testing.T) {
	inFamily(t, upstream.Options{Slots: 1}, func(t *testing.T, _ *world, f *family, s *registry) {
		s.set("a", members("m")...)
		s.set("b", members("n")...)
		if n, found := f.Drain("x", true); n != 0 || found {
			t.Errorf("drain of nobody: %d, %v", n, found)
		}
		held := acquire(t, f.Get("a"), nil)
		if n, found := f.Drain("m", true); n != 1 || !found {
			t.Errorf("drain: %d, %v", n, found)
		}
		ok(held)
		s.set("b", members("m")...)
		s.set("c", members("m")...)
		s.set("x", members("x")...)
		waiting := []<-chan result{
			ask(t.Context(), f.Get("a"), new(request)), ask(t.Context(), f.Get("b"), new(request)), ask(t.Context(), f.Get("c"), new(request)),
		}
		for _, w := range waiting {
			waits(t, w)
		}
		if visit(t, f.Get("x"), nil) != "x" {
			t.Error("x is drained, which was no member when that was asked for")
		}
		if _, found := f.Drain("m", false); !found {
			t.Error("a drained member is not found")
		}
		for _, w := range waiting {
			ok(now(t, w).lease)
		}
		if _, found := f.Drain("gone", false); found {
			t.Error("somebody was undrained who was not drained")
		}

		f.Pause(time.Now().Add(time.Minute))
		s.set("d", members("d")...)
		late := ask(t.Context(), f.Get("d"), new(request))
		waits(t, late)
		if until := f.Paused(); time.Until(until) != time.Minute {
			t.Errorf("paused until %v", until)
		}
		if !f.Resume() || f.Resume() || !f.Paused().IsZero() {
			t.Error("a pause ends once")
		}
		ok(now(t, late).lease)

		f.Pause(time.Now().Add(10 * time.Second))
		after(11 * time.Second)
		s.set("e", members("e")...)
		if visit(t, f.Get("e"), nil) != "e" || !f.Paused().IsZero() || f.Resume() {
			t.Error("a pause that is over holds")
		}
	})
}
