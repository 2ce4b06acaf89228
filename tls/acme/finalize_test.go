package acme_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
)

// TestLateCertificateIsNotOrderedAgainAtOnce: an authority that is slow after an
// order was finalized makes the certificate all the same.
func TestLateCertificateIsNotOrderedAgainAtOnce(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, with("http-01"))
	w.obtain(t, i, "first.example.com")
	for kind, a := range map[string]*pebbletest.Answer{
		"order":       {Delay: time.Minute},
		"certificate": {Delay: time.Minute},
		"finalize":    {Lost: true},
	} {
		before := w.ca.Count("finalize")
		w.ca.Fault(problem(kind, a))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := fails(t, ctx, i, "late.example.com", "the certificate may be made, but did not arrive")
		cancel()
		waits(t, err)
		if a.Delay > 0 && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v, want one of the deadline", kind, err)
		}
		if w.ca.Count("finalize") == before {
			t.Errorf("%s: no order was finalized: the test shows nothing", kind)
		}
	}
	w.ca.Fault(problem("certificate", pebbletest.Problem(429, "rateLimited", "slowly", "7200")))
	if got := time.Until(refusal(t, fails(t, t.Context(), i, "late.example.com")).Wait); got < 110*time.Minute {
		t.Errorf("wait = %v, want the 2 h that the authority says", got)
	}
}

// TestNoAnswerBeforeFinalizing: no certificate was made, so nothing has to wait.
func TestNoAnswerBeforeFinalizing(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, with("http-01"))
	w.obtain(t, i, "first.example.com")
	for _, kind := range []string{"newOrder", "authz", "challenge"} {
		w.ca.Fault(problem(kind, &pebbletest.Answer{Lost: true}))
		noRefusal(t, fails(t, t.Context(), i, "lost.example.com", "EOF"))
	}
}

// TestHurriedPolls: an authority that asks for no time between two looks is not
// looked at thousands of times.
func TestHurriedPolls(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, with("http-01"))
	w.obtain(t, i, "first.example.com")
	var looks atomic.Int32
	w.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		switch r.Kind {
		case "authz":
			looks.Add(1)
			return &pebbletest.Answer{Header: http.Header{"Retry-After": {"0"}}}
		case "challenge": // Pebble does not hear that it may look
			return &pebbletest.Answer{
				Status: 200, Header: http.Header{"Content-Type": {"application/json"}},
				Body: `{"type": "http-01", "status": "pending", "url": "https://x/", "token": "abc"}`,
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	fails(t, ctx, i, "hurry.example.com", "deadline")
	if n := looks.Load(); n < 2 || n > 12 { // some at the start and the end, and for rejected nonces
		t.Errorf("%d looks in 3 s, want about one a second", n)
	}
}

func TestBoundPoll(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for said, want := range map[string]string{
		"": "", "0": "1", "1": "1", "30": "30", "3600": "60", "-1": "", "soon": "", "99999999999999999999": "",
		"Fri, 02 Jan 2026 03:04:15 GMT": "10", "Fri, 02 Jan 2026 03:04:00 GMT": "1",
	} {
		if got := hg.BoundPoll(said, now); got != want {
			t.Errorf("Retry-After %q = %q, want %q", said, got, want)
		}
	}
}

// TestRefusalIsPrintable: what an authority says moves no terminal's cursor, and
// has an end.
func TestRefusalIsPrintable(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	bad := "says \x1b]0;owned\x07\x1b[2J\u009b2J\u202etxt "
	for _, a := range []*pebbletest.Answer{
		pebbletest.Problem(400, "malformed", bad+strings.Repeat("long ", 1e4), ""),
		pebbletest.Problem(400, bad+strings.Repeat("long ", 1e4), "x", ""),
		pebbletest.Problem(500, "serverInternal", bad, ""),
		{Status: 502, Body: bad + strings.Repeat("long ", 1e4)},
	} {
		w.ca.Fault(problem("newOrder", a))
		err := fails(t, t.Context(), i, "x.example.com", "says ")
		if strings.ContainsAny(err.Error(), "\x1b\x07\u009b\u202e\n") || len(err.Error()) > 700 {
			t.Errorf("error of %d bytes, want a short and printable one: %.200q", len(err.Error()), err)
		}
	}
}
