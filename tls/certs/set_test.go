package certs_test

import (
	"crypto/tls"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/tls/certs"
)

func TestBuildReportsEveryBadFile(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	leaf, key := a.leaf(t, names("a.example.com"))
	at := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		write(t, file, data)
		return file
	}
	good, goodKey := at("good.crt", certPEM(leaf, a.inter)), at("good.key", keyPEM(t, key))
	locked := at("locked.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	other := newAuthority(t).root
	tests := []struct {
		pair certs.Pair
		want []string
	}{
		{certs.Pair{Cert: good, Key: at("other.key", keyPEM(t, ecKey(t)))}, []string{"].key: ", "other.key", "does not belong to the certificate", good}},
		{certs.Pair{Cert: good, Key: at("empty.key", nil)}, []string{"].key: ", "empty.key", "holds no private key"}},
		{certs.Pair{Cert: good, Key: locked}, []string{"].key: ", "locked.key", "pass phrase", "openssl pkey -in " + locked}},
		{certs.Pair{Cert: good, Key: filepath.Join(dir, "missing.key")}, []string{"].key: ", "missing.key", "no such file", "check the path"}},
		{certs.Pair{Cert: filepath.Join(dir, "missing.crt"), Key: goodKey}, []string{"].cert: ", "missing.crt", "no such file"}},
		{certs.Pair{Cert: at("text.crt", []byte("hello")), Key: goodKey}, []string{"].cert: ", "text.crt", "holds no certificate in PEM form"}},
		{certs.Pair{Cert: at("junk.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("junk")})), Key: goodKey}, []string{"].cert: ", "junk.crt", "certificate 1: "}},
		{certs.Pair{Cert: at("first.crt", certPEM(a.inter, leaf)), Key: goodKey}, []string{"].cert: ", "first.crt", "wrong order", "certificate 2, which has to come first"}},
		{certs.Pair{Cert: at("chain.crt", certPEM(leaf, other, a.inter)), Key: goodKey}, []string{"].cert: ", "chain.crt", "wrong order", "Test Intermediate"}},
		{certs.Pair{Cert: at("big.crt", make([]byte, 2<<20)), Key: goodKey}, []string{"].cert: ", "big.crt", "larger than"}},
	}
	var o certs.Options
	for _, tt := range tests {
		o.Certificates = append(o.Certificates, tt.pair)
	}
	o.Certificates = append(o.Certificates, certs.Pair{Cert: good, Key: goodKey})
	err := o.Check(nil, nil)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(tests) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(tests), err)
	}
	for i, tt := range tests {
		for _, w := range append(tt.want, "certificates["+string(rune('0'+i))+"]") {
			if !strings.Contains(lines[i], w) {
				t.Errorf("error %q does not say %q", lines[i], w)
			}
		}
	}
}

func TestBuildUnreadableKey(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	p := newAuthority(t).pair(t, t.TempDir(), names("a.example.com"))
	if err := os.Chmod(p.Key, 0); err != nil {
		t.Fatal(err)
	}
	err := certs.Options{Certificates: []certs.Pair{p}}.Check(nil, nil)
	if err == nil || !strings.Contains(err.Error(), "let uid") {
		t.Errorf("got %v", err)
	}
}

