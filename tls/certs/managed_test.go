package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// remoteStore is a Store whose issuer is r, serving o for hosts and running.
func remoteStore(t *testing.T, r *remote, j *journal, o certs.Options, hosts ...string) *certs.Store {
	t.Helper()
	return runningStore(t, r.setup(j), o, hosts...)
}

func runningStore(t *testing.T, set certs.Setup, o certs.Options, hosts ...string) *certs.Store {
	t.Helper()
	s := certs.New(set)
	swap(t, s, o, hosts...)
	run(t, s.RunPolling)
	return s
}

// asked makes a handshake and returns the serial of what it was shown, and
// whether that is of r.
func asked(t *testing.T, s *certs.Store, r *remote, name string) (serial string, real bool) {
	t.Helper()
	c, err := s.Get(&tls.ClientHelloInfo{ServerName: name})
	if err != nil || c == nil {
		t.Fatalf("certificate for %s: %v, %v", name, c, err)
	}
	leaf := c.Leaf
	if err := leaf.VerifyHostname(name); err != nil {
		t.Errorf("certificate for %s: %v", name, err)
	}
	return leaf.SerialNumber.String(), leaf.CheckSignatureFrom(r.sign.inter) == nil
}

func TestPublicNamesHaveCertificatesBeforeTheFirstVisitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 3 * time.Second
		o := certs.Options{Storage: storage(t)}
		s := remoteStore(t, r, &j, o, "a.example.com", "b.example.com", "c.localhost")
		time.Sleep(10 * time.Second)
		if n := r.count(""); n != 2 {
			t.Fatalf("%d orders, want one for each public name", n)
		}
		first, real := asked(t, s, r, "a.example.com")
		if !real {
			t.Error("not the authority's certificate")
		}
		info := s.Snapshot()
		if len(info) != 3 || info[0].Names[0] != "a.example.com" || info[0].Source != "acme" || info[0].Challenge != "http-01" || info[0].RenewAt.IsZero() || info[2].Source != "internal" {
			t.Errorf("snapshot is %+v", info)
		}

		// A restart: another Store with the same storage.
		again := remoteStore(t, r, &j, o, "a.example.com", "b.example.com")
		time.Sleep(time.Second)
		if serial, _ := asked(t, again, r, "a.example.com"); serial != first {
			t.Error("another certificate after a restart")
		}
		if n := r.count(""); n != 2 {
			t.Errorf("%d orders after a restart, want 2", n)
		}
	})
}

func TestRenewalByAgeAndByTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.life = 9 * time.Hour // the storage is looked at every other second
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		time.Sleep(350 * time.Minute)
		if serial, _ := asked(t, s, r, "a.example.com"); serial != first {
			t.Error("renewed before two thirds of its life")
		}
		time.Sleep(20 * time.Minute)
		second, _ := asked(t, s, r, "a.example.com")
		if second == first {
			t.Error("not renewed at two thirds of its life")
		}
		r.mu.Lock()
		if last := r.orders[len(r.orders)-1]; last.Replaces == nil || last.Replaces.SerialNumber.String() != first {
			t.Errorf("the renewal replaces %v, want the first certificate", last.Replaces)
		}
		r.mu.Unlock()

		// The authority wants it back much earlier, as after a revocation.
		urgent := time.Now().Add(150 * time.Minute)
		r.do(func() {
			r.renewAt = func(leaf *x509.Certificate) (time.Time, error) {
				if leaf.SerialNumber.String() == second {
					return urgent, nil
				}
				return leaf.NotAfter.Add(-time.Hour), nil
			}
		})
		time.Sleep(2 * time.Hour)
		if serial, _ := asked(t, s, r, "a.example.com"); serial != second {
			t.Error("renewed before the authority wants it")
		}
		time.Sleep(90 * time.Minute)
		if serial, _ := asked(t, s, r, "a.example.com"); serial == second {
			t.Error("not renewed when the authority wants it")
		}
	})
}

func TestAuthorityThatIsDownIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.refuse = func(int, certs.Order) error { return errors.New("dial tcp: connection refused") }
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(time.Hour)
		if n := r.count(""); n < 8 || n > 16 {
			t.Errorf("%d orders in the first hour of an outage, want about a dozen", n)
		}
		if _, real := asked(t, s, r, "a.example.com"); real {
			t.Error("a certificate of nobody")
		}
		in := s.Snapshot()[0]
		if !strings.Contains(in.Err, "connection refused") || in.RetryAt.IsZero() {
			t.Errorf("snapshot is %+v", in)
		}
		r.do(func() { r.refuse = nil })
		time.Sleep(12 * time.Minute)
		if _, real := asked(t, s, r, "a.example.com"); !real {
			t.Error("no recovery")
		}
		if in := s.Snapshot()[0]; in.Err != "" {
			t.Errorf("after recovery: %+v", in)
		}
	})
}

