package certs_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/tls/certs"
	store "headgate/tls/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority is a CA for files, as a public one would be: root, intermediate.
type authority struct {
	root, inter *x509.Certificate
	key         *ecdsa.PrivateKey // of inter
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	rootKey, key := ecKey(t), ecKey(t)
	a := &authority{key: key}
	base := func(cn string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	root := base("Test Root")
	a.root = create(t, root, root, &rootKey.PublicKey, rootKey)
	a.inter = create(t, base("Test Intermediate"), a.root, &key.PublicKey, rootKey)
	return a
}

func create(t *testing.T, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// order is a certificate to be made.
type order struct {
	names     []string
	key       crypto.Signer
	notAfter  time.Time
	responder string
}

func (a *authority) leaf(t *testing.T, o order) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	if o.key == nil {
		o.key = ecKey(t)
	}
	if o.notAfter.IsZero() {
		o.notAfter = time.Now().AddDate(0, 3, 0)
	}
	template := &x509.Certificate{
		NotBefore: time.Now().Add(-90 * 24 * time.Hour), NotAfter: o.notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if o.responder != "" {
		template.OCSPServer = []string{o.responder}
	}
	for _, n := range o.names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	return create(t, template, a.inter, o.key.Public(), a.key), o.key
}

func certPEM(chain ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

func keyPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pair writes a new certificate for names below dir.
func (a *authority) pair(t *testing.T, dir string, o order) certs.Pair {
	t.Helper()
	p := certs.Pair{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	leaf, key := a.leaf(t, o)
	write(t, p.Key, keyPEM(t, key))
	write(t, p.Cert, certPEM(leaf, a.inter))
	return p
}

// names makes an order for nothing but names.
func names(n ...string) order { return order{names: n} }

// setup is what a Store of a test works with.
func setup(web http.RoundTripper, log *slog.Logger) certs.Setup {
	return certs.Setup{Web: web, Log: log, Storage: openStorage}
}

func openStorage(ctx context.Context, url string) (certs.Storage, error) {
	return store.Open(ctx, url, nil)
}

// opened is the storage in the directory dir.
func opened(t *testing.T, dir string) certs.Storage {
	t.Helper()
	st, err := openStorage(t.Context(), "file:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// plan is what a Store is told about one site with all hosts.
func plan(o certs.Options, hosts ...string) certs.Plan {
	return certs.Plan{Options: o, Sites: sites(hosts...)}
}

func sites(hosts ...string) []certs.Site { return []certs.Site{{Hosts: hosts}} }

// storage is a fresh place for a local authority.
func storage(t *testing.T) string { return "file:" + filepath.Join(t.TempDir(), "state") }

// serving returns a Store that serves o for hosts.
func serving(t *testing.T, log *slog.Logger, o certs.Options, hosts ...string) *certs.Store {
	t.Helper()
	s := certs.New(setup(nil, log))
	swap(t, s, o, hosts...)
	return s
}

func swap(t *testing.T, s *certs.Store, o certs.Options, hosts ...string) *certs.Set {
	t.Helper()
	if o.Storage == "" {
		o.Storage = storage(t)
	}
	set, err := s.Build(t.Context(), plan(o, hosts...))
	if err != nil {
		t.Fatal(err)
	}
	s.Swap(set)
	return set
}

// shake makes a handshake in memory and returns what the client saw. The client
// reads until the server is done, so that session tickets arrive.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	return shakeOver(t, server, client, a, b)
}

func shakeOver(t *testing.T, server, client *tls.Config, a, b net.Conn) (tls.ConnectionState, error) {
	t.Helper()
	srv, cli := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := srv.Handshake()
		if err == nil {
			_, err = srv.Write([]byte("x"))
		}
		_ = a.Close()
		done <- err
	}()
	defer func() { _ = b.Close(); <-done }()
	if err := cli.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := cli.Read(make([]byte, 1)); err != nil {
		t.Errorf("client reads: %v", err)
	}
	return cli.ConnectionState(), nil
}

// asks makes a handshake for name that verifies nothing, and returns the leaf.
func asks(t *testing.T, s *certs.Store, name string) *x509.Certificate {
	t.Helper()
	cs, err := shake(t, s.TLSConfig(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("handshake for %q: %v", name, err)
	}
	return cs.PeerCertificates[0]
}

func pool(roots ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, r := range roots {
		p.AddCert(r)
	}
	return p
}

// run runs s until the test ends.
func run(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
	})
}

// eventually waits for the real world.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// journal is a log that tests can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), s)
}
