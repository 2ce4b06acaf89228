package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/tls/certs"
)

// rdn makes one part of a name.
func rdn(oid asn1.ObjectIdentifier, tag int, value string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
}

var (
	oidCN    = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidO     = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidOU    = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidUID   = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	oidOwn   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 7}
)

// oddNames are subjects that are hard to write down.
func oddNames(t testing.TB) map[string][]byte {
	t.Helper()
	one := func(a ...pkix.AttributeTypeAndValue) pkix.RelativeDistinguishedNameSET { return a }
	out := map[string][]byte{}
	for name, seq := range map[string]pkix.RDNSequence{
		"plain":     {one(rdn(oidO, asn1.TagPrintableString, "Example Ltd")), one(rdn(oidCN, asn1.TagUTF8String, "ann"))},
		"specials":  {one(rdn(oidO, asn1.TagUTF8String, ` #a,b+c"d\e<f>g;h=i `)), one(rdn(oidCN, asn1.TagUTF8String, "#x"))},
		"utf8":      {one(rdn(oidCN, asn1.TagUTF8String, "Jürgen Łuk 日本 🐍"))},
		"latin1":    {one(rdn(oidCN, asn1.TagT61String, "J\xfcrgen"))},
		"bmp":       {one(rdn(oidCN, asn1.TagBMPString, "\x00J\x00\xfc\x01\x41"))},
		"controls":  {one(rdn(oidCN, asn1.TagUTF8String, "a\r\nb\x00c\x7fd"))},
		"several":   {one(rdn(oidOU, asn1.TagUTF8String, "one"), rdn(oidCN, asn1.TagUTF8String, "two")), one(rdn(oidEmail, asn1.TagIA5String, "ann@example.com"), rdn(oidUID, asn1.TagUTF8String, "ann"))},
		"unknown":   {one(rdn(oidOwn, asn1.TagUTF8String, "mine")), one(rdn(oidCN, asn1.TagUTF8String, "x"))},
		"space":     {one(rdn(oidCN, asn1.TagUTF8String, " "))},
		"empty":     {one(rdn(oidOU, asn1.TagUTF8String, "")), one(rdn(oidCN, asn1.TagUTF8String, "x"))},
		"two names": {one(rdn(oidCN, asn1.TagUTF8String, "first")), one(rdn(oidCN, asn1.TagUTF8String, "second"))},
		"nobody":    {},
	} {
		der, err := asn1.Marshal(seq)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = der
	}
	return out
}

// withSubject makes a certificate whose subject is der.
func withSubject(t testing.TB, der []byte, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), RawSubject: der, NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), NotAfter: time.Date(2036, 11, 23, 3, 0, 0, 0, time.UTC),
	}
	for _, f := range change {
		f(template)
	}
	return signed(t, template, template, key.Public(), key)
}

// vars are what an app is told of a certificate that verified.
func vars(leaf *x509.Certificate, certificate bool) map[string]string {
	cs := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	out := map[string]string{}
	for _, v := range certs.ClientVars(cs, certificate) {
		out[v[0]] = v[1]
	}
	return out
}

