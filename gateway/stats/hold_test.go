package stats_test

import (
	"testing"

	"headgate/gateway/stats"
)

// TestHeldMemberIsForgottenByTheLast: what several count for stays until each of them
// has gone, and is counted in the pool then.
func TestHeldMemberIsForgottenByTheLast(t *testing.T) {
	var c stats.PoolCounters
	m, first := c.Hold("a:1")
	same, second := c.Hold("a:1")
	if m != same {
		t.Fatal("two holders have different counters")
	}
	m.Begin()
	m.Fail(stats.FailureNamed("connect"))
	first()
	first()
	if got := c.Snapshot("p").Members; len(got) != 1 || got[0].Requests != 1 {
		t.Errorf("with one holder left: %+v", got)
	}
	second()
	s := c.Snapshot("p")
	if len(s.Members) != 0 || s.Failures[stats.FailureNamed("connect")] != 1 {
		t.Errorf("with none left: %+v", s)
	}
	if again, release := c.Hold("a:1"); again == m {
		t.Error("a member that was forgotten goes on")
	} else {
		release()
	}
}
