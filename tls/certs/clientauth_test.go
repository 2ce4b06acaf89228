package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// clientCA is an authority of clients: a root, an intermediate, and one below it.
type clientCA struct {
	certs []*x509.Certificate
	keys  []*ecdsa.PrivateKey
}

func newClientCA(t testing.TB, name string) *clientCA {
	t.Helper()
	ca := &clientCA{}
	for i, cn := range []string{name + " Root", name + " Intermediate", name + " Below"} {
		key := ecKeyOf(t)
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		parent, signer := template, key
		if i > 0 {
			parent, signer = ca.certs[i-1], ca.keys[i-1]
		}
		ca.certs = append(ca.certs, signed(t, template, parent, key.Public(), signer))
		ca.keys = append(ca.keys, key)
	}
	return ca
}

func ecKeyOf(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	if template.SerialNumber == nil {
		template.SerialNumber, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	}
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

// client makes a certificate that the authority at level has issued: 0 is the root.
func (ca *clientCA) client(t testing.TB, level int, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key := ecKeyOf(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "ann"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 6, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, f := range change {
		f(template)
	}
	leaf := signed(t, template, ca.certs[level], key.Public(), ca.keys[level])
	out := tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	for i := level; i > 0; i-- {
		out.Certificate = append(out.Certificate, ca.certs[i].Raw)
	}
	return out
}

// crl makes a list of the authority at level, in PEM form.
func (ca *clientCA) crl(t testing.TB, level int, until time.Time, revoked ...tls.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: until}
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.Leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.certs[level], ca.keys[level])
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// file writes data into a new directory.
func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(f, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// siteStore serves sites with one certificate for all of their names.
func siteStore(t testing.TB, log *slog.Logger, o certs.Options, sites ...certs.Site) *certs.Store {
	t.Helper()
	s := certs.New(certs.Setup{Log: log})
	s.Swap(siteSet(t, s, o, sites...))
	return s
}

func siteSet(t testing.TB, s *certs.Store, o certs.Options, sites ...certs.Site) *certs.Set {
	t.Helper()
	o.Issuer = []string{"none"}
	if o.Certificates == nil {
		o.Certificates = []certs.Pair{sharedPair(t)}
	}
	set, err := s.Build(t.Context(), certs.Plan{Options: o, Sites: sites})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// sharedPair is a certificate that nobody verifies.
func sharedPair(t testing.TB) certs.Pair {
	t.Helper()
	key := ecKeyOf(t)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test Server"}, DNSNames: []string{"server.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := signed(t, template, template, key.Public(), key)
	return certs.Pair{
		Cert: file(t, "tls.crt", certPEM(cert)),
		Key:  file(t, "tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
}

func authSite(host string, auth certs.ClientAuth) certs.Site {
	return certs.Site{Hosts: []string{host}, Options: certs.SiteOptions{ClientAuth: auth}}
}

// meeting is what both ends of a handshake saw.
type meeting struct {
	client, server tls.ConnectionState
	err            error // of either
}

// meet makes a handshake in memory, with a byte for the client so that it learns
// what became of its certificate and gets its tickets.
func meet(t testing.TB, server, client *tls.Config) meeting {
	t.Helper()
	a, b := conns()
	return meetOver(server, client, a, b)
}

// conns are two ends of a connection with room for what the other does not read:
// one that hangs up in the middle of a handshake does not wait for the other.
func conns() (a, b net.Conn) {
	x, y := newStream(), newStream()
	return &memConn{in: x, out: y}, &memConn{in: y, out: x}
}

type memConn struct {
	net.Conn // nil: nothing else is called
	in, out  *stream
}

func (c *memConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memConn) Write(p []byte) (int, error) { return c.out.write(p) }
func (c *memConn) Close() error                { c.in.close(); c.out.close(); return nil }
func (c *memConn) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

func (c *memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 50000} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// stream is one direction.
type stream struct {
	mu    sync.Mutex // guards the fields below
	more  *sync.Cond
	buf   []byte
	ended bool
}

func newStream() *stream {
	s := &stream{}
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 && !s.ended {
		s.more.Wait()
	}
	if len(s.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, io.ErrClosedPipe
	}
	s.buf = append(s.buf, p...)
	s.more.Broadcast()
	return len(p), nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.more.Broadcast()
}

func meetOver(server, client *tls.Config, a, b net.Conn) meeting {
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
	err := cli.Handshake()
	if err == nil {
		_, err = cli.Read(make([]byte, 1))
	}
	_ = b.Close()
	if bad := <-done; bad != nil {
		err = errors.Join(bad, err)
	}
	return meeting{cli.ConnectionState(), srv.ConnectionState(), err}
}

// visitor is a client for a name, with or without a certificate.
func visitor(name string, version uint16, cert ...tls.Certificate) *tls.Config {
	return &tls.Config{
		ServerName: name, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(cert) > 0 {
				return &cert[0], nil
			}
			return &tls.Certificate{}, nil
		},
	}
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func TestClientCertificates(t *testing.T) {
	ca, other := newClientCA(t, "Staff"), newClientCA(t, "Other")
	roots := file(t, "ca.pem", certPEM(ca.certs[0]))
	revoked := ca.client(t, 1)
	later := time.Now().Add(48 * time.Hour)
	lists := file(t, "crl.pem", append(ca.crl(t, 0, later), ca.crl(t, 1, later, revoked)...))
	stale := file(t, "crl.pem", ca.crl(t, 1, time.Now().Add(-time.Minute)))
	s := siteStore(t, nil, certs.Options{},
		certs.Site{Hosts: []string{"open.test", ""}},
		authSite("require.test", certs.ClientAuth{CA: roots}),
		authSite("request.test", certs.ClientAuth{CA: roots, Mode: "request"}),
		authSite("deep.test", certs.ClientAuth{CA: roots, Depth: 2}),
		authSite("direct.test", certs.ClientAuth{CA: roots, Depth: -1}),
		authSite("listed.test", certs.ClientAuth{CA: roots, CRL: lists}),
		authSite("stale.test", certs.ClientAuth{CA: roots, CRL: stale}),
	)
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = u }
	}
	gone := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	none := []tls.Certificate{}
	one := func(c tls.Certificate) []tls.Certificate { return []tls.Certificate{c} }
	tests := []struct {
		name, host string
		cert       []tls.Certificate
		ok, shown  bool
	}{
		{"nobody is asked", "open.test", one(ca.client(t, 0)), true, false},
		{"required, none", "require.test", none, false, false},
		{"required, of the root", "require.test", one(ca.client(t, 0)), true, true},
		{"required, one intermediate", "require.test", one(ca.client(t, 1)), true, true},
		{"required, two intermediates", "require.test", one(ca.client(t, 2)), false, false},
		{"required, of another authority", "require.test", one(other.client(t, 0)), false, false},
		{"required, expired", "require.test", one(ca.client(t, 0, gone)), false, false},
		{"required, for servers", "require.test", one(ca.client(t, 0, usage(x509.ExtKeyUsageServerAuth))), false, false},
		{"required, for anything", "require.test", one(ca.client(t, 0, usage())), true, true},
		{"requested, none", "request.test", none, true, false},
		{"requested, good", "request.test", one(ca.client(t, 0)), true, true},
		{"requested, of another authority", "request.test", one(other.client(t, 0)), false, false},
		{"deep, two intermediates", "deep.test", one(ca.client(t, 2)), true, true},
		{"direct, of the root", "direct.test", one(ca.client(t, 0)), true, true},
		{"direct, one intermediate", "direct.test", one(ca.client(t, 1)), false, false},
		{"listed, good", "listed.test", one(ca.client(t, 1)), true, true},
		{"listed, revoked", "listed.test", one(revoked), false, false},
		{"listed, good, of the root", "listed.test", one(ca.client(t, 0)), true, true},
		{"list has expired", "stale.test", one(ca.client(t, 1)), false, false},
		{"no list of the issuer", "stale.test", one(ca.client(t, 0)), false, false},
	}
	for v, version := range versions {
		for _, tt := range tests {
			t.Run(v+" "+tt.name, func(t *testing.T) {
				m := meet(t, s.TLSConfig(), visitor(tt.host, version, tt.cert...))
				if (m.err == nil) != tt.ok {
					t.Fatalf("handshake: %v, want success %v", m.err, tt.ok)
				}
				if got := len(m.server.VerifiedChains) > 0; tt.ok && got != tt.shown {
					t.Errorf("a certificate was verified: %v, want %v", got, tt.shown)
				}
			})
		}
	}
}

// TestAuthoritiesAreNamed: browsers offer the certificates that fit.
func TestAuthoritiesAreNamed(t *testing.T) {
	ca := newClientCA(t, "Staff")
	s := siteStore(t, nil, certs.Options{}, authSite("a.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(ca.certs[:2]...))}))
	for v, version := range versions {
		var got [][]byte
		c := visitor("a.test", version)
		c.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			got = r.AcceptableCAs
			cert := ca.client(t, 0)
			return &cert, nil
		}
		if m := meet(t, s.TLSConfig(), c); m.err != nil {
			t.Fatal(m.err)
		}
		if len(got) != 2 || string(got[0]) != string(ca.certs[0].RawSubject) || string(got[1]) != string(ca.certs[1].RawSubject) {
			t.Errorf("%s: acceptable authorities are %q", v, got)
		}
	}
}

func TestRevokedClientIsLogged(t *testing.T) {
	ca := newClientCA(t, "Staff")
	bad := ca.client(t, 0, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(0xabc) })
	var j journal
	s := siteStore(t, j.log(), certs.Options{}, authSite("a.test", certs.ClientAuth{
		CA: file(t, "ca.pem", certPEM(ca.certs[0])), CRL: file(t, "crl.pem", ca.crl(t, 0, time.Now().AddDate(0, 1, 0), bad)),
	}))
	if m := meet(t, s.TLSConfig(), visitor("a.test", tls.VersionTLS13, bad)); m.err == nil {
		t.Error("a revoked client is let in")
	}
	if j.count(`msg="client certificate refused" host=a.test subject="CN=ann" serial=0ABC err="certificate 0ABC of CN=ann is revoked"`) != 1 {
		t.Errorf("the log does not say so:\n%s", j.buf.String())
	}
}

// TestRevocationListForms: a list may be DER, and a file may hold other things.
func TestRevocationListForms(t *testing.T) {
	ca := newClientCA(t, "Staff")
	bad, good := ca.client(t, 0), ca.client(t, 0)
	text := ca.crl(t, 0, time.Now().AddDate(0, 1, 0), bad)
	block, _ := pem.Decode(text)
	for name, data := range map[string][]byte{
		"der":    block.Bytes,
		"bundle": append(certPEM(ca.certs[0]), text...),
	} {
		s := siteStore(t, nil, certs.Options{}, authSite("a.test", certs.ClientAuth{
			CA: file(t, "ca.pem", certPEM(ca.certs[0])), CRL: file(t, "crl", data),
		}))
		if m := meet(t, s.TLSConfig(), visitor("a.test", tls.VersionTLS13, bad)); m.err == nil {
			t.Errorf("%s: a revoked client is let in", name)
		}
		if m := meet(t, s.TLSConfig(), visitor("a.test", tls.VersionTLS13, good)); m.err != nil {
			t.Errorf("%s: %v", name, m.err)
		}
	}
}

func TestClientAuthErrors(t *testing.T) {
	ca, other := newClientCA(t, "Staff"), newClientCA(t, "Staff") // the same names, other keys
	roots := file(t, "ca.pem", certPEM(ca.certs[0]))
	site := func(auth certs.ClientAuth) certs.Site { return authSite("a"+auth.CA+auth.CRL+auth.Mode+".test", auth) }
	delta := func() []byte {
		list := &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().AddDate(0, 1, 0),
			ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}},
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, ca.certs[0], ca.keys[0])
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	tests := []struct {
		site certs.Site
		want []string
	}{
		{site(certs.ClientAuth{CA: "/missing/ca.pem"}), []string{"client_auth.ca: ", "/missing/ca.pem", "check the path"}},
		{site(certs.ClientAuth{CA: file(t, "junk.pem", []byte("junk"))}), []string{"client_auth.ca: ", "junk.pem", "holds no certificate"}},
		{site(certs.ClientAuth{CA: roots, CRL: "/missing/crl.pem"}), []string{"client_auth.crl: ", "/missing/crl.pem", "check the path"}},
		{site(certs.ClientAuth{CA: roots, CRL: file(t, "junk.crl", []byte("junk"))}), []string{"client_auth.crl: ", "junk.crl", "list 1: is not a list"}},
		{site(certs.ClientAuth{CA: roots, CRL: file(t, "other.crl", other.crl(t, 0, time.Now().AddDate(0, 1, 0)))}), []string{"client_auth.crl: ", "is not signed by CN=Staff Root"}},
		{site(certs.ClientAuth{CA: roots, CRL: file(t, "delta.crl", delta())}), []string{"client_auth.crl: ", "2.5.29.27", "complete list"}},
		{site(certs.ClientAuth{CA: roots, Mode: "optional"}), []string{"client_auth.mode: "}},
		{site(certs.ClientAuth{Mode: "require"}), []string{"client_auth.ca: "}},
	}
	var sites []certs.Site
	for _, tt := range tests {
		sites = append(sites, tt.site)
	}
	_, err := certs.New(certs.Setup{}).Build(t.Context(), certs.Plan{
		Options: certs.Options{Issuer: []string{"none"}, Certificates: []certs.Pair{sharedPair(t)}}, Sites: sites,
	})
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(tests) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(tests), err)
	}
	for i, tt := range tests {
		if want := "sites[" + string(rune('0'+i)) + "]." + tt.want[0]; !strings.HasPrefix(lines[i], want) {
			t.Errorf("error %q does not start with %q", lines[i], want)
		}
		for _, w := range tt.want[1:] {
			if !strings.Contains(lines[i], w) {
				t.Errorf("error %q does not say %q", lines[i], w)
			}
		}
	}
}

