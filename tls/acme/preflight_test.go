package acme_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

// look is an issuer that sees names as the authority does, and its ports.
func (w *stage) look(t *testing.T, change func(*certs.Authority), httpPort, tlsPort int) *hg.Issuer {
	t.Helper()
	i := w.issuer(t, change)
	i.View(&net.Resolver{PreferGo: true, Dial: w.ca.Dial}, strconv.Itoa(httpPort), strconv.Itoa(tlsPort))
	return i
}

// answerFor is a certificate for tls-alpn-01 that is of no order.
func answerFor(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	cert, err := acmez.TLSALPN01ChallengeCert(acme.Challenge{Identifier: acme.Identifier{Type: "dns", Value: name}, KeyAuthorization: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	both := w.look(t, nil, w.ca.HTTPPort, w.ca.TLSPort)
	for _, name := range []string{"shop.example.com", "127.0.0.1"} {
		for _, i := range []*hg.Issuer{both, w.look(t, with("http-01"), w.ca.HTTPPort, 1), w.look(t, with("tls-alpn-01"), 1, w.ca.TLSPort), w.look(t, nil, 1, w.ca.TLSPort)} {
			if err := i.Preflight(t.Context(), name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	ns := startNameServer(t, "127.0.0.1:0", "example.org.")
	ns.add(t, `text.example.org. 60 IN TXT "no address"`)
	i := w.issuer(t, nil)
	i.View(&net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, ns.addr)
	}}, "1", "1")
	for _, name := range []string{"nowhere.example.org", "text.example.org"} {
		says(t, i.Preflight(t.Context(), name), name+" has no A or AAAA record: add one that points to this machine, or use the challenge dns-01")
	}
	says(t, both.Preflight(t.Context(), "*.example.com"), "add dns-01 to challenges")
	w.ca.SetServFail("fail.example.com")
	says(t, both.Preflight(t.Context(), "fail.example.com"), "fail.example.com cannot be looked up", "name servers")

	dns := w.look(t, func(a *certs.Authority) {
		a.Options.Challenges = []certs.ChallengeOptions{{Type: "http-01"}, {Type: "dns-01", Command: []string{"/bin/true"}}}
	}, 1, 1)
	if err := dns.Preflight(t.Context(), "*.example.com"); err != nil {
		t.Errorf("a wildcard with dns-01: %v", err)
	}
	if left := w.storage.keys("challenges/"); len(left) != 0 {
		t.Errorf("answers that were not taken away: %v", left)
	}
}

func TestPreflightMeetsOthers(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	refused := 1 // nothing listens there
	silent := silence(t).Addr().(*net.TCPAddr).Port
	other := func(handler http.HandlerFunc) int {
		l := listen(t)
		server := &http.Server{Handler: handler}
		serve(t, server, func() error { return server.Serve(l) })
		return l.Addr().(*net.TCPAddr).Port
	}
	nginx := other(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Server", "nginx/1.22")
		rw.WriteHeader(404)
	})
	welcome := other(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("Welcome!")) })
	for _, tc := range []struct {
		port int
		says []string
	}{
		{refused, []string{"shop.example.com points to 127.0.0.1, this machine, where nothing listens on port 1: let port 1 lead here, or use the challenge dns-01"}},
		{nginx, []string{"where something else answers port " + strconv.Itoa(nginx) + " (404, nginx/1.22): free port"}},
		{welcome, []string{"something else answers", "(200 with another text)"}},
		{silent, []string{"does not answer in time", "firewall"}},
	} {
		began := time.Now()
		says(t, w.look(t, with("http-01"), tc.port, 1).Preflight(t.Context(), "shop.example.com"), tc.says...)
		if took := time.Since(began); took > 9*time.Second {
			t.Errorf("took %v, want 8 s at most", took)
		}
	}

	// A redirect is followed, as the authority does.
	away := other(func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://127.0.0.1:"+strconv.Itoa(w.ca.HTTPPort)+r.URL.Path, http.StatusFound)
	})
	if err := w.look(t, with("http-01"), away, 1).Preflight(t.Context(), "shop.example.com"); err != nil {
		t.Errorf("a redirect: %v", err)
	}

	l := listen(t)
	cert := answerFor(t, "shop.example.com")
	server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{certs.ALPNProto}}}
	serve(t, server, func() error { return server.ServeTLS(l, "", "") })
	port := l.Addr().(*net.TCPAddr).Port
	says(t, w.look(t, with("tls-alpn-01"), 1, port).Preflight(t.Context(), "shop.example.com"), "something else answers port "+strconv.Itoa(port)+" (another certificate)")
	says(t, w.look(t, with("tls-alpn-01"), 1, nginx).Preflight(t.Context(), "shop.example.com"), "something else answers", "TLS: ")
	says(t, w.look(t, with("tls-alpn-01"), 1, refused).Preflight(t.Context(), "shop.example.com"), "nothing listens on port 1")
}

// TestPreflightLeavesAnOrderAlone: the answer to a challenge that is under way is
// not replaced, nor taken away.
func TestPreflightLeavesAnOrderAlone(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	cert := answerFor(t, "shop.example.com")
	if err := w.challenges.PutCertificate(t.Context(), "shop.example.com", cert); err != nil {
		t.Fatal(err)
	}
	if err := w.look(t, with("tls-alpn-01"), 1, w.ca.TLSPort).Preflight(t.Context(), "shop.example.com"); err != nil {
		t.Error(err)
	}
	if got := w.challenges.Certificate(t.Context(), "shop.example.com"); got != cert {
		t.Error("the answer is another one now")
	}
}
