package limit_test

import (
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"headgate/gateway/expression"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func rate(t testing.TB, text string) notation.Rate {
	t.Helper()
	r, err := notation.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rates(t testing.TB, s limit.Setup, rules ...limit.Rate) *limit.Rates {
	t.Helper()
	r, err := limit.NewRates(rules, "here", s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("192.0.2.2")
)

// noView is for rules without a key of their own.
func noView() expression.View { panic("nobody needs the view") }

// take counts how many of n requests of a client pass.
func take(t testing.TB, r *limit.Rates, client netip.Addr, n int) (passed int) {
	t.Helper()
	for range n {
		if r.Take(t.Context(), client, noView).Allowed {
			passed++
		}
	}
	return passed
}
