package gateway_test

import (
	"testing"

	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// TestPanicLosesNoSlot: with the slot of every panic gone, a pool would soon serve
// nobody.
func TestPanicLosesNoSlot(t *testing.T) {
	t.Parallel()
	conf := before(app(t, answerOK))
	conf.Pool = "slots: 1"
	c := alone(t, gatewaytest.H1, conf)
	for range 3 {
		if got := c.Gateway.SendPanicking(t.Context(), "app"); got != "oops" {
			t.Fatalf("got %v", got)
		}
	}
	if got := c.Get("/"); got.Code != 200 {
		t.Errorf("got %d", got.Code)
	}
	untilPool(t, c.Gateway, "free", func(p stats.Pool) bool { return p.InFlight() == 0 })
}