func TestRefusalsWaitLongerAndAsLongAsTheAuthoritySays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		begin := time.Now()
		r.refuse = func(n int, _ certs.Order) error {
			if n == 1 {
				return &certs.Refusal{Err: errors.New("too many certificates"), Wait: begin.Add(5 * time.Hour)}
			}
			return &certs.Refusal{Err: errors.New("the name does not point here")}
		}
		remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(290 * time.Minute)
		if n := r.count(""); n != 1 {
			t.Errorf("%d orders before the authority wants another", n)
		}
		time.Sleep(70 * time.Minute)
		if n := r.count(""); n < 2 || n > 6 {
			t.Errorf("%d orders, want at most five failures in an hour", n)
		}
	})
}

// Authorities count failures of a name, whoever makes them: restarts in a loop and
// many gateways must not add to them without end.
func TestRefusalsAreSharedAndOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.refuse = func(int, certs.Order) error {
			return &certs.Refusal{Err: errors.New("the name does not point here")}
		}
		o := certs.Options{Storage: storage(t)}
		for range 10 { // a crash loop, two gateways at a time
			one, two := remoteStore(t, r, &j, o, "a.example.com"), remoteStore(t, r, &j, o, "a.example.com")
			time.Sleep(5 * time.Second)
			if in := append(one.Snapshot(), two.Snapshot()...); in[0].Err == "" || in[1].Err == "" || in[0].RetryAt.IsZero() {
				t.Errorf("snapshots are %+v", in)
			}
		}
		if n := r.count(""); n < 2 || n > 6 {
			t.Errorf("%d orders of ten restarts, want a few", n)
		}
		s := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(time.Second)
		before := r.count("")
		r.do(func() { r.refuse = nil })
		if err := s.Renew(t.Context(), "a.example.com"); err != nil || r.count("") != before+1 {
			t.Errorf("by hand: %v, %d orders; want one at once", err, r.count("")-before)
		}
		fresh := certs.New(r.setup(&j))
		swap(t, fresh, o, "a.example.com")
		if _, real := asked(t, fresh, r, "a.example.com"); !real || r.count("") != before+1 {
			t.Error("a success is not remembered")
		}
	})
}

func TestASecondAuthorityTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		first, second := newRemote(t), newRemote(t)
		first.refuse = func(int, certs.Order) error { return errors.New("503") }
		set := first.setup(&j)
		set.ACME = func(a certs.Authority) (certs.Issuer, error) {
			if a.Name == "other" {
				return &client{second, a}, nil
			}
			return &client{first, a}, nil
		}
		o := certs.Options{Issuers: []certs.NamedACME{{Name: "other", ACMEOptions: certs.ACMEOptions{Directory: "https://ca.example.net/dir"}}}}
		s := runningStore(t, set, o, "a.example.com")
		time.Sleep(time.Second)
		if _, real := asked(t, s, second, "a.example.com"); !real {
			t.Error("not the second authority's certificate")
		}
		if in := s.Snapshot()[0]; in.Source != "other" {
			t.Errorf("source is %q, want other", in.Source)
		}
		if first.count("") != 1 {
			t.Errorf("the first authority was asked %d times", first.count(""))
		}
	})
}

// A visitor who comes too early waits, then sees an interim certificate and its
// reason; one who comes during a back-off does not wait.
func TestInterimCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 2 * time.Second
		r.refuse = func(n int, _ certs.Order) error {
			if n > 1 {
				return errors.New("no")
			}
			return nil
		}
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		begin := time.Now()
		if _, real := asked(t, s, r, "a.example.com"); !real || time.Since(begin) != 2*time.Second {
			t.Errorf("an early visitor: real %v after %v, want to wait for the order", real, time.Since(begin))
		}
		r.do(func() { r.takes = time.Minute })
		swap(t, s, certs.Options{}, "b.example.com")
		begin = time.Now()
		if _, real := asked(t, s, r, "b.example.com"); real || time.Since(begin) > 5*time.Second {
			t.Errorf("a slow authority: real %v after %v, want an interim certificate after 5s", real, time.Since(begin))
		}
		time.Sleep(time.Minute)
		begin = time.Now()
		c, err := s.Get(&tls.ClientHelloInfo{ServerName: "b.example.com"})
		if err != nil || time.Since(begin) != 0 {
			t.Fatalf("during a back-off: %v after %v", err, time.Since(begin))
		}
		if s := c.Leaf.Subject.String(); !strings.Contains(s, "headgate certs") {
			t.Errorf("subject is %s, want where to look", s)
		}
	})
}

