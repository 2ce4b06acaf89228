package livetest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/tls/storage"
)

// mint is an authority in the test itself, for certificates that are there
// already.
type mint struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	next int64
}

const day = 24 * time.Hour

func newMint(t testing.TB) *mint {
	t.Helper()
	m := &mint{key: newP256(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Mint"}, NotBefore: time.Now().Add(-3 * 365 * day), NotAfter: time.Now().Add(3 * 365 * day),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1, 2, 3, 4},
	}
	m.root = m.sign(t, template, template, m.key)
	m.next = time.Now().UnixNano()
	return m
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (m *mint) sign(t testing.TB, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, m.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// make makes a certificate of a server or of a client.
func (m *mint) make(t testing.TB, use x509.ExtKeyUsage, from, to time.Time, names ...string) tls.Certificate {
	t.Helper()
	m.next++
	key := newP256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(m.next), Subject: pkix.Name{CommonName: names[0]}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use}, BasicConstraintsValid: true,
	}
	if use == x509.ExtKeyUsageServerAuth {
		template.DNSNames = names
	} else {
		template.Subject.Organization, template.Subject.Country = []string{"Clients, Inc"}, []string{"DE"}
	}
	c := m.sign(t, template, m.root, key)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// texts are the key and the certificate as PEM.
func texts(t testing.TB, c tls.Certificate) (key, cert string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("PRIVATE KEY", der), pemText("CERTIFICATE", c.Certificate[0])
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// files writes a certificate for names and its key into a directory of their own.
func (m *mint) files(t testing.TB, names ...string) (cert, key string) {
	t.Helper()
	dir := shortDir(t)
	k, c := texts(t, m.make(t, x509.ExtKeyUsageServerAuth, time.Now().Add(-day), time.Now().Add(80*day), names...))
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, c)
	write(t, key, k)
	return cert, key
}

// section is the line of a file's certificate in tls.
func (m *mint) section(t testing.TB, names ...string) string {
	t.Helper()
	cert, key := m.files(t, names...)
	return fmt.Sprintf("  certificates: [{cert: %q, key: %q}]\n", cert, key)
}

// stored is a certificate for name as a gateway stores it that has it from the
// issuer acme.
func (m *mint) stored(t testing.TB, directory, name string, from, to time.Time) string {
	t.Helper()
	key, cert := texts(t, m.make(t, x509.ExtKeyUsageServerAuth, from, to, name))
	return "Authority: acme " + directory + "\nChallenge: http-01\n" + key + cert
}

func storedKey(name string) string { return "certificates/" + name + "/p256.pem" }

// stock puts certificates of p's authority for all names into p's storage.
func (m *mint) stock(t testing.TB, p *public, from, to time.Time, names ...string) {
	t.Helper()
	p.fill(t)
	put := func(key, text string) error {
		file := filepath.Join(p.dir(), key)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		return os.WriteFile(file, []byte(text), 0o600)
	}
	if !strings.HasPrefix(p.storage, "file:") {
		st, err := storage.Open(t.Context(), p.storage, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer st.(interface{ Close() error }).Close()
		put = func(key, text string) error { return st.Store(context.Background(), key, []byte(text)) }
	}
	for _, n := range names {
		if err := put(storedKey(n), m.stored(t, p.ca.Directory, n, from, to)); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered returns n names.
func numbered(format string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}
