package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/tls/certs"
	"headgate/upstream/uwsgi/uwsgitest"
)

// clientCert makes a certificate of a client that ca has signed.
func clientCert(t testing.TB, ca *publicCA, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"Clients"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca.root, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// rootFile writes the certificate of ca where a configuration can name it.
func rootFile(t testing.TB, ca *publicCA) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeRoot(t, file, ca)
	return file
}

func writeRoot(t testing.TB, file string, ca *publicCA) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// with is a client that shows a certificate and asks for a server name.
func with(t *testing.T, g *gatewaytest.Gateway, p gatewaytest.Protocol, sni string, cert *tls.Certificate) *gatewaytest.Client {
	t.Helper()
	return g.ClientWith(t, p, func(c *tls.Config) {
		if sni != "" {
			c.ServerName = sni
		}
		if cert != nil {
			c.Certificates = []tls.Certificate{*cert}
		}
	})
}

func secure() []gatewaytest.Protocol {
	return []gatewaytest.Protocol{gatewaytest.H1S, gatewaytest.H2, gatewaytest.H3}
}

// ask asks for / of a host.
func ask(c *gatewaytest.Client, host string, header ...string) *gatewaytest.Response {
	r := c.Request("GET", "/", nil, header...)
	r.Host = host
	return c.Do(r)
}

// lastOf is what the worker was asked last.
func lastOf(w *uwsgitest.Worker) *uwsgitest.Request {
	all := w.Requests()
	return all[len(all)-1]
}

// clientSites are a site that requires a certificate, one that asks for one, and
// one that has no interest; all of them with certificates that cover the others.
func clientSites(t *testing.T, w *uwsgitest.Worker, clients string) (conf string, trust []byte) {
	t.Helper()
	cert, file := selfSigned(t, "*.localhost", "localhost")
	return fmt.Sprintf(`
listen: {http: "127.0.0.1:0", https: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
limits: {header_bytes: 200KiB}
tls: {certificates: [{cert: %[3]q, key: %[4]q}]}
pools: {app: {members: [%[1]q]}}
sites:
- {hosts: [app.localhost, same.localhost], tls: {client_auth: {ca: %[2]q, certificate: true}}, routes: [{pool: app}]}
- {hosts: [ask.localhost], http: serve, tls: {client_auth: {ca: %[2]q, mode: request}}, routes: [{pool: app}]}
- {hosts: [open.localhost, other.localhost], http: serve, routes: [{pool: app}]}
`, w.Addr(), clients, file, file+".key"), cert.Certificate[0]
}

func startClientSites(t *testing.T, ca *publicCA) (*gatewaytest.Gateway, *uwsgitest.Worker) {
	t.Helper()
	w := app(t, answerOK)
	conf, trust := clientSites(t, w, rootFile(t, ca))
	g := gatewaytest.Start(t, conf)
	g.Trust(trust)
	return g, w
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	ca := newPublicCA(t)
	mine, foreign := clientCert(t, ca, "alice"), clientCert(t, newPublicCA(t), "mallory")
	g, w := startClientSites(t, ca)
	for _, p := range secure() {
		t.Run(p.String(), func(t *testing.T) {
			c := with(t, g, p, "", &mine)
			for range 2 { // the second time from memory
				if got := c.Get("/", "SSL-CLIENT-VERIFY: forged", "SSL_CLIENT_S_DN: forged"); got.Code != 200 {
					t.Fatalf("with a certificate: %d %q", got.Code, got.Body)
				}
				r := lastOf(w)
				text := r.Var("SSL_CLIENT_CERT")
				if unescaped, err := url.QueryUnescape(text); err == nil && !strings.Contains(text, " CERT") {
					text = unescaped
				}
				block, _ := pem.Decode([]byte(text))
				if r.Var("SSL_CLIENT_VERIFY") != "SUCCESS" || !strings.Contains(r.Var("SSL_CLIENT_S_DN"), "CN=alice") || block == nil || string(block.Bytes) != string(mine.Leaf.Raw) {
					t.Errorf("the app was told %v", r.Vars)
				}
			}
			for name, cert := range map[string]*tls.Certificate{"none": nil, "of another authority": &foreign} {
				c := with(t, g, p, "", cert)
				if got, err := c.Try(c.Request("GET", "/", nil)); err == nil {
					t.Errorf("a client with the certificate %s got %d", name, got.Code)
				}
			}
			if got := ask(with(t, g, p, "ask.localhost", nil), "ask.localhost"); got.Code != 200 || lastOf(w).Var("SSL_CLIENT_VERIFY") != "NONE" || lastOf(w).Var("SSL_CLIENT_CERT") != "" {
				t.Errorf("mode request without a certificate: %d, %v", got.Code, lastOf(w).Vars)
			}
			if got := ask(with(t, g, p, "ask.localhost", &mine), "ask.localhost"); got.Code != 200 || lastOf(w).Var("SSL_CLIENT_VERIFY") != "SUCCESS" || lastOf(w).Var("SSL_CLIENT_CERT") != "" {
				t.Errorf("mode request with a certificate: %d, %v", got.Code, lastOf(w).Vars)
			}
			got := ask(with(t, g, p, "open.localhost", &mine), "open.localhost")
			for _, v := range lastOf(w).Vars {
				if got.Code != 200 || strings.HasPrefix(v.Key, "SSL_CLIENT") {
					t.Errorf("a site without client_auth: %d, %v", got.Code, v)
				}
			}
		})
	}
}