func TestStorageThatCannotBeWrittenPlacesNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		f := withFaults(&set)
		f.set(full)
		s := runningStore(t, set, certs.Options{}, "a.example.com")
		time.Sleep(10 * time.Minute)
		if n := r.count(""); n != 0 {
			t.Errorf("%d orders whose certificates could not be kept", n)
		}
		if in := s.Snapshot()[0]; !strings.Contains(in.Err, "storage: ") {
			t.Errorf("snapshot is %+v", in)
		}
		f.set(nil)
		time.Sleep(20 * time.Minute)
		if _, real := asked(t, s, r, "a.example.com"); !real || r.count("") != 1 {
			t.Errorf("after the disk has space: real %v, %d orders", real, r.count(""))
		}
	})
}

// The disk fills up between the order and the certificate.
func TestCertificateThatCannotBeStoredIsServedAndStoredLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		f := withFaults(&set)
		f.set(func(op, key string) error {
			if op == "store" && strings.HasSuffix(key, ".pem") {
				return errors.New("no space left on device")
			}
			return nil
		})
		o := certs.Options{Storage: storage(t)}
		s := runningStore(t, set, o, "a.example.com")
		time.Sleep(time.Minute)
		first, real := asked(t, s, r, "a.example.com")
		if !real || j.count("could not be stored") == 0 {
			t.Errorf("real %v; the log says it %d times", real, j.count("could not be stored"))
		}
		f.set(nil)
		time.Sleep(2 * time.Minute)
		again := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(time.Second)
		if serial, _ := asked(t, again, r, "a.example.com"); serial != first || r.count("") != 1 {
			t.Errorf("after a restart: %s, want %s; %d orders", serial, first, r.count(""))
		}
	})
}

func TestBrokenStoredCertificateIsOrderedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t)
		dir := filepath.Join(t.TempDir(), "state")
		o := certs.Options{Storage: "file:" + dir}
		remoteStore(t, r, new(journal), o, "a.example.com")
		time.Sleep(time.Second)
		file := filepath.Join(dir, "certificates", "a.example.com", "p256.pem")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, broken := range [][]byte{nil, data[:len(data)/2], []byte("nonsense")} {
			var j journal // of this gateway alone: the others run on, and see the file too
			write(t, file, broken)
			s := remoteStore(t, r, &j, o, "a.example.com")
			time.Sleep(time.Second)
			if _, real := asked(t, s, r, "a.example.com"); !real || r.count("") != i+2 || j.count("stored certificate is broken") != 1 {
				t.Errorf("%d bytes: real %v, %d orders, said %d times", len(broken), real, r.count(""), j.count("stored certificate is broken"))
			}
		}
	})
}

func TestExpiredCertificateIsShownRatherThanNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.life = time.Hour
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		r.do(func() { r.refuse = func(int, certs.Order) error { return errors.New("the authority is gone") } })
		time.Sleep(2 * time.Hour)
		begin := time.Now()
		if serial, _ := asked(t, s, r, "a.example.com"); serial != first || time.Since(begin) != 0 {
			t.Errorf("shown %s after %v, want the expired %s at once", serial, time.Since(begin), first)
		}
		if j.count("an expired certificate is shown") != 1 {
			t.Error("the log does not say so")
		}
	})
}

// A clock that is a year ahead makes every new certificate look expired.
func TestClockThatIsWrongDoesNotOrderAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.behind = 365 * 24 * time.Hour
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(6 * time.Hour)
		if n := r.count(""); n > 8 {
			t.Errorf("%d orders in six hours", n)
		}
		if j.count("set the clock") == 0 {
			t.Error("the log does not name the clock")
		}
		if in := s.Snapshot(); len(in) != 1 {
			t.Errorf("snapshot is %+v", in)
		}
	})
}

func TestTwoGatewaysPlaceOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 20 * time.Second
		o := certs.Options{Storage: storage(t)}
		var hosts []string
		for i := range 20 {
			hosts = append(hosts, fmt.Sprintf("s%d.example.com", i))
		}
		one, two := remoteStore(t, r, &j, o, hosts...), remoteStore(t, r, &j, o, hosts...)
		time.Sleep(3 * time.Minute)
		for _, h := range hosts {
			a, real := asked(t, one, r, h)
			b, _ := asked(t, two, r, h)
			if !real || a != b || r.count(h) != 1 {
				t.Errorf("%s: real %v, the same %v, %d orders", h, real, a == b, r.count(h))
			}
		}

		// One of them renews by hand: the other takes it over within seconds.
		before, _ := asked(t, two, r, hosts[0])
		if err := one.Renew(t.Context(), hosts[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		a, _ := asked(t, one, r, hosts[0])
		b, _ := asked(t, two, r, hosts[0])
		if a == before || a != b {
			t.Errorf("before %s, now %s and %s", before, a, b)
		}
		if r.most > 2*16 {
			t.Errorf("%d orders at once of two gateways", r.most)
		}
	})
}

func TestRevokeMakesAnotherCertificateWithAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		if err := s.Revoke(t.Context(), "a.example.com", 1); err != nil {
			t.Fatal(err)
		}
		if len(r.revoked) != 1 || r.revoked[0].SerialNumber.String() != first {
			t.Errorf("revoked %v", r.revoked)
		}
		if serial, real := asked(t, s, r, "a.example.com"); serial == first || !real {
			t.Error("the revoked certificate is shown")
		}
		if len(r.orders) != 2 || r.orders[0].Key.(*ecdsa.PrivateKey).Equal(r.orders[1].Key) {
			t.Errorf("%d orders, want two with two keys", len(r.orders))
		}
		if err := s.Renew(t.Context(), "nobody.example.com"); !errors.Is(err, certs.ErrUnknown) {
			t.Errorf("an unknown name: %v", err)
		}
		r.do(func() { r.refuse = func(int, certs.Order) error { return errors.New("closed on sundays") } })
		if err := s.Renew(t.Context(), "a.example.com"); err == nil || !strings.Contains(err.Error(), "closed on sundays") {
			t.Errorf("a renewal that fails: %v", err)
		}
	})
}

func TestWildcardServesItsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		o := certs.Options{ACME: certs.ACMEOptions{Challenges: []certs.ChallengeOptions{{Type: "dns-01", Command: []string{"/bin/true"}}}}}
		s := remoteStore(t, r, &j, o, "*.example.com", "www.example.com", "example.com")
		time.Sleep(time.Second)
		if r.count("") != 2 || r.count("*.example.com") != 1 || r.count("example.com") != 1 {
			t.Errorf("orders %d, want one for the wildcard and one for what it does not stand for", r.count(""))
		}
		for _, name := range []string{"www.example.com", "x.example.com", "example.com"} {
			if _, real := asked(t, s, r, name); !real {
				t.Errorf("%s: not the authority's certificate", name)
			}
		}
		if !s.Covers("a.example.com", "b.example.com") || s.Covers("a.example.com", "example.com") {
			t.Error("what the wildcard covers")
		}
	})
}

func TestReloadKeepsCertificates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		o := certs.Options{Storage: storage(t)}
		s := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		o.MinVersion = "1.3"
		swap(t, s, o, "a.example.com", "b.example.com")
		time.Sleep(time.Second)
		if serial, _ := asked(t, s, r, "a.example.com"); serial != first || r.count("a.example.com") != 1 {
			t.Error("a reload made another certificate")
		}
		if _, real := asked(t, s, r, "b.example.com"); !real {
			t.Error("no certificate for the new name")
		}
		// Another authority: the old certificate serves until there is a new one.
		r.do(func() { r.takes = time.Minute })
		o.ACME.Directory = "https://other.example.net/dir"
		swap(t, s, o, "a.example.com")
		if serial, _ := asked(t, s, r, "a.example.com"); serial != first {
			t.Error("the old certificate does not serve")
		}
		time.Sleep(2 * time.Minute)
		if serial, _ := asked(t, s, r, "a.example.com"); serial == first {
			t.Error("the certificate of the old authority is still shown")
		}
	})
}

