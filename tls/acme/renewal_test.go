package acme_test

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// within checks that at lies between two times, a second of which may have
// passed.
func within(t *testing.T, at, start, end time.Time) {
	t.Helper()
	if at.Before(start.Add(-time.Second)) || at.After(end.Add(time.Second)) {
		t.Errorf("renew at %v, want between %v and %v", at, start, end)
	}
}

func TestRenewAt(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	_, leaf := w.obtain(t, w.issuer(t, nil), "ari.example.com")

	start, end := time.Now().Add(20*time.Hour), time.Now().Add(40*time.Hour)
	w.ca.SetRenewalInfo(leaf, start, end)
	i := w.issuer(t, nil)
	at, err := i.RenewAt(t.Context(), leaf)
	if err != nil {
		t.Fatal(err)
	}
	within(t, at, start, end)
	asked := w.ca.Count("renewalInfo")
	for range 5 {
		if again, err := i.RenewAt(t.Context(), leaf); err != nil || !again.Equal(at) {
			t.Errorf("again: %v, %v, want %v as before", again, err, at)
		}
	}
	if n := w.ca.Count("renewalInfo"); n != asked {
		t.Errorf("%d more questions within the time of Retry-After, want none", n-asked)
	}

	w.ca.SetRenewalInfo(leaf, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	if at, err := w.issuer(t, nil).RenewAt(t.Context(), leaf); err != nil || at.After(time.Now()) {
		t.Errorf("a window in the past: %v, %v, want now", at, err)
	}
	w.ca.SetRenewalInfo(leaf, leaf.NotAfter.Add(time.Hour), leaf.NotAfter.Add(2*time.Hour))
	if at, err := w.issuer(t, nil).RenewAt(t.Context(), leaf); err != nil || !at.Before(leaf.NotAfter.AddDate(0, 0, -8)) {
		t.Errorf("a window after the end: %v, %v, want a tenth of the life before", at, err)
	}
}

func TestRenewAtExplains(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	_, leaf := w.obtain(t, i, "why.example.com")
	w.ca.SetRenewalAnswer(leaf, `{"suggestedWindow": {"start": "2026-01-02T03:04:05Z", "end": "2026-01-03T03:04:05Z"}, "explanationURL": "https://ca.example.com/why"}`)
	at, err := i.RenewAt(t.Context(), leaf)
	if err != nil {
		t.Fatal(err)
	}
	within(t, at, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC))
	if !w.journal.has(slog.LevelInfo, "https://ca.example.com/why") {
		t.Error("the explanation is not logged")
	}
}

// TestRenewAtByAge: an authority that does not say, or says nonsense.
func TestRenewAtByAge(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	_, leaf := w.obtain(t, w.issuer(t, nil), "age.example.com")
	twoThirds := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
	for what, answer := range map[string]string{
		"no JSON":          "<html>",
		"no window":        "{}",
		"ends first":       `{"suggestedWindow": {"start": "2026-01-03T03:04:05Z", "end": "2026-01-02T03:04:05Z"}}`,
		"without a length": `{"suggestedWindow": {"start": "2026-01-03T03:04:05Z", "end": "2026-01-03T03:04:05Z"}}`,
	} {
		w.ca.SetRenewalAnswer(leaf, answer)
		i := w.issuer(t, nil)
		asked := w.ca.Count("renewalInfo")
		for range 3 {
			at, err := i.RenewAt(t.Context(), leaf)
			if err == nil {
				t.Errorf("%s: no error", what)
			}
			within(t, at, twoThirds, twoThirds)
		}
		if n := w.ca.Count("renewalInfo") - asked; n != 1 {
			t.Errorf("%s: %d questions, want 1", what, n)
		}
	}
	short := &x509.Certificate{NotBefore: leaf.NotBefore, NotAfter: leaf.NotBefore.Add(6 * 24 * time.Hour), SerialNumber: big.NewInt(1 << 40), AuthorityKeyId: []byte("of nobody")}
	at, err := w.issuer(t, nil).RenewAt(t.Context(), short)
	if err != nil {
		t.Errorf("a short life: %v, want no error: its half is known", err)
	}
	within(t, at, short.NotBefore.Add(3*24*time.Hour), short.NotBefore.Add(3*24*time.Hour))
}

func TestRenewAtWithoutRenewalInformation(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	_, leaf := w.obtain(t, w.issuer(t, nil), "no.example.com")
	w.ca.Fault(problem("directory", &pebbletest.Answer{
		Status: 200, Header: http.Header{"Content-Type": {"application/json"}},
		Body: `{"newNonce": "https://x/n", "newAccount": "https://x/a", "newOrder": "https://x/o"}`,
	}))
	i := w.issuer(t, nil)
	for range 3 {
		if _, err := i.RenewAt(t.Context(), leaf); err == nil {
			t.Error("no error from an authority that gives no renewal information")
		}
	}
}

// TestRenewAtAuthorityIsDown: it is found out once.
func TestRenewAtAuthorityIsDown(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	_, leaf := w.obtain(t, i, "down.example.com")
	w.ca.Kill()
	began := time.Now()
	for n := range 200 {
		other := *leaf
		other.SerialNumber = big.NewInt(1<<40 + int64(n))
		if _, err := i.RenewAt(t.Context(), &other); err == nil {
			t.Fatal("no error from an authority that is down")
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("200 certificates took %v, want little: it is known to be down", took)
	}
}

// TestManyRenewals: few questions at once, nobody waits for another.
func TestManyRenewals(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	_, leaf := w.obtain(t, i, "many.example.com")
	var asked, busy, most atomic.Int32
	w.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != "renewalInfo" {
			return nil
		}
		asked.Add(1)
		if n := busy.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer busy.Add(-1)
		return &pebbletest.Answer{Delay: soon / 10, Status: 404}
	})
	var group sync.WaitGroup
	for n := range 500 {
		group.Go(func() {
			other := *leaf
			other.SerialNumber = big.NewInt(1<<40 + int64(n))
			began := time.Now()
			at, _ := i.RenewAt(t.Context(), &other)
			if at.IsZero() || time.Since(began) > 50*time.Second {
				t.Errorf("%v after %v", at, time.Since(began))
			}
		})
	}
	group.Wait()
	// A mass revocation is heard of for every one of them.
	if n := asked.Load(); n != 500 {
		t.Errorf("%d questions for 500 certificates", n)
	}
	if n := most.Load(); n > 8 {
		t.Errorf("%d questions at once", n)
	}
}

func TestRenewAtEndsInTime(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	_, leaf := w.obtain(t, i, "slow.example.com")
	w.ca.Fault(problem("renewalInfo", &pebbletest.Answer{Delay: time.Minute}))
	began := time.Now()
	if _, err := i.RenewAt(t.Context(), leaf); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one of the deadline", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v, want 10 s at most", took)
	}
	began = time.Now()
	for n := range 50 { // they do not wait for the same each
		other := *leaf
		other.SerialNumber = big.NewInt(1<<40 + int64(n))
		if _, err := i.RenewAt(t.Context(), &other); err == nil {
			t.Error("no error from an authority that does not answer")
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("50 more certificates took %v, want no time", took)
	}
}
