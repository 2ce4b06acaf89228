package certs_test

import (
	"crypto/rsa"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"headgate/tls/certs"
)

func TestHandshakeVersions(t *testing.T) {
	s := certs.New(setup(nil, nil))
	ca := swap(t, s, certs.Options{}, "shop.localhost").CA()
	for _, tt := range []struct {
		name     string
		max      uint16
		protos   []string
		want     uint16
		protocol string
		curve    tls.CurveID
	}{
		{"1.3", 0, []string{"h2", "http/1.1"}, tls.VersionTLS13, "h2", tls.X25519MLKEM768},
		{"1.2", tls.VersionTLS12, []string{"http/1.1"}, tls.VersionTLS12, "http/1.1", tls.X25519},
	} {
		cs, err := shake(t, s.TLSConfig(), &tls.Config{
			ServerName: "shop.localhost", RootCAs: pool(ca.Root()), MaxVersion: tt.max, NextProtos: tt.protos,
		})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if cs.Version != tt.want || cs.NegotiatedProtocol != tt.protocol || cs.CurveID != tt.curve {
			t.Errorf("%s: got version %x, %q, %v; want %x, %q, %v", tt.name, cs.Version, cs.NegotiatedProtocol, cs.CurveID, tt.want, tt.protocol, tt.curve)
		}
	}
	_, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: "shop.localhost", RootCAs: pool(ca.Root()), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestMinVersionFollowsReload(t *testing.T) {
	s := certs.New(setup(nil, nil))
	o := certs.Options{Storage: storage(t)}
	swap(t, s, o, "localhost")
	config := s.TLSConfig().Clone()
	old := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	if _, err := shake(t, config, old); err != nil {
		t.Fatal(err)
	}
	o.MinVersion = "1.3"
	swap(t, s, o, "localhost")
	if _, err := shake(t, config, old); err == nil {
		t.Error("TLS 1.2 is spoken though min_version is 1.3")
	}
	cs, err := shake(t, config, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil || cs.NegotiatedProtocol != "h2" {
		t.Errorf("TLS 1.3: %q, %v", cs.NegotiatedProtocol, err)
	}
}

func TestSNIChoice(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	o := certs.Options{Certificates: []certs.Pair{
		a.pair(t, filepath.Join(dir, "1"), names("www.example.com", "192.0.2.7")),
		a.pair(t, filepath.Join(dir, "2"), names("*.example.com")),
		a.pair(t, filepath.Join(dir, "3"), names("shop.example.com")),
	}}
	s := serving(t, nil, o, "shop.example.com", "a.localhost", "*.b.localhost")
	for sni, want := range map[string]string{
		"www.example.com":   "www.example.com",
		"SHOP.example.com":  "shop.example.com", // exact before wildcard, any case
		"blog.example.com":  "*.example.com",
		"a.b.example.com":   "www.example.com", // a wildcard is one label; the first is the default
		"example.com":       "www.example.com",
		"unknown.test":      "www.example.com",
		"":                  "www.example.com",
		"a.localhost":       "a.localhost", // from the local authority
		"x.b.localhost":     "x.b.localhost",
		"x.y.b.localhost":   "www.example.com",
		"other.localhost":   "www.example.com", // no site answers for it
		"bad name.localhos": "www.example.com",
	} {
		if got := asks(t, s, sni).DNSNames[0]; got != want {
			t.Errorf("server name %q gets %s, want %s", sni, got, want)
		}
	}
}

func TestUnknownNameWithoutDefault(t *testing.T) {
	var j journal
	s := serving(t, j.log(), certs.Options{}, "shop.localhost")
	_, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: "evil.example.com", InsecureSkipVerify: true})
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("got %v, want the alert unrecognized_name", err)
	}
	if j.count("host=evil.example.com") != 1 {
		t.Errorf("log does not name the host:\n%s", j.buf.String())
	}
	if _, err := shake(t, certs.New(setup(nil, nil)).TLSConfig(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a store without a set serves")
	}
}

// A client that connects to an address sends no server name.
func TestLoopbackAddress(t *testing.T) {
	s := certs.New(setup(nil, nil))
	ca := swap(t, s, certs.Options{}, "localhost").CA()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cs, err := shakeOver(t, s.TLSConfig(), &tls.Config{ServerName: "127.0.0.1", RootCAs: pool(ca.Root())}, <-accepted, c)
	if err != nil {
		t.Fatal(err)
	}
	if ips := cs.PeerCertificates[0].IPAddresses; len(ips) != 1 || ips[0].String() != "127.0.0.1" {
		t.Errorf("certificate is for %v", ips)
	}
}

