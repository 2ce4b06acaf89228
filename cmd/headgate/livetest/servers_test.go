package livetest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// host is the name that every request of these tests asks for.
const host = "app.localhost"

// certificate is a pair for localhost and its like that nobody but the tests'
// clients trusts.
type certificate struct {
	cert, key string // files
	roots     *x509.CertPool
	spki      string // base64 of the SHA-256 of the public key, as Chromium takes it
}

func newCertificate(t testing.TB) *certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host, "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	c := &certificate{
		cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
		roots: x509.NewCertPool(), spki: base64.StdEncoding.EncodeToString(sum[:]),
	}
	c.roots.AddCert(leaf)
	write(t, c.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, c.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	return c
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// app is the app of testdata on a real uWSGI.
type app struct {
	*process
	socket string // path of its unix socket
	fifo   string // path of its command pipe
}

// startApp runs it with one process unless more options say otherwise.
func startApp(t testing.TB, options ...string) *app {
	t.Helper()
	dir := shortDir(t)
	return startAppAt(t, filepath.Join(dir, "app.sock"), options...)
}

func startAppAt(t testing.TB, socket string, options ...string) *app {
	t.Helper()
	binary := need(t, "uwsgi")
	a := &app{socket: socket, fifo: socket + ".fifo"}
	command := append([]string{
		binary, "--plugin", "python3", "--master", "--die-on-term", "--need-app",
		"--pythonpath", absolute(t, "../../../deploy/examples/echo"), "--wsgi-file", absolute(t, "testdata/live.py"),
		"--socket", socket, "--master-fifo", a.fifo, "--disable-logging",
		"--forkbomb-delay", "0", // workers may die as often as a test likes
	}, options...)
	a.process = start(t, filepath.Dir(socket), accepts("unix", socket), command...)
	return a
}

func absolute(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// conf is what a test says of the gateway's configuration; every field may be "".
type conf struct {
	socket string // path of the only member, on a unix socket
	member string // its address, if it is elsewhere
	limits string // more keys of limits, in flow style
	pool   string // more keys of the pool, lines of block style
	route  string // more keys of the route, in flow style
	more   string // lines at the end
	access string // path of the access log; "" for none
}

// gateway is the binary, running.
type gateway struct {
	*process
	*certificate
	file        string // its configuration
	admin       string // its admin socket
	http, https string // its addresses; that of https is also that of HTTP/3
}

// startGateway runs the binary and learns from it where it listens.
func startGateway(t testing.TB, c conf) *gateway {
	t.Helper()
	dir := shortDir(t)
	g := &gateway{certificate: newCertificate(t), file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")}
	g.configure(t, c)
	g.process = start(t, dir, accepts("unix", g.admin), headgate, "run", "-c", g.file)
	g.learn(t)
	return g
}

// configure writes the configuration.
func (g *gateway) configure(t testing.TB, c conf) {
	t.Helper()
	if c.member == "" {
		c.member = "unix:" + c.socket
	}
	if c.access == "" {
		c.access = "off"
	}
	text := fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls: {issuer: none, certificates: [{cert: %q, key: %q}]}
admin: {socket: %q}
log: {access: %q}
limits: {body: 4GiB%s}
pools:
  app:
    members: [%q]
%s
sites:
  - hosts: [%s, localhost, 127.0.0.1]
    http: serve
    routes: [{pool: app%s}]
%s
`, g.cert, g.key, g.admin, c.access, more(c.limits), c.member, indent(c.pool), host, more(c.route), c.more)
	write(t, g.file, text)
}

func more(keys string) string {
	if keys == "" {
		return ""
	}
	return ", " + keys
}

func indent(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// learn waits until the gateway serves.
func (g *gateway) learn(t testing.TB) {
	t.Helper()
	ok := eventually(10*time.Second, func() bool {
		stdout, _, code := run(t, headgate, "status", "--json", "--socket", g.admin)
		var status struct {
			State     string
			Listeners []struct{ Address, Protocol string }
		}
		if err := json.Unmarshal([]byte(stdout), &status); code != 0 || err != nil {
			return false
		}
		for _, l := range status.Listeners {
			switch l.Protocol {
			case "http":
				g.http = l.Address
			case "https":
				g.https = l.Address
			}
		}
		return status.State == "ready" && g.http != "" && g.https != ""
	})
	if !ok {
		t.Fatal("headgate status names no addresses")
	}
}

// port returns the port of an address.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// nginx is Debian's, in front of the same app with Debian's own variables.
type nginx struct {
	http, https string
}

const nginxConf = `daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 0; client_body_temp_path %[1]s/body; uwsgi_temp_path %[1]s/uwsgi;
  proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s; listen %[3]s ssl; server_name %[4]s;
    ssl_certificate %[5]s; ssl_certificate_key %[6]s; %[8]s
    location / { include /etc/nginx/uwsgi_params; uwsgi_pass unix:%[7]s; }
  }
}
`

func startNginx(t testing.TB, c *certificate, socket string) *nginx {
	t.Helper()
	return startNginxWith(t, c, socket, "")
}

// startNginxWith is startNginx with more directives for the server.
func startNginxWith(t testing.TB, c *certificate, socket, directives string) *nginx {
	t.Helper()
	binary := need(t, "nginx")
	dir := shortDir(t)
	n := &nginx{http: "127.0.0.1:" + freePort(t), https: "127.0.0.1:" + freePort(t)}
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(nginxConf, dir, n.http, n.https, host, c.cert, c.key, socket, directives))
	start(t, dir, accepts("tcp", n.http), binary, "-p", dir, "-c", file, "-e", "stderr")
	return n
}