func TestBuildWarnsOnly(t *testing.T) {
	a := newAuthority(t)
	p := a.pair(t, t.TempDir(), order{names: []string{"a.example.com"}, notAfter: time.Now().Add(-time.Hour)})
	if err := os.Chmod(p.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	var j journal
	serving(t, j.log(), certs.Options{Certificates: []certs.Pair{p}})
	for _, w := range []string{"certificate has expired", "private key can be read by everybody"} {
		if j.count(w) != 1 {
			t.Errorf("log does not say %q once:\n%s", w, j.buf.String())
		}
	}
}

func TestCheckHosts(t *testing.T) {
	p := newAuthority(t).pair(t, t.TempDir(), names("shop.example.com", "*.example.org"))
	with := []certs.Pair{p}
	for _, tt := range []struct {
		o     certs.Options
		hosts []string
		err   []string
	}{
		{certs.Options{Certificates: with}, []string{"shop.example.com", "*.example.org", "a.example.org", "localhost", ""}, nil},
		{certs.Options{Certificates: with}, []string{"www.example.com", "*.example.com"}, []string{"*.example.com needs the challenge dns-01"}},
		{certs.Options{}, []string{"shop.example.com"}, nil},
		{certs.Options{}, []string{"intranet"}, []string{"no public authority certifies intranet"}},
		{certs.Options{Issuer: []string{"none"}, Certificates: with}, []string{"www.example.com", ""}, nil},
		{certs.Options{Issuer: []string{"none"}}, []string{"www.example.com", ""}, []string{"no certificate covers www.example.com", "no certificate covers any host"}},
		{certs.Options{Issuer: []string{"internal"}}, []string{"www.example.com", "intranet"}, nil},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		tt.o.Storage = "file:" + dir
		err := tt.o.Check(sites(tt.hosts...), nil)
		if (err == nil) != (tt.err == nil) {
			t.Errorf("%v for %q: %v, want %q", tt.o, tt.hosts, err, tt.err)
			continue
		}
		for _, w := range tt.err {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v for %q: %v, want %q", tt.o, tt.hosts, err, w)
			}
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("Check wrote to the storage")
		}
	}
}

func TestErrorLeavesOldSet(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	o := certs.Options{Storage: storage(t), Certificates: []certs.Pair{a.pair(t, filepath.Join(dir, "1"), names("a.example.com"))}}
	s := serving(t, nil, o, "a.example.com", "x.localhost")
	file, issued := asks(t, s, "a.example.com"), asks(t, s, "x.localhost")

	bad := o
	bad.Certificates = append(bad.Certificates[:1:1], certs.Pair{Cert: "/missing", Key: "/missing"})
	if _, err := s.Build(t.Context(), plan(bad, []string{"y.localhost"}...)); err == nil {
		t.Fatal("no error")
	}
	if !asks(t, s, "a.example.com").Equal(file) || !asks(t, s, "x.localhost").Equal(issued) {
		t.Error("a failed Build changed what serves")
	}
	if got := asks(t, s, "y.localhost"); got.DNSNames[0] != "a.example.com" {
		t.Errorf("a failed Build serves %v", got.DNSNames)
	}
}

func TestIssuedCertificatesSurviveSwap(t *testing.T) {
	s := certs.New(setup(nil, nil))
	o := certs.Options{Storage: storage(t)}
	first := swap(t, s, o, "a.localhost", "b.localhost")
	a := asks(t, s, "a.localhost")
	second := swap(t, s, o, "a.localhost", "c.localhost")
	if !asks(t, s, "a.localhost").Equal(a) {
		t.Error("a reload made a new certificate for the same name")
	}
	if !first.CA().Root().Equal(second.CA().Root()) {
		t.Error("a reload changed the authority")
	}
	if _, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: "b.localhost", InsecureSkipVerify: true}); err == nil {
		t.Error("a name that is gone is still served")
	}
	o.Storage = storage(t)
	swap(t, s, o, "a.localhost")
	if asks(t, s, "a.localhost").Equal(a) {
		t.Error("another authority serves the old certificate")
	}
	if set := swap(t, s, certs.Options{Issuer: []string{"none"}, Certificates: []certs.Pair{newAuthority(t).pair(t, t.TempDir(), names("x.test"))}}, ""); set.CA() != nil {
		t.Error("a set that needs no authority has one")
	}
}

func TestWildcardIsDefault(t *testing.T) {
	p := newAuthority(t).pair(t, t.TempDir(), names("*.example.com"))
	s := serving(t, nil, certs.Options{Certificates: []certs.Pair{p}})
	if got := asks(t, s, "unknown.test").DNSNames[0]; got != "*.example.com" {
		t.Errorf("default is %s", got)
	}
}

// TestCheckWarns: what works but is hardly meant is said.
func TestCheckWarns(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	p := newAuthority(t).pair(t, t.TempDir(), names("shop.example.com"))
	o := certs.Options{Issuer: []string{"none"}, Certificates: []certs.Pair{p}}
	if err := o.Check(sites([]string{"shop.example.com", "other.example.com"}...), log); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "host=other.example.com") || strings.Contains(out.String(), "host=shop.example.com") {
		t.Errorf("warnings: %s, want one for other.example.com", out.String())
	}
}
