package certs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"headgate/tls/certs"
)

// absent is a no for the moment.
type absent struct{}

func (absent) Error() string  { return "nobody has announced it yet" }
func (absent) Fleeting() bool { return true }

// TestNoForTheMoment: a name that was asked for too early has its certificate as soon
// as it is allowed.
func TestNoForTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var there atomic.Bool
		r := newRemote(t)
		s := certs.New(r.setup(&j))
		p := plan(certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Ask: certs.AskSubscriptions}}, "")
		asks := 0
		p.Ask = func(context.Context, string) error {
			asks++
			if !there.Load() {
				return absent{}
			}
			return nil
		}
		set, err := s.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		s.Swap(set)
		run(t, s.RunPolling)
		for range 3 {
			refused(t, s, "shop.customer.net")
		}
		if n := s.Counts().Denied; asks != 3 || n != 3 {
			t.Errorf("%d questions, %d denied, want 3 of each", asks, n)
		}
		there.Store(true)
		if _, real := asked(t, s, r, "shop.customer.net"); !real {
			t.Error("a name that is allowed now has no certificate")
		}
		if r.count("") != 1 {
			t.Errorf("%d orders, want 1", r.count(""))
		}
	})
}
