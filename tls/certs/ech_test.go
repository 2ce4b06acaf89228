package certs_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"headgate/tls/certs"
)

const (
	publicName = "cover.test"
	echKey     = "ech/keys.json"
)

var echOptions = certs.Options{ECH: certs.ECHOptions{PublicName: publicName}}

// hidden is a client that hides the name that it asks for.
func hidden(name string, list []byte, cert ...tls.Certificate) *tls.Config {
	c := visitor(name, tls.VersionTLS13, cert...)
	c.EncryptedClientHelloConfigList = list
	c.EncryptedClientHelloRejectionVerify = func(tls.ConnectionState) error { return nil }
	return c
}

func record(t *testing.T, s *certs.Store) []byte {
	t.Helper()
	list, ok := s.ECHRecord()
	if !ok {
		t.Fatal("there is no record to publish")
	}
	return list
}

// TestEncryptedClientHello: the policy is that of the inner name.
func TestEncryptedClientHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newClientCA(t, "Staff")
		var j journal
		s := member(t, newMemory(), &j, sharedPair(t), echOptions,
			certs.Site{Hosts: []string{"open.test"}},
			authSite("staff.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(ca.certs[0]))}))
		pass(time.Second)
		list := record(t, s)
		m := meet(t, s.TLSConfig(), hidden("open.test", list))
		if m.err != nil || !m.client.ECHAccepted || m.server.ServerName != "open.test" {
			t.Errorf("%v, accepted %v, name %q", m.err, m.client.ECHAccepted, m.server.ServerName)
		}
		if m := meet(t, s.TLSConfig(), hidden("staff.test", list)); m.err == nil {
			t.Error("a client without a certificate is let into the inner site")
		}
		m = meet(t, s.TLSConfig(), hidden("staff.test", list, ca.client(t, 0)))
		if m.err != nil || !m.server.ECHAccepted || len(m.server.VerifiedChains) == 0 {
			t.Errorf("with a certificate: %v, accepted %v, %d chains", m.err, m.server.ECHAccepted, len(m.server.VerifiedChains))
		}
		for v, version := range versions {
			if m := meet(t, s.TLSConfig(), visitor("open.test", version)); m.err != nil {
				t.Errorf("a client without it, TLS %s: %v", v, m.err)
			}
		}
		s.Swap(siteSet(t, s, certs.Options{}, certs.Site{Hosts: []string{"open.test"}}))
		pass(time.Second)
		if _, ok := s.ECHRecord(); ok {
			t.Error("there is a record though it is off")
		}
		var rejected *tls.ECHRejectionError
		if m := meet(t, s.TLSConfig(), hidden("open.test", list)); !errors.As(m.err, &rejected) || rejected.RetryConfigList != nil {
			t.Errorf("off: %v", m.err)
		}
	})
}

// TestECHRotation: a record is good for a week after it was replaced, then clients
// are told the new one; the ids of what is accepted differ.
func TestECHRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		sites := certs.Site{Hosts: []string{"open.test"}}
		a, b := member(t, m, &j, pair, echOptions, sites), member(t, m, &j, pair, echOptions, sites)
		pass(2 * time.Minute)
		type seen struct {
			list []byte
			last time.Time // when it was published
		}
		var all []*seen
		for hour := range 24 * 21 {
			for _, s := range []*certs.Store{a, b} {
				list := record(t, s)
				if n := len(all); n == 0 || string(all[n-1].list) != string(list) && (n < 2 || string(all[n-2].list) != string(list)) {
					all = append(all, &seen{list: list})
				}
				for _, x := range all {
					if string(x.list) == string(list) {
						x.last = time.Now()
					}
				}
			}
			if hour%24 == 0 {
				for i, x := range all {
					for _, s := range []*certs.Store{a, b} {
						m := meet(t, s.TLSConfig(), hidden("open.test", x.list))
						age := time.Since(x.last)
						if age <= 7*24*time.Hour && (m.err != nil || !m.client.ECHAccepted) {
							t.Fatalf("record %d, %v after it was replaced: %v", i, age, m.err)
						}
						if age > 11*24*time.Hour && m.err == nil {
							t.Fatalf("record %d, %v after it was replaced, is accepted", i, age)
						}
					}
				}
			}
			pass(time.Hour)
		}
		if len(all) != 7 {
			t.Errorf("%d records in three weeks, want 7", len(all))
		}
		var rejected *tls.ECHRejectionError
		if m := meet(t, a.TLSConfig(), hidden("open.test", all[0].list)); !errors.As(m.err, &rejected) || string(rejected.RetryConfigList) != string(record(t, a)) {
			t.Fatalf("an old record: %v", m.err)
		}
		if m := meet(t, b.TLSConfig(), hidden("open.test", rejected.RetryConfigList)); m.err != nil {
			t.Errorf("what clients are told to retry with: %v", m.err)
		}
		var keys []struct{ Config []byte }
		if err := json.Unmarshal([]byte(m.get(echKey)), &keys); err != nil {
			t.Fatal(err)
		}
		ids := map[byte]bool{}
		for _, k := range keys {
			ids[k.Config[4]] = true
		}
		if len(ids) != len(keys) || len(keys) > 5 {
			t.Errorf("%d keys have %d ids, want as many, and at most 5", len(keys), len(ids))
		}
		if j.count("level=ERROR") > 0 {
			t.Errorf("the log complains:\n%s", j.buf.String())
		}
	})
}

