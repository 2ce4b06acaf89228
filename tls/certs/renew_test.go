package certs_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

func TestInternalCertificatesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, nil, certs.Options{}, "a.localhost", "*.b.localhost")
		run(t, s.RunPolling)
		synctest.Wait()
		if got := s.Snapshot(); len(got) != 1 || got[0].Names[0] != "a.localhost" || got[0].Source != "internal" {
			t.Fatalf("snapshot is %+v, want a.localhost made before anybody asks", got)
		}
		first := shown(t, s, "a.localhost")
		shown(t, s, "x.b.localhost")
		in := s.Snapshot()[0]
		time.Sleep(time.Until(in.RenewAt) - time.Minute)
		if shown(t, s, "a.localhost") != first {
			t.Error("renewed before its time")
		}
		time.Sleep(2 * time.Minute)
		if shown(t, s, "a.localhost") == first {
			t.Error("not renewed at two thirds of its life")
		}
		time.Sleep(2 * time.Hour)
		if got := s.Snapshot(); len(got) != 1 {
			t.Errorf("a certificate that nobody lists is renewed: %+v", got)
		}
	})
}

// TestExpiredIsReplacedAtOnce: a laptop wakes up after weeks, before Run does.
func TestExpiredIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serving(t, nil, certs.Options{}, "a.localhost")
		first := shown(t, s, "a.localhost")
		time.Sleep(30 * 24 * time.Hour)
		if shown(t, s, "a.localhost") == first {
			t.Error("an expired certificate is shown")
		}
	})
}

// The root of the authority expires while the gateway runs.
func TestIssuerFailureIsReportedAndRetriedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := certs.New(setup(nil, j.log()))
		ca := swap(t, s, certs.Options{}, "a.localhost").CA()
		time.Sleep(time.Until(ca.Root().NotAfter))
		get := func() error {
			_, err := s.Get(&tls.ClientHelloInfo{ServerName: "a.localhost"})
			return err
		}
		for range 5 {
			if err := get(); err == nil || !strings.Contains(err.Error(), "expired on") {
				t.Fatalf("got %v, want that the authority expired", err)
			}
		}
		const said = "no certificate\" host="
		if n := j.count(said); n != 1 {
			t.Errorf("the issuer was asked %d times at once, want a back-off", n)
		}
		if in := s.Snapshot()[0]; in.Err == "" {
			t.Errorf("snapshot is %+v, want the error", in)
		}
		run(t, s.RunPolling)
		time.Sleep(10 * time.Hour)
		if n := j.count(said); n < 40 || n > 80 {
			t.Errorf("the issuer was asked %d times in ten hours, want every ten minutes after the first ones", n)
		}
	})
}

// resumes makes two handshakes, sleep apart, and reports whether the second
// resumed the session of the first.
func resumes(t *testing.T, first, second, client *tls.Config, sleep time.Duration) bool {
	t.Helper()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	if cs, err := shake(t, first, client); err != nil || cs.DidResume {
		t.Fatalf("first handshake: resumed %v, %v", cs.DidResume, err)
	}
	time.Sleep(sleep)
	cs, err := shake(t, second, client)
	if err != nil {
		t.Fatal(err)
	}
	return cs.DidResume
}

func TestTicketKeysRotate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			// A certificate that outlives the test, and no issuer's.
			p := newAuthority(t).pair(t, t.TempDir(), names("a.example.com"))
			s := serving(t, nil, certs.Options{Certificates: []certs.Pair{p}})
			run(t, s.RunPolling)
			synctest.Wait()
			client := &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: version}
			// One server has a clone, as net/http and http3 have.
			one, two := s.TLSConfig(), s.TLSConfig().Clone()
			if !resumes(t, one, two, client, 0) {
				t.Error("no resumption between TCP and QUIC configs")
			}
			if !resumes(t, one, two, client, 13*time.Hour) {
				t.Error("no resumption after one rotation: keys are not kept")
			}
			if resumes(t, one, two, client, 37*time.Hour) {
				t.Error("resumption after three rotations: keys do not go away in clones")
			}
			if !resumes(t, two, one, client, time.Hour) {
				t.Error("no resumption with keys that were made after the clone")
			}
		})
	}
}

func TestTicketsSurviveReload(t *testing.T) {
	s := certs.New(setup(nil, nil))
	o := certs.Options{Storage: storage(t)}
	swap(t, s, o, "a.localhost")
	config := s.TLSConfig()
	client := &tls.Config{ServerName: "a.localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if _, err := shake(t, config, client); err != nil {
		t.Fatal(err)
	}
	o.MinVersion = "1.3"
	swap(t, s, o, "a.localhost")
	if cs, err := shake(t, config, client); err != nil || !cs.DidResume {
		t.Errorf("after a reload: resumed %v, %v", cs.DidResume, err)
	}
}