func TestRSAAndECDSABesideEachOther(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{
		a.pair(t, filepath.Join(dir, "rsa"), order{names: []string{"shop.example.com"}, key: rsaKey()}),
		a.pair(t, filepath.Join(dir, "ec"), names("shop.example.com")),
	}})
	for _, tt := range []struct {
		sni   string
		suite uint16
		rsa   bool
	}{
		{"shop.example.com", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true},
		{"shop.example.com", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false},
		{"unknown.example.net", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true},
		{"", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true},
	} {
		cs, err := shake(t, s.TLSConfig(), &tls.Config{
			ServerName: tt.sni, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tt.suite},
		})
		if err != nil {
			t.Errorf("%q: %v", tt.sni, err)
			continue
		}
		if _, got := cs.PeerCertificates[0].PublicKey.(*rsa.PublicKey); got != tt.rsa {
			t.Errorf("%q with suite %s: RSA %v, want %v", tt.sni, tls.CipherSuiteName(tt.suite), got, tt.rsa)
		}
	}
	if _, got := asks(t, s, "shop.example.com").PublicKey.(*rsa.PublicKey); got {
		t.Error("a modern client gets RSA, want ECDSA")
	}
}

func TestOneFlightPerName(t *testing.T) {
	s := serving(t, nil, certs.Options{}, "*.localhost")
	var wg sync.WaitGroup
	serials := make([]string, 20)
	for i := range serials {
		wg.Go(func() {
			cert, err := s.Get(&tls.ClientHelloInfo{ServerName: "a.localhost"})
			if err != nil {
				t.Error(err)
				return
			}
			serials[i] = cert.Leaf.SerialNumber.String()
		})
	}
	wg.Wait()
	for _, n := range serials {
		if n != serials[0] {
			t.Fatal("a name got two certificates")
		}
	}
}

func TestOnDemandNamesAreBounded(t *testing.T) {
	s := serving(t, nil, certs.Options{Issuer: []string{"internal"}}, "listed.test", "")
	get := func(name string) string {
		cert, err := s.Get(&tls.ClientHelloInfo{ServerName: name})
		if err != nil {
			t.Fatal(err)
		}
		return cert.Leaf.SerialNumber.String()
	}
	listed := get("listed.test")
	for i := range 1100 {
		get("n" + string(rune('a'+i%26)) + "-" + string(rune('a'+i/26%26)) + "-" + string(rune('a'+i/676)) + ".test")
	}
	if n := len(s.Snapshot()); n != 1025 {
		t.Errorf("%d certificates are kept, want 1024 and the listed one", n)
	}
	if get("listed.test") != listed {
		t.Error("the listed name lost its certificate")
	}
}

func TestCovers(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{
		a.pair(t, filepath.Join(dir, "1"), names("example.com", "www.example.com", "192.0.2.7")),
		a.pair(t, filepath.Join(dir, "2"), names("*.example.org")),
	}}, "a.localhost", "b.localhost")
	for _, tt := range []struct {
		sni, host string
		want      bool
	}{
		{"www.example.com", "www.example.com", true},
		{"www.example.com", "WWW.example.COM", true},
		{"www.example.com", "example.com", true},
		{"www.example.com", "192.0.2.7", true},
		{"www.example.com", "a.example.org", false},
		{"a.example.org", "b.example.org", true},
		{"a.example.org", "b.c.example.org", false},
		{"a.localhost", "b.localhost", false},
		{"a.localhost", "www.example.com", false},
		{"unknown.test", "example.com", true}, // it was shown the first certificate
		{"unknown.test", "a.localhost", false},
		{"www.example.com", "example.com.", true},
		{"", "anything", true},
		{"127.0.0.1", "[127.0.0.1]", true},
	} {
		if got := s.Covers(tt.sni, tt.host); got != tt.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", tt.sni, tt.host, got, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Covers("www.example.com", "www.example.com"); s.Covers("www.example.com", "example.com") }); n != 0 {
		t.Errorf("Covers allocates %v times", n)
	}
}

func BenchmarkCovers(b *testing.B) {
	s := certs.New(setup(nil, nil))
	b.ReportAllocs()
	for b.Loop() {
		s.Covers("www.example.com", "www.example.com")
	}
}

func BenchmarkGet(b *testing.B) {
	s := certs.New(setup(nil, nil))
	set, err := s.Build(b.Context(), plan(certs.Options{Storage: "file:" + filepath.Join(b.TempDir(), "state")}, []string{"shop.localhost"}...))
	if err != nil {
		b.Fatal(err)
	}
	s.Swap(set)
	hello := &tls.ClientHelloInfo{ServerName: "shop.localhost"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(hello); err != nil {
			b.Fatal(err)
		}
	}
}