// TestConnectionOfAnotherPolicy: the certificate of the server covers all hosts,
// and what clients have shown for one of them says nothing to the others.
func TestConnectionOfAnotherPolicy(t *testing.T) {
	t.Parallel()
	ca := newPublicCA(t)
	mine := clientCert(t, ca, "alice")
	g, _ := startClientSites(t, ca)
	for _, p := range secure() {
		for _, row := range []struct {
			sni, host string
			code      int
		}{
			{"app.localhost", "same.localhost", 200},
			{"open.localhost", "other.localhost", 200},
			{"open.localhost", "app.localhost", 421},
			{"open.localhost", "ask.localhost", 421},
			{"ask.localhost", "app.localhost", 421},
			{"app.localhost", "ask.localhost", 421},
			{"app.localhost", "open.localhost", 421},
			{"127.0.0.1", "app.localhost", 421}, // which is not sent: no server name
			{"127.0.0.1", "open.localhost", 200},
		} {
			for _, header := range []string{"X-Plain: y", "X-Forwarded-For: 203.0.113.9"} { // the second makes a trusted proxy of it
				c := g.ClientWith(t, p, func(c *tls.Config) {
					c.ServerName, c.Certificates, c.InsecureSkipVerify = row.sni, []tls.Certificate{mine}, true
				})
				got := ask(c, row.host, header)
				if got.Code != row.code || row.code == 421 && !strings.Contains(got.Body, "whose clients need other certificates") {
					t.Errorf("%s over %s for %s (%s): got %d %q, want %d", row.host, p, row.sni, header, got.Code, got.Body, row.code)
				}
			}
		}
	}
}

// TestRequiredCertificateNeedsTLS: what came without TLS is not served, whoever
// says that it was https before.
func TestRequiredCertificateNeedsTLS(t *testing.T) {
	t.Parallel()
	g, w := startClientSites(t, newPublicCA(t))
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H2C} {
		c := g.Client(t, p)
		if got := ask(c, "app.localhost"); got.Code != 308 {
			t.Errorf("%s: got %d, want the redirect", p, got.Code)
		}
		proxy := []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"}
		if got := ask(c, "app.localhost", proxy...); got.Code != 403 || !strings.Contains(got.Body, "requires certificates of its clients") {
			t.Errorf("%s through a proxy: got %d %q, want 403", p, got.Code, got.Body)
		}
		if len(w.Requests()) != 0 {
			t.Fatal("the app was asked")
		}
	}
	if got := ask(g.Client(t, gatewaytest.H1), "ask.localhost", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"); got.Code != 200 || lastOf(w).Var("SSL_CLIENT_VERIFY") != "NONE" {
		t.Errorf("mode request through a proxy: got %d, %v", got.Code, lastOf(w).Vars)
	}
}