func TestECDSAAndRSAFromAnIssuer(t *testing.T) {
	var j journal
	r := newRemote(t)
	o := certs.Options{ACME: certs.ACMEOptions{Keys: []string{"p256", "rsa2048"}}}
	s := remoteStore(t, r, &j, o, "a.example.com")
	eventually(t, "both certificates are there", func() bool { return s.Counts().Issued == 2 })
	for suite, want := range map[uint16]x509.PublicKeyAlgorithm{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: x509.ECDSA, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: x509.RSA,
	} {
		cs, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err != nil || cs.PeerCertificates[0].PublicKeyAlgorithm != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
	}
}

func TestRevokedCertificateIsReplacedHoweverLongItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		o := certs.Options{Storage: storage(t)}
		s := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		left := opened(t, strings.TrimPrefix(o.Storage, "file:"))
		r.do(func() { r.refuse = func(int, certs.Order) error { return errors.New("busy") } })
		if err := s.Renew(t.Context(), "a.example.com"); err == nil { // leaves a key behind
			t.Fatal("no error")
		}
		pending, err := left.Load(t.Context(), "certificates/a.example.com/p256.pending.key")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context(), "a.example.com", 1); err == nil {
			t.Fatal("the order after the revocation is refused, and there is no error")
		}
		r.do(func() { r.refuse = nil })
		time.Sleep(30 * time.Minute)
		if serial, real := asked(t, s, r, "a.example.com"); serial == first || !real {
			t.Error("the revoked certificate is still shown")
		}
		r.do(func() {
			last := r.orders[len(r.orders)-1].Key
			der, err := x509.MarshalPKCS8PrivateKey(last)
			if err != nil || strings.Contains(strings.ReplaceAll(string(pending), "\n", ""), base64.StdEncoding.EncodeToString(der)) {
				t.Errorf("the new certificate has the key that was left over (%v)", err)
			}
		})
	})
}

// Challenges are answered by name, so the kinds of keys of one name wait for each
// other.
func TestKindsOfKeysAreOrderedOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 2 * time.Second
		o := certs.Options{ACME: certs.ACMEOptions{Keys: []string{"p256", "p384"}}}
		s := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(30 * time.Second)
		if r.count("") != 2 || r.most != 1 || s.Counts().Issued != 2 {
			t.Errorf("%d orders, %d at once", r.count(""), r.most)
		}
	})
}

func TestStorageOfAReloadGetsWhatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		s := remoteStore(t, r, &j, certs.Options{Storage: storage(t)}, "a.example.com")
		time.Sleep(time.Second)
		first, _ := asked(t, s, r, "a.example.com")
		moved := certs.Options{Storage: storage(t)}
		swap(t, s, moved, "a.example.com")
		time.Sleep(10 * time.Second)
		again := remoteStore(t, r, &j, moved, "a.example.com")
		time.Sleep(time.Second)
		if serial, _ := asked(t, again, r, "a.example.com"); serial != first || r.count("") != 1 {
			t.Errorf("after a restart with the new storage: the same %v, %d orders", serial == first, r.count(""))
		}
	})
}

// A storage on another machine is away: local names wait for it, the rest goes on,
// and a reload does not need it.
func TestLocalAuthorityInAStorageThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		real := storage(t)
		set.Storage = func(ctx context.Context, _ string) (certs.Storage, error) { return openStorage(ctx, real) }
		f := withFaults(&set)
		f.set(func(op, _ string) error { return errors.New("redis 10.0.0.9:6379: connection refused") })
		s := runningStore(t, set, certs.Options{Storage: "redis://10.0.0.9:6379/0"}, "a.localhost", "a.example.com")
		time.Sleep(time.Minute)
		if in := s.Snapshot(); !strings.Contains(in[0].Err, "connection refused") || !strings.Contains(in[1].Err, "connection refused") {
			t.Errorf("snapshot is %+v", in)
		}
		f.set(nil)
		time.Sleep(15 * time.Minute)
		if _, err := s.Get(&tls.ClientHelloInfo{ServerName: "a.localhost"}); err != nil {
			t.Errorf("a local name when the storage is back: %v", err)
		}
		if _, ok := asked(t, s, r, "a.example.com"); !ok {
			t.Error("no certificate for the public name")
		}
		swap(t, s, certs.Options{Storage: "redis://10.0.0.9:6379/0"}, "a.localhost", "a.example.com") // reads the authority
		f.set(func(op, _ string) error { return errors.New("redis 10.0.0.9:6379: connection refused") })
		swap(t, s, certs.Options{Storage: "redis://10.0.0.9:6379/0", MinVersion: "1.3"}, "a.localhost", "a.example.com")
	})
}