// TestECHKeyIsKnownBeforeUse: whenever one gateway publishes a key, the other
// takes it.
func TestECHKeyIsKnownBeforeUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		a := member(t, m, &j, pair, echOptions)
		pass(31 * time.Second)
		b := member(t, m, &j, pair, echOptions)
		pass(3*24*time.Hour - 5*time.Minute)
		before := string(record(t, a))
		for range 100 {
			pass(11 * time.Second)
			for _, x := range [][2]*certs.Store{{a, b}, {b, a}} {
				if m := meet(t, x[1].TLSConfig(), hidden("a.test", record(t, x[0]))); m.err != nil {
					t.Fatal(m.err)
				}
			}
		}
		if string(record(t, a)) == before {
			t.Error("nothing was rotated, so this shows nothing")
		}

		// A new public name takes the place of the old one, whose key is still good.
		o := certs.Options{ECH: certs.ECHOptions{PublicName: "New.cover.test."}, Storage: "redis://localhost:6379/0", Certificates: []certs.Pair{pair}}
		old := record(t, a)
		a.Swap(siteSet(t, a, o, certs.Site{Hosts: []string{"a.test"}}))
		pass(time.Second)
		if list := record(t, a); !strings.Contains(string(list), "new.cover.test") {
			t.Errorf("record %q", list)
		}
		pass(2 * time.Minute)
		for _, x := range []struct {
			s    *certs.Store
			list []byte
		}{{a, old}, {b, old}, {a, record(t, a)}, {b, record(t, a)}} {
			if m := meet(t, x.s.TLSConfig(), hidden("a.test", x.list)); m.err != nil {
				t.Error(m.err)
			}
		}
	})
}

func TestECHKeysDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		m.set(echKey, "junk")
		s := member(t, m, &j, pair, echOptions)
		pass(time.Second)
		list, good := record(t, s), m.get(echKey)
		for i, bad := range []string{
			strings.Replace(good, publicName, "other.test", 1),
			strings.Replace(good, base64.StdEncoding.EncodeToString(list[2:14]), base64.StdEncoding.EncodeToString([]byte("0123456789ab")), 1),
			strings.Replace(good, `"config":"`, `"config":"AA`, 1),
			strings.Replace(good, `"secret":"`, `"secret":"AAAA`, 1),
		} {
			if m.set(echKey, bad); bad == good {
				t.Fatalf("%d: nothing was damaged", i)
			}
			pass(2 * time.Minute)
			if m.get(echKey) == bad || string(record(t, s)) != string(list) {
				t.Errorf("%d: damaged keys are in use", i)
			}
		}
	})
}