func TestClientVars(t *testing.T) {
	leaf := withSubject(t, oddNames(t)["plain"], func(c *x509.Certificate) {
		c.SerialNumber = big.NewInt(0xabcdef0)
		c.DNSNames = []string{"a.example.com", "b.example.com"}
		c.EmailAddresses = []string{"ann@example.com"}
	})
	got := vars(leaf, true)
	if block, _ := pem.Decode([]byte(got["SSL_CLIENT_CERT"])); block == nil || string(block.Bytes) != string(leaf.Raw) {
		t.Errorf("SSL_CLIENT_CERT is %q", got["SSL_CLIENT_CERT"])
	}
	delete(got, "SSL_CLIENT_CERT")
	if n := len(got["SSL_CLIENT_FINGERPRINT"]); n != 40 {
		t.Errorf("the fingerprint has %d digits", n)
	}
	delete(got, "SSL_CLIENT_FINGERPRINT")
	want := map[string]string{
		"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=ann,O=Example Ltd", "SSL_CLIENT_I_DN": "CN=ann,O=Example Ltd",
		"SSL_CLIENT_S_DN_CN": "ann", "SSL_CLIENT_M_SERIAL": "0ABCDEF0",
		"SSL_CLIENT_V_START": "Jan  2 03:04:05 2026 GMT", "SSL_CLIENT_V_END": "Nov 23 03:00:00 2036 GMT",
		"SSL_CLIENT_SAN_DNS_0": "a.example.com", "SSL_CLIENT_SAN_DNS_1": "b.example.com", "SSL_CLIENT_SAN_Email_0": "ann@example.com",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, cs := range []*tls.ConnectionState{nil, {}, {PeerCertificates: []*x509.Certificate{leaf}}} {
		if got := certs.ClientVars(cs, true); len(got) != 1 || got[0] != [2]string{"SSL_CLIENT_VERIFY", "NONE"} {
			t.Errorf("without a verified certificate: %q", got)
		}
	}
}

func TestClientVarsAreBounded(t *testing.T) {
	long, err := asn1.Marshal(pkix.RDNSequence{{rdn(oidCN, asn1.TagUTF8String, strings.Repeat("x", 5000))}})
	if err != nil {
		t.Fatal(err)
	}
	got := vars(withSubject(t, long, func(c *x509.Certificate) {
		for range 100 {
			c.DNSNames = append(c.DNSNames, strings.Repeat("a.", 100)+"example.com")
		}
	}), false)
	total := 0
	for name, value := range got {
		total += len(name) + len(value)
	}
	if got["SSL_CLIENT_S_DN"] != "" || got["SSL_CLIENT_S_DN_CN"] != "" || got["SSL_CLIENT_SAN_DNS_7"] == "" || got["SSL_CLIENT_SAN_DNS_8"] != "" || total > 4096 {
		t.Errorf("%d bytes: %q", total, got)
	}
	if got := vars(withSubject(t, oddNames(t)["controls"]), false)["SSL_CLIENT_S_DN_CN"]; got != "a??b?c?d" {
		t.Errorf("control bytes: %q", got)
	}
}

// TestNamesAreThoseOfOpenSSL compares every odd name with what openssl writes.
func TestNamesAreThoseOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no openssl here")
		}
		t.Skip("there is no openssl here")
	}
	for name, der := range oddNames(t) {
		leaf := withSubject(t, der, func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(0xa1), 100) })
		in := file(t, "c.pem", certPEM(leaf))
		out, err := exec.CommandContext(t.Context(), "openssl", "x509", "-in", in, "-noout", "-subject", "-serial", "-dates", "-fingerprint", "-sha1", "-nameopt", "RFC2253").Output()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for line := range strings.Lines(string(out)) {
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			want[k] = v
		}
		got := vars(leaf, false)
		for _, x := range [][2]string{
			{got["SSL_CLIENT_S_DN"], want["subject"]},
			{got["SSL_CLIENT_M_SERIAL"], want["serial"]},
			{got["SSL_CLIENT_V_START"], want["notBefore"]},
			{got["SSL_CLIENT_V_END"], want["notAfter"]},
			{got["SSL_CLIENT_FINGERPRINT"], strings.ToLower(strings.ReplaceAll(want["sha1 Fingerprint"], ":", ""))},
		} {
			if x[0] != x[1] {
				t.Errorf("%s: got %q, openssl says %q", name, x[0], x[1])
			}
		}
	}
}

func FuzzClientName(f *testing.F) {
	for _, der := range oddNames(f) {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf := &x509.Certificate{Raw: der, RawSubject: der, RawIssuer: der, SerialNumber: big.NewInt(1)}
		for name, value := range vars(leaf, false) {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(value) > 2048 {
				t.Errorf("%s is %q", name, value)
			}
		}
	})
}

func BenchmarkClientVars(b *testing.B) {
	leaf := withSubject(b, oddNames(b)["plain"], func(c *x509.Certificate) { c.DNSNames = []string{"a.example.com"} })
	cs := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	b.ReportAllocs()
	for b.Loop() {
		certs.ClientVars(cs, false)
	}
}