// replace puts new bytes in the place of a file, as a careful program does.
func replace(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestFilesOfClientsAreFollowed: within a minute, without a reload, and a ticket
// does not outlive its certificate.
func TestFilesOfClientsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, next := newClientCA(t, "Staff"), newClientCA(t, "Next")
		ann, bob := ca.client(t, 0), ca.client(t, 0)
		roots, list := file(t, "ca.pem", certPEM(ca.certs[0])), file(t, "crl.pem", ca.crl(t, 0, time.Now().AddDate(0, 1, 0)))
		var j journal
		s := siteStore(t, j.log(), certs.Options{}, authSite("a.test", certs.ClientAuth{CA: roots, CRL: list}))
		run(t, s.RunPolling)
		a, b := visitor("a.test", 0, ann), visitor("a.test", 0, bob)
		a.ClientSessionCache, b.ClientSessionCache = tls.NewLRUClientSessionCache(1), tls.NewLRUClientSessionCache(1)
		try := func(what string, c *tls.Config, ok, resumed bool) {
			t.Helper()
			m := meet(t, s.TLSConfig(), c)
			if (m.err == nil) != ok || ok && m.client.DidResume != resumed {
				t.Errorf("%s: %v, resumed %v; want success %v, resumed %v", what, m.err, m.client.DidResume, ok, resumed)
			}
		}
		minute := func() { time.Sleep(61 * time.Second); synctest.Wait() }
		try("ann", a, true, false)
		try("bob", b, true, false)
		try("ann again", a, true, true)

		replace(t, list, ca.crl(t, 0, time.Now().AddDate(0, 1, 0), ann))
		minute()
		try("ann, revoked", a, false, false)
		try("bob, though ann is revoked", b, true, true)

		replace(t, list, []byte("junk"))
		minute()
		minute()
		try("ann, with a broken list", a, false, false)
		try("bob, with a broken list", b, true, true)
		if n := j.count("cannot be used, the old ones stay in force"); n != 1 {
			t.Errorf("a broken file is reported %d times:\n%s", n, j.buf.String())
		}

		replace(t, list, append(ca.crl(t, 0, time.Now().AddDate(0, 1, 0), ann), next.crl(t, 0, time.Now().AddDate(0, 1, 0))...))
		replace(t, roots, certPEM(ca.certs[0], next.certs[0]))
		minute()
		try("bob, after a change of authorities", b, true, false)
		replace(t, roots, certPEM(next.certs[0]))
		minute()
		try("bob, whose authority is gone", b, false, false)
		try("cho, of the new authority", visitor("a.test", 0, next.client(t, 0)), true, false)
	})
}