func TestPublicName(t *testing.T) {
	for name, good := range map[string]bool{
		"cover.example.com": true, "Cover.Example.com.": true, "cover": true, "xn--bcher-kva.example": true,
		"192.0.2.1": false, "a.b.5": false, "a.0x10": false, "under_score.test": false, "*.test": false, "a b": false, "[::1]": false,
		strings.Repeat("a.", 130) + "test": false,
	} {
		o := certs.Options{Issuer: []string{"none"}, Certificates: []certs.Pair{sharedPair(t)}, ECH: certs.ECHOptions{PublicName: name}}
		_, err := certs.New(certs.Setup{Storage: func(context.Context, string) (certs.Storage, error) { return newMemory(), nil }}).Build(t.Context(), certs.Plan{Options: o})
		if (err == nil) != good || err != nil && !strings.HasPrefix(err.Error(), "ech.public_name: ") {
			t.Errorf("%q: %v, want success %v", name, err, good)
		}
	}
}

func TestHTTPSRecord(t *testing.T) {
	for want, got := range map[string]string{
		`shop.example.com. 300 IN HTTPS 1 . alpn="h3,h2" ech=AAEC`: certs.HTTPSRecord("Shop.example.com", []string{"h3", "h2"}, []byte{0, 1, 2}),
		`*.example.com. 300 IN HTTPS 1 . alpn="h2"`:                certs.HTTPSRecord("*.example.com", []string{"h2"}, nil),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// quicServer serves the store over QUIC, as http3 does, and returns its address.
func quicServer(t *testing.T, s *certs.Store) string {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: udp}
	ln, err := tr.Listen(http3.ConfigureTLSConfig(s.TLSConfig()), &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			if stream, err := c.OpenUniStream(); err == nil {
				_, _ = stream.Write([]byte("x"))
				_ = stream.Close()
			}
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); _ = tr.Close(); _ = udp.Close(); <-done })
	return udp.LocalAddr().String()
}

// visit makes a connection over QUIC and reads what the server sends.
func visit(t *testing.T, addr string, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if c.NextProtos == nil {
		c.NextProtos = []string{"h3"}
	}
	conn, err := quic.DialAddr(ctx, addr, c, &quic.Config{})
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.AcceptUniStream(ctx)
	if err == nil {
		_, err = io.ReadAll(stream)
	}
	return conn.ConnectionState().TLS, err
}

// TestPoliciesOverQUIC: client certificates, tickets and Encrypted Client Hello.
func TestPoliciesOverQUIC(t *testing.T) {
	ca := newClientCA(t, "Staff")
	ann, bad := ca.client(t, 0), ca.client(t, 0)
	auth := certs.ClientAuth{CA: file(t, "ca.pem", certPEM(ca.certs[0])), CRL: file(t, "crl.pem", ca.crl(t, 0, time.Now().AddDate(0, 1, 0), bad))}
	var j journal
	s := member(t, newMemory(), &j, sharedPair(t), echOptions, certs.Site{Hosts: []string{"open.test"}}, authSite("staff.test", auth))
	addr := quicServer(t, s)
	cache := &anySession{}
	try := func(what string, c *tls.Config, ok, resumed bool) tls.ConnectionState {
		t.Helper()
		c.ClientSessionCache = cache
		cs, err := visit(t, addr, c)
		if (err == nil) != ok || cs.DidResume != resumed {
			t.Errorf("%s: %v, resumed %v; want success %v, resumed %v", what, err, cs.DidResume, ok, resumed)
		}
		return cs
	}
	try("open", visitor("open.test", 0), true, false)
	try("open again", visitor("open.test", 0), true, true)
	try("staff with a ticket of open", visitor("staff.test", 0, ann), true, false)
	try("staff again", visitor("staff.test", 0, ann), true, true)
	try("open with a ticket of staff", visitor("open.test", 0), true, false)
	cache.last = nil
	try("staff without a certificate", visitor("staff.test", 0), false, false)
	cache.last = nil
	try("staff, revoked", visitor("staff.test", 0, bad), false, false)
	cache.last = nil
	c := visitor("open.test", 0)
	c.NextProtos = []string{certs.ALPNProto}
	try("acme-tls/1", c, false, false)

	eventually(t, "there are keys of encrypted client hello", func() bool { _, ok := s.ECHRecord(); return ok })
	cs := try("hidden", hidden("staff.test", record(t, s), ann), true, false)
	if !cs.ECHAccepted {
		t.Error("encrypted client hello is not accepted over QUIC")
	}
}
