package acme_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

func refusal(t *testing.T, err error) *certs.Refusal {
	t.Helper()
	var r *certs.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error %q is no refusal", err)
	}
	return r
}

func noRefusal(t *testing.T, err error) {
	t.Helper()
	var r *certs.Refusal
	if errors.As(err, &r) {
		t.Errorf("error %q is a refusal, want another error: the authority did not say no", err)
	}
}

// waits checks that err keeps the Store from ordering a duplicate.
func waits(t *testing.T, err error) {
	t.Helper()
	if got := time.Until(refusal(t, err).Wait); got < 20*time.Second || got > 15*time.Minute {
		t.Errorf("wait = %v, want 15 min: a certificate may have been made", got)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	w.obtain(t, i, "first.example.com")
	page := &pebbletest.Answer{Status: 503, Header: http.Header{"Retry-After": {"90"}, "Content-Type": {"text/html"}}, Body: strings.Repeat("<p>busy</p>", 1e5)}
	never := pebbletest.Problem(429, "rateLimited", "too many", "99999999")
	for _, tc := range []struct {
		what string
		a    *pebbletest.Answer
		wait time.Duration
		says []string
	}{
		{"seconds", pebbletest.Problem(429, "rateLimited", "too many certificates already issued", "3600"), time.Hour, []string{"a limit of the authority is reached", "too many certificates already issued", "wait"}},
		{"a date", pebbletest.Problem(429, "rateLimited", "x", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat)), 2 * time.Hour, []string{"limit"}},
		{"no problem document", page, 90 * time.Second, []string{"asks to come back later (503 Service Unavailable)"}},
		{"longer than any limit", never, 7 * 24 * time.Hour, nil},
	} {
		t.Run(tc.what, func(t *testing.T) {
			w.ca.Fault(problem("newOrder", tc.a))
			defer w.ca.Fault(nil)
			err := fails(t, t.Context(), i, "x.example.com", tc.says...)
			got := time.Until(refusal(t, err).Wait)
			if got < tc.wait-30*time.Second || got > tc.wait+time.Second {
				t.Errorf("wait = %v, want %v", got, tc.wait)
			}
		})
	}
	w.ca.Fault(problem("newOrder", pebbletest.Problem(429, "rateLimited", "x", "")))
	if r := refusal(t, fails(t, t.Context(), i, "x.example.com")); !r.Wait.IsZero() {
		t.Errorf("wait = %v, want none said", r.Wait)
	}
}

func TestAuthorityInTrouble(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	for _, kind := range []string{"newNonce", "newAccount", "newOrder", "authz", "challenge", "finalize", "certificate"} {
		w.ca.Fault(problem(kind, pebbletest.Problem(500, "serverInternal", "the database is gone", "")))
		words := []string{"is in trouble", "the database is gone"}
		if kind == "newNonce" { // a HEAD
			words = words[:1]
		}
		check := noRefusal
		if kind == "certificate" { // it is made, and counted
			check = waits
		}
		check(t, fails(t, t.Context(), i, "x.example.com", words...))
		w.ca.Fault(problem(kind, &pebbletest.Answer{Status: 502, Body: strings.Repeat("<html>bad gateway", 1000)}))
		err := fails(t, t.Context(), i, "x.example.com", "is in trouble (502 Bad Gateway)")
		check(t, err)
		if len(err.Error()) > 600 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
		w.ca.Fault(problem(kind, &pebbletest.Answer{Cut: true})) // it goes away in the middle
		if kind == "finalize" {                                  // nobody knows whether it has heard
			check = waits
		}
		check(t, fails(t, t.Context(), i, "x.example.com", "EOF"))
	}
	w.ca.Fault(nil)
	if left := w.storage.keys("challenges/"); len(left) != 0 {
		t.Errorf("answers that were not taken away: %v", left)
	}
	w.obtain(t, i, "x.example.com")
}

func TestAuthorityThatIsDown(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, nil)
	w.ca.Kill()
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "connection refused", "check directory"))
	began := time.Now()
	fails(t, t.Context(), i, "y.example.com", "connection refused")
	if took := time.Since(began); took > time.Second {
		t.Errorf("the second failure took %v, want no time: it is known to be down", took)
	}
	w.ca.Restart()
	i = w.issuer(t, nil)
	w.obtain(t, i, "x.example.com")
	w.ca.Kill()
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "connection refused"))
}

// TestSlowAuthority: the caller's time is kept, and the other authority, to fall
// back on, does not wait for the slow one.
func TestSlowAuthority(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	slow := silence(t)
	dead := w.issuer(t, func(a *certs.Authority) { a.Options.Directory = "https://" + slow.Addr().String() + "/dir" })
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := dead.Obtain(ctx, certs.Order{Names: []string{"slow.example.com"}, Key: newKey(t)})
		done <- err
	}()
	w.obtain(t, w.issuer(t, nil), "fast.example.com")
	err := <-done
	says(t, err, "HTTPS_PROXY")
	noRefusal(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one of the deadline", err)
	}

	i := w.issuer(t, nil)
	w.obtain(t, i, "y.example.com")
	for _, kind := range []string{"newOrder", "challenge", "finalize"} {
		w.ca.Fault(problem(kind, &pebbletest.Answer{Delay: time.Minute}))
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		began := time.Now()
		fails(t, ctx, i, "y.example.com", "deadline")
		cancel()
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("%s: took %v, want the 2.5 s it was given", kind, took)
		}
	}
	if left := w.storage.keys("challenges/"); len(left) != 0 {
		t.Errorf("answers that were not taken away: %v", left)
	}
}

