package certs_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"headgate/tls/certs"
)

// responder answers OCSP requests for the certificates of a, as answer says.
type responder struct {
	t      *testing.T
	a      *authority
	signer crypto.Signer     // a's key if nil
	cert   *x509.Certificate // the signer's, if it is not a's intermediate
	asked  atomic.Int32
	answer func() ocsp.Response
	status int         // of every answer if not 0
	down   atomic.Bool // every answer is a 503
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.asked.Add(1)
	if r.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	asked, err := ocsp.ParseRequest(body)
	if err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/ocsp-request" {
		r.t.Errorf("request %s %s: %v", req.Method, req.Header, err)
		return
	}
	template := r.answer()
	template.SerialNumber, template.IssuerHash, template.Certificate = asked.SerialNumber, crypto.SHA1, r.cert
	var key crypto.Signer = r.a.key
	signedBy := r.a.inter
	if r.signer != nil {
		key = r.signer
	}
	if r.cert != nil {
		signedBy = r.cert
	}
	der, err := ocsp.CreateResponse(r.a.inter, signedBy, template, key)
	if err != nil {
		r.t.Error(err)
	}
	_, _ = w.Write(der)
}

// RoundTrip answers without a network, so that it works in a synctest bubble.
func (r *responder) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return rec.Result(), nil
}

func good(validity time.Duration) func() ocsp.Response {
	return func() ocsp.Response {
		return ocsp.Response{Status: ocsp.Good, ThisUpdate: time.Now(), NextUpdate: time.Now().Add(validity)}
	}
}

func staple(t *testing.T, s *certs.Store) []byte {
	t.Helper()
	cs, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return cs.OCSPResponse
}

func TestStapleIsSeenByClient(t *testing.T) {
	a := newAuthority(t)
	r := &responder{t: t, a: a, answer: good(time.Hour)}
	web := httptest.NewServer(r)
	defer web.Close()
	p := a.pair(t, t.TempDir(), order{names: []string{"a.example.com"}, responder: web.URL})
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{p}})
	if got := s.Snapshot()[0].OCSP; got != certs.OCSPPending {
		t.Errorf("before Run: %q", got)
	}
	run(t, s.Run)
	eventually(t, "the staple is there", func() bool { return s.Snapshot()[0].OCSP == certs.OCSPGood })
	resp, err := ocsp.ParseResponse(staple(t, s), a.inter)
	if err != nil || resp.Status != ocsp.Good {
		t.Fatalf("client sees %v, %v", resp, err)
	}
	// A reload with the same file keeps it.
	swap(t, s, certs.Options{Certificates: []certs.Pair{p}})
	if staple(t, s) == nil || r.asked.Load() != 1 {
		t.Errorf("the staple is gone after a reload, or was asked for again (%d)", r.asked.Load())
	}
}

func TestStapleIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		r := &responder{t: t, a: a, answer: good(4 * 24 * time.Hour)}
		p := a.pair(t, t.TempDir(), order{names: []string{"a.example.com"}, responder: "http://ocsp.test"})
		var j journal
		s := certs.New(setup(r, j.log()))
		swap(t, s, certs.Options{Certificates: []certs.Pair{p}})
		run(t, s.RunPolling)
		synctest.Wait()
		first := staple(t, s)
		if first == nil || r.asked.Load() != 1 {
			t.Fatalf("staple %v, asked %d times", first, r.asked.Load())
		}
		time.Sleep(47 * time.Hour)
		if r.asked.Load() != 1 {
			t.Error("asked again before half of the validity")
		}
		r.down.Store(true)
		time.Sleep(2 * time.Hour)
		if n := r.asked.Load(); n < 4 || n > 9 {
			t.Errorf("asked %d times in an hour of failures, want a back-off", n)
		}
		if !bytes.Equal(staple(t, s), first) {
			t.Error("the old staple is gone though it is valid")
		}
		time.Sleep(48 * time.Hour)
		if staple(t, s) != nil {
			t.Error("an expired staple is served")
		}
		if in := s.Snapshot()[0]; in.OCSP != certs.OCSPPending || in.Err == "" {
			t.Errorf("snapshot says %q, %q", in.OCSP, in.Err)
		}
		r.down.Store(false)
		time.Sleep(time.Hour + time.Minute)
		if staple(t, s) == nil {
			t.Error("no staple after the responder came back")
		}
	})
}

func TestStapleRefusesBadAnswers(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	delegate := func(usage x509.ExtKeyUsage) (*x509.Certificate, crypto.Signer) {
		key := ecKey(t)
		return create(t, &x509.Certificate{
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{usage},
		}, a.inter, key.Public(), a.key), key
	}
	allowed, allowedKey := delegate(x509.ExtKeyUsageOCSPSigning)
	web, webKey := delegate(x509.ExtKeyUsageServerAuth)
	at := func(status int, from, to time.Duration) func() ocsp.Response {
		return func() ocsp.Response {
			return ocsp.Response{Status: status, ThisUpdate: time.Now().Add(from), NextUpdate: time.Now().Add(to), RevokedAt: time.Now()}
		}
	}
	for name, tt := range map[string]struct {
		r     *responder
		state string
	}{
		"delegated":        {&responder{answer: good(time.Hour), cert: allowed, signer: allowedKey}, certs.OCSPGood},
		"not a delegate":   {&responder{answer: good(time.Hour), cert: web, signer: webKey}, certs.OCSPPending},
		"another's key":    {&responder{answer: good(time.Hour), signer: other.key}, certs.OCSPPending},
		"expired":          {&responder{answer: at(ocsp.Good, -2*time.Hour, -time.Minute)}, certs.OCSPPending},
		"from the future":  {&responder{answer: at(ocsp.Good, 2*time.Hour, 3*time.Hour)}, certs.OCSPPending},
		"unknown":          {&responder{answer: at(ocsp.Unknown, 0, time.Hour)}, certs.OCSPPending},
		"revoked":          {&responder{answer: at(ocsp.Revoked, 0, time.Hour)}, certs.OCSPRevoked},
		"error on the web": {&responder{status: http.StatusNotFound}, certs.OCSPPending},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.r.t, tt.r.a = t, a
				p := a.pair(t, t.TempDir(), order{names: []string{"a.example.com"}, responder: "http://ocsp.test"})
				s := certs.New(setup(tt.r, nil))
				swap(t, s, certs.Options{Certificates: []certs.Pair{p}})
				run(t, s.RunPolling)
				synctest.Wait()
				if got := s.Snapshot()[0].OCSP; got != tt.state {
					t.Errorf("state is %q, want %q (%s)", got, tt.state, s.Snapshot()[0].Err)
				}
				if got := staple(t, s) != nil; got != (tt.state == certs.OCSPGood) {
					t.Errorf("stapled: %v", got)
				}
			})
		})
	}
}

func TestStapleNeedsIssuerAndResponder(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	leaf, key := a.leaf(t, order{names: []string{"a.example.com"}, responder: "http://ocsp.test"})
	alone := certs.Pair{Cert: filepath.Join(dir, "alone.crt"), Key: filepath.Join(dir, "alone.key")}
	write(t, alone.Cert, certPEM(leaf))
	write(t, alone.Key, keyPEM(t, key))
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{alone, a.pair(t, filepath.Join(dir, "x"), names("b.example.com"))}})
	for _, in := range s.Snapshot() {
		if in.OCSP != certs.OCSPNone {
			t.Errorf("%s: %q", in.File, in.OCSP)
		}
	}
}
