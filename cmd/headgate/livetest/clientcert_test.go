package livetest_test

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go/http3"
)

// The sites of the tests of client certificates. All have one certificate.
const (
	required = "required.client.test"
	sibling  = "same.client.test" // as required
	optional = "optional.client.test"
	open     = "open.client.test"
)

// clients are a gateway whose sites ask for certificates, and who makes them.
type clients struct {
	*gateway
	mint   *mint
	crl    string // file
	socket string // of the app
	cert   string // the server's, files
	key    string
}

func startClients(t *testing.T) *clients {
	t.Helper()
	m := newMint(t)
	a := startApp(t, "--buffer-size", "32768")
	c := &clients{mint: m, crl: filepath.Join(shortDir(t), "clients.crl"), socket: a.socket}
	c.cert, c.key = m.files(t, required, sibling, optional, open, host)
	ca := c.root(t)
	c.revoke(t)
	p := &public{
		http: "127.0.0.1:" + freePort(t), https: "127.0.0.1:" + freePort(t),
		tls:  fmt.Sprintf("  issuer: none\n  certificates: [{cert: %q, key: %q}]\n", c.cert, c.key),
		more: fmt.Sprintf("pools: {app: {members: [\"unix:%s\"]}}\n", a.socket),
		sites: fmt.Sprintf(`- {hosts: [%s, %s], http: redirect, tls: {client_auth: {ca: %q, crl: %q, certificate: true}}, routes: [{pool: app}]}
- {hosts: [%s, %s], http: serve, tls: {client_auth: {ca: %q, crl: %q, mode: request}}, routes: [{pool: app}]}
- {hosts: [%s], http: serve, routes: [{pool: app}]}
`, required, sibling, ca, c.crl, optional, host, ca, c.crl, open),
	}
	c.gateway = p.start(t)
	c.roots.AddCert(m.root)
	return c
}

// root writes the certificate of the authority.
func (c *clients) root(t testing.TB) string {
	t.Helper()
	file := filepath.Join(shortDir(t), "ca.pem")
	write(t, file, pemText("CERTIFICATE", c.mint.root.Raw))
	return file
}

// revoke writes the list of certificates that are revoked.
func (c *clients) revoke(t testing.TB, revoked ...tls.Certificate) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(30 * day)}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.Leaf.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, c.mint.root, c.mint.key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c.crl, pemText("X509 CRL", der))
}

// person makes the certificate of a client.
func (c *clients) person(t testing.TB, name string) tls.Certificate {
	t.Helper()
	return c.mint.make(t, x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Hour), time.Now().Add(day), name)
}

// showing is a client with a certificate, or without, that names sni whatever
// host it asks for; "" is that host.
func (c *clients) showing(t testing.TB, p protocol, cert *tls.Certificate, sni string) *http.Client {
	t.Helper()
	client := c.client(t, p)
	conf := configOf(client)
	conf.ServerName = sni
	if cert != nil {
		conf.Certificates = []tls.Certificate{*cert}
	}
	return client
}

// configOf is what a client that has not been used says in handshakes.
func configOf(client *http.Client) *tls.Config {
	if tr, ok := client.Transport.(*http3.Transport); ok {
		return tr.TLSClientConfig
	}
	return client.Transport.(*http.Transport).TLSClientConfig
}

// see asks for a page and returns what the app saw, if it was asked.
func see(t testing.TB, client *http.Client, host string, header http.Header) (int, environ, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/page", nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	var e environ
	_ = json.Unmarshal(body, &e) // a page of the gateway's own is none
	return resp.StatusCode, e, string(body)
}

// aboutClient is what e says of the client's certificate.
func aboutClient(e environ) map[string]string {
	out := map[string]string{}
	for k, v := range e {
		if s, ok := v.(string); ok && strings.Contains(k, "SSL_CLIENT") {
			out[k] = s
		}
	}
	return out
}

var secureProtocols = []protocol{h1s, h2, h3}