// TestListExpiresWhileServing: clients are refused, and the log said so before.
func TestListExpiresWhileServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newClientCA(t, "Staff")
		var j journal
		s := siteStore(t, j.log(), certs.Options{}, authSite("a.test", certs.ClientAuth{
			CA: file(t, "ca.pem", certPEM(ca.certs[0])), CRL: file(t, "crl.pem", ca.crl(t, 0, time.Now().Add(48*time.Hour))),
		}))
		run(t, s.RunPolling)
		c := visitor("a.test", 0, ca.client(t, 0))
		for _, tt := range []struct {
			wait        time.Duration
			ok          bool
			soon, stale int
		}{{time.Hour, true, 0, 0}, {24 * time.Hour, true, 1, 0}, {24 * time.Hour, false, 1, 1}, {24 * time.Hour, false, 1, 1}} {
			time.Sleep(tt.wait)
			synctest.Wait()
			if m := meet(t, s.TLSConfig(), c); (m.err == nil) != tt.ok {
				t.Errorf("after %v: %v, want success %v", tt.wait, m.err, tt.ok)
			}
			if soon, stale := j.count("expires soon"), j.count("revoked certificates has expired: clients"); soon != tt.soon || stale != tt.stale {
				t.Errorf("the log warns %d times and complains %d times, want %d and %d:\n%s", soon, stale, tt.soon, tt.stale, j.buf.String())
			}
		}
	})
}

// FuzzRevocations: a file is refused or not, and what it is never panics.
func FuzzRevocations(f *testing.F) {
	ca := newClientCA(f, "Staff")
	ann := ca.client(f, 0)
	text := ca.crl(f, 0, time.Now().AddDate(0, 1, 0), ann)
	block, _ := pem.Decode(text)
	f.Add(text)
	f.Add(block.Bytes)
	f.Add(append(text, text[:len(text)/2]...))
	roots, list := file(f, "ca.pem", certPEM(ca.certs[0])), file(f, "crl.pem", nil)
	pair := sharedPair(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		replace(t, list, data)
		s := certs.New(certs.Setup{})
		set, err := s.Build(t.Context(), certs.Plan{
			Options: certs.Options{Issuer: []string{"none"}, Certificates: []certs.Pair{pair}},
			Sites:   []certs.Site{authSite("a.test", certs.ClientAuth{CA: roots, CRL: list})},
		})
		if err != nil {
			return
		}
		s.Swap(set)
		if m := meet(t, s.TLSConfig(), visitor("a.test", 0, ann)); m.err == nil {
			t.Error("a client is let in that a signed list revokes, or that no signed list is about")
		}
	})
}