// TestConnectionsOutliveNoPolicy: a connection stays open over a reload, and what
// its client has shown does not stay good.
func TestConnectionsOutliveNoPolicy(t *testing.T) {
	t.Parallel()
	first, second := newPublicCA(t), newPublicCA(t)
	w := app(t, answerOK)
	clients := rootFile(t, first)
	conf, trust := clientSites(t, w, clients)
	open := strings.Replace(conf, fmt.Sprintf("tls: {client_auth: {ca: %q, certificate: true}}, ", clients), "", 1)
	g := gatewaytest.Start(t, open)
	g.Trust(trust)
	one, two := clientCert(t, first, "alice"), clientCert(t, second, "bob")
	for _, p := range secure() {
		writeRoot(t, clients, first)
		if err := g.ReloadWith(open); err != nil {
			t.Fatal(err)
		}
		none := with(t, g, p, "", nil)
		if got := none.Get("/"); got.Code != 200 {
			t.Fatalf("%s: got %d", p, got.Code)
		}
		if err := g.ReloadWith(conf); err != nil {
			t.Fatal(err)
		}
		if got := none.Get("/"); got.Code != 421 || !strings.Contains(got.Body, "was made before what") {
			t.Errorf("%s: a connection from before the rule got %d %q, want 421", p, got.Code, got.Body)
		}
		cache := tls.NewLRUClientSessionCache(4)
		resuming := func() *gatewaytest.Client {
			return g.ClientWith(t, p, func(c *tls.Config) { c.Certificates, c.ClientSessionCache = []tls.Certificate{one}, cache })
		}
		c := resuming()
		if got := c.Get("/"); got.Code != 200 {
			t.Errorf("%s: with a certificate: %d %q", p, got.Code, got.Body)
		}
		if err := g.ReloadWith(conf); err != nil {
			t.Fatal(err)
		}
		if got := c.Get("/"); got.Code != 200 {
			t.Errorf("%s: after a reload that changes nothing: %d %q", p, got.Code, got.Body)
		}
		writeRoot(t, clients, second)
		if err := g.ReloadWith(conf); err != nil {
			t.Fatal(err)
		}
		if got := c.Get("/"); got.Code != 421 {
			t.Errorf("%s: with a certificate of an authority that is not trusted any more: %d %q", p, got.Code, got.Body)
		}
		again := resuming()
		if got, err := again.Try(again.Request("GET", "/", nil)); err == nil {
			t.Errorf("%s: resumed with a certificate of an authority that is not trusted any more: %d", p, got.Code)
		}
		if got := with(t, g, p, "", &two).Get("/"); got.Code != 200 {
			t.Errorf("%s: with one of the new authority: %d %q", p, got.Code, got.Body)
		}
	}
}

// TestTooLargeBecauseOfTheCertificate: it is named, with a cure that is not the
// client's.
func TestTooLargeBecauseOfTheCertificate(t *testing.T) {
	t.Parallel()
	ca := newPublicCA(t)
	mine := clientCert(t, ca, "alice")
	g, _ := startClientSites(t, ca)
	got := with(t, g, gatewaytest.H2, "", &mine).Get("/", "X-Big: "+strings.Repeat("x", 65000))
	if got.Code != 431 || !strings.Contains(got.Body, "as SSL_CLIENT_CERT") {
		t.Errorf("got %d %q", got.Code, got.Body)
	}
	if l := g.Logged("request failed", got.ID); !strings.Contains(l.Text("cure"), "tls.client_auth.certificate: false") {
		t.Errorf("log has %v", l)
	}
}

// BenchmarkClientVars measures what requests of a site with client_auth cost more.
func BenchmarkClientVars(b *testing.B) {
	ca := newPublicCA(b)
	cert := clientCert(b, ca, "alice")
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf, ca.root}, VerifiedChains: [][]*x509.Certificate{{cert.Leaf, ca.root}}}
	b.ReportAllocs()
	for b.Loop() {
		_ = certs.ClientVars(state, true)
	}
}