// TestClientCertificates: the app is told who the client is, and nobody else can
// tell it.
func TestClientCertificates(t *testing.T) {
	c := startClients(t)
	alice := c.person(t, "alice")
	forged := http.Header{"Ssl-Client-Verify": {"SUCCESS"}, "Ssl_client_verify": {"SUCCESS"}, "Ssl-Client-S-Dn": {"CN=root"}, "X-Ssl-Client-Cert": {"x"}}
	sum := sha1.Sum(alice.Leaf.Raw)
	for _, p := range secureProtocols {
		t.Run(string(p), func(t *testing.T) {
			status, e, body := see(t, c.showing(t, p, &alice, ""), required, forged.Clone())
			if status != 200 {
				t.Fatalf("with a certificate: %d %s", status, body)
			}
			got := aboutClient(e)
			for key, want := range map[string]string{
				"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN_CN": "alice", "SSL_CLIENT_I_DN": "CN=Mint",
				"SSL_CLIENT_M_SERIAL": strings.ToUpper(alice.Leaf.SerialNumber.Text(16)), "SSL_CLIENT_FINGERPRINT": hex.EncodeToString(sum[:]),
			} {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
			if block, _ := pem.Decode([]byte(got["SSL_CLIENT_CERT"])); block == nil || string(block.Bytes) != string(alice.Leaf.Raw) {
				t.Errorf("SSL_CLIENT_CERT is %q", got["SSL_CLIENT_CERT"])
			}
			for name, want := range map[string]map[string]string{optional: {"SSL_CLIENT_VERIFY": "NONE"}, open: {}} {
				status, e, body := see(t, c.showing(t, p, nil, ""), name, forged.Clone())
				got := aboutClient(e)
				for k := range got {
					if strings.HasPrefix(k, "HTTP_") { // a header is what it looks like
						delete(got, k)
					}
				}
				if d := cmp.Diff(want, got); status != 200 || d != "" {
					t.Errorf("%s without a certificate: %d %s\n%s", name, status, d, body)
				}
			}
			if status, _, why := see(t, c.showing(t, p, nil, ""), required, nil); status != 0 { // the reset of the connection may overtake the alert
				t.Errorf("%s without a certificate: %d %s", required, status, why)
			}
		})
	}
}

// TestClientCertificateAsNginx: the variables are those that people take from
// nginx, to the letter.
func TestClientCertificateAsNginx(t *testing.T) {
	c := startClients(t)
	alice := c.person(t, "Alice, O'Neil+\"<é>")
	n := startNginxWith(t, &certificate{cert: c.cert, key: c.key}, c.socket, fmt.Sprintf(`ssl_client_certificate %s; ssl_verify_client optional;
    location /page { uwsgi_param SSL_CLIENT_VERIFY $ssl_client_verify; uwsgi_param SSL_CLIENT_S_DN $ssl_client_s_dn; uwsgi_param SSL_CLIENT_I_DN $ssl_client_i_dn;
    uwsgi_param SSL_CLIENT_M_SERIAL $ssl_client_serial; uwsgi_param SSL_CLIENT_FINGERPRINT $ssl_client_fingerprint;
    uwsgi_param SSL_CLIENT_V_START $ssl_client_v_start; uwsgi_param SSL_CLIENT_V_END $ssl_client_v_end; include /etc/nginx/uwsgi_params; uwsgi_pass unix:%s; }`, c.root(t), c.socket))
	behind := *c.gateway
	behind.https = n.https
	theirs := *c
	theirs.gateway = &behind
	for name, cert := range map[string]*tls.Certificate{"with": &alice, "without": nil} {
		_, want, body := see(t, theirs.showing(t, h1s, cert, ""), host, nil)
		_, got, _ := see(t, c.showing(t, h1s, cert, ""), host, nil)
		w, g := aboutClient(want), aboutClient(got)
		if w["SSL_CLIENT_VERIFY"] == "" {
			t.Fatalf("nginx says nothing: %s", body)
		}
		for k, v := range w {
			if v == "" {
				delete(w, k) // nginx sends empty ones
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok && (k == "SSL_CLIENT_S_DN_CN" || strings.HasPrefix(k, "SSL_CLIENT_SAN_")) {
				delete(g, k) // nginx has none
			}
		}
		if d := cmp.Diff(w, g); d != "" {
			t.Errorf("%s a certificate: behind nginx (-) and behind headgate (+):\n%s", name, d)
		}
	}
}

// TestClientCertificateRevoked: the list is read again while the gateway runs: once
// a minute, which would take too long here, and with every reload. A session from
// before does not help.
func TestClientCertificateRevoked(t *testing.T) {
	c := startClients(t)
	alice, bob := c.person(t, "alice"), c.person(t, "bob")
	sessions := map[protocol]tls.ClientSessionCache{}
	resuming := func(p protocol) *http.Client {
		client := c.showing(t, p, &bob, "")
		configOf(client).ClientSessionCache = sessions[p]
		return client
	}
	for _, p := range secureProtocols {
		sessions[p] = tls.NewLRUClientSessionCache(4)
		for range 2 {
			if status, _, why := see(t, resuming(p), required, nil); status != 200 {
				t.Fatalf("%s before: %d %s", p, status, why)
			}
		}
	}
	c.revoke(t, bob)
	if _, stderr, code := run(t, headgate, "reload", "-c", c.file); code != 0 {
		t.Fatal(stderr)
	}
	for _, p := range secureProtocols {
		if status, _, _ := see(t, c.showing(t, p, &bob, ""), required, nil); status != 0 {
			t.Errorf("%s: a revoked certificate is still good: %d", p, status)
		}
		if status, _, _ := see(t, resuming(p), required, nil); status != 0 {
			t.Errorf("%s: a revoked certificate is still good in a session: %d", p, status)
		}
		if status, _, why := see(t, c.showing(t, p, &alice, ""), required, nil); status != 200 {
			t.Errorf("%s with another certificate: %d %s", p, status, why)
		}
	}
}

// TestClientCertificateAndConnection: a connection is of one policy.
func TestClientCertificateAndConnection(t *testing.T) {
	c := startClients(t)
	alice := c.person(t, "alice")
	for _, p := range secureProtocols {
		for _, row := range []struct {
			sni, host string
			want      int
		}{
			{required, sibling, 200},
			{open, required, 421},
			{open, optional, 421},
			{optional, required, 421},
			{required, open, 421},
			{required, optional, 421},
		} {
			status, _, body := see(t, c.showing(t, p, &alice, row.sni), row.host, nil)
			if status != row.want {
				t.Errorf("%s: a connection for %s asks for %s: %d, want %d: %s", p, row.sni, row.host, status, row.want, body)
			}
		}
	}
}