func TestWrongRoots(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	other := pebbletest.Start(t, pebbletest.Options{})
	i := w.issuer(t, func(a *certs.Authority) { a.Options.Roots = other.RootsFile })
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "unknown authority", "put the root of the authority's own https into "+other.RootsFile))
	i = w.issuer(t, func(a *certs.Authority) { a.Options.Roots = "" })
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "set roots to a PEM file"))
}

func TestNoDirectory(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	for text, want := range map[string]string{
		"<html>": "not the directory of an ACME authority",
		"{}":     "newNonce, newAccount or newOrder is missing",
	} {
		w.ca.Fault(problem("directory", &pebbletest.Answer{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: text}))
		noRefusal(t, fails(t, t.Context(), w.issuer(t, nil), "x.example.com", want))
	}
	w.ca.Fault(problem("directory", &pebbletest.Answer{Status: 200, Body: strings.Repeat(" ", 2<<20) + "{}"}))
	fails(t, t.Context(), w.issuer(t, nil), "x.example.com", "larger than 1 MiB")
	i := w.issuer(t, func(a *certs.Authority) { a.Options.Directory = "https://nowhere.invalid/dir" })
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "nowhere.invalid"))
}

// TestRefusals: what the authority says, and the cure.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{Block: []string{"blocked.example"}})
	i := w.issuer(t, with("http-01"))
	fault := func(kind, problemType, detail string, status int) {
		w.ca.Fault(problem(kind, pebbletest.Problem(status, problemType, detail, "")))
	}
	refusal(t, fails(t, t.Context(), i, "www.blocked.example", "does not issue for this name", "take it out of hosts"))

	w.ca.SetServFail("servfail.example.com")
	refusal(t, fails(t, t.Context(), i, "servfail.example.com", "servfail.example.com: the authority"))
	w.ca.SetA("far.example.com", "127.0.0.77") // nobody listens there
	refusal(t, fails(t, t.Context(), i, "far.example.com", "cannot connect (http-01)", "127.0.0.77", "let port 80 of the name's address lead here"))

	for _, tc := range []struct {
		kind, problem, detail string
		status                int
		says                  string
	}{
		{"newOrder", "unsupportedIdentifier", "no addresses", 400, "this kind of name: no addresses: use another issuer"},
		{"newOrder", "userActionRequired", "new terms", 403, "wants something of you: new terms"},
		{"newOrder", "unauthorized", "account is deactivated", 403, "from the storage to have another account made"},
		{"finalize", "badCSR", "key too small.", 400, "does not accept the key or the names: key too small: check keys"},
		{"finalize", "caa", "CAA record prevents issuance", 403, `add a CAA record 0 issue "pebble.letsencrypt.org"`},
		{"newOrder", "somethingNew", "who knows", 400, "the authority refuses (somethingNew): who knows"},
	} {
		fault(tc.kind, tc.problem, tc.detail, tc.status)
		refusal(t, fails(t, t.Context(), i, "x.example.com", tc.says))
	}
	w.ca.Fault(problem("newAccount", pebbletest.Problem(400, "invalidContact", "no such domain", "")))
	refusal(t, fails(t, t.Context(), w.issuer(t, func(a *certs.Authority) { a.Storage = newMemory() }), "x.example.com",
		"account: ", "does not accept the e-mail address: no such domain: correct email"))
}

// TestSomebodyElseAnswers: an unauthorized answer names the cure.
func TestSomebodyElseAnswers(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, func(a *certs.Authority) {
		with("http-01")(a)
		a.Challenges = certs.NewChallenges(nil) // the server of w answers 404
	})
	refusal(t, fails(t, t.Context(), i, "x.example.com", "x.example.com: the authority does not find the answer (http-01)",
		"let nothing in front answer /.well-known/acme-challenge/, or use the challenge dns-01"))
}

// TestClockThatIsWrong: the authority's own certificate seems to be of another
// time; the message says which time this machine has.
func TestClockThatIsWrong(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	expired, root := expiredServer(t)
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, root, 0o600); err != nil {
		t.Fatal(err)
	}
	i := w.issuer(t, func(a *certs.Authority) { a.Options.Directory, a.Options.Roots = "https://"+expired+"/dir", file })
	noRefusal(t, fails(t, t.Context(), i, "x.example.com", "expired or is not yet valid", "set this machine's clock, which says "+time.Now().UTC().Format("2006-01-02")))
}

// expiredServer runs an https server whose certificate is of last year, and
// returns its root.
func expiredServer(t *testing.T) (addr string, root []byte) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	server := &http.Server{
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
	}
	serve(t, server, func() error { return server.ServeTLS(l, "", "") })
	return l.Addr().String(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
