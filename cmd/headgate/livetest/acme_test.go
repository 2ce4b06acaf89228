package livetest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// public is what a test says of a gateway whose certificates an authority makes.
type public struct {
	ca      *pebbletest.CA
	http    string // address; by default where the authority looks for http-01
	https   string // address; by default where the authority looks for tls-alpn-01
	storage string // URL; a directory of its own by default
	email   string
	acme    string // more keys of tls.acme, in flow style
	tls     string // more lines of tls, in block style
	more    string // more lines at the top level
	sites   string // lines of block style
}

// site is the lines of a site that answers for hosts by itself.
func site(hosts ...string) string {
	return fmt.Sprintf("- {hosts: [%s], routes: [{respond: {body: hi}}]}\n", strings.Join(hosts, ", "))
}

// fill chooses what the test leaves open.
func (p *public) fill(t testing.TB) {
	t.Helper()
	if p.http == "" {
		p.http = fmt.Sprintf("127.0.0.1:%d", p.ca.HTTPPort)
	}
	if p.https == "" {
		p.https = fmt.Sprintf("127.0.0.1:%d", p.ca.TLSPort)
	}
	if p.storage == "" {
		p.storage = "file:" + filepath.Join(shortDir(t), "store")
	}
	if p.email == "" {
		p.email = "ops@example.test"
	}
}

// dir is the directory of the storage.
func (p *public) dir() string { return strings.TrimPrefix(p.storage, "file:") }

// configure writes the configuration of g.
func (p *public) configure(t testing.TB, g *gateway) {
	t.Helper()
	acme := ""
	if p.ca != nil {
		acme = fmt.Sprintf("  acme: {directory: %q, roots: %q%s}\n", p.ca.Directory, p.ca.RootsFile, more(p.acme))
	}
	write(t, g.file, fmt.Sprintf(`listen: {http: %q, https: %q}
admin: {socket: %q}
log: {access: "off"}
tls:
  email: %s
  storage: %q
%s%s%ssites:
%s`, p.http, p.https, g.admin, p.email, p.storage, acme, p.tls, p.more, p.sites))
}

// gateway makes a gateway that does not run yet.
func (p *public) gateway(t testing.TB) *gateway {
	t.Helper()
	p.fill(t)
	dir := shortDir(t)
	g := &gateway{
		certificate: &certificate{roots: x509.NewCertPool()}, file: filepath.Join(dir, "headgate.yaml"),
		admin: filepath.Join(dir, "admin.sock"), http: p.http, https: p.https,
	}
	if p.ca != nil {
		g.roots = p.ca.Root()
	}
	return g
}

// start runs a gateway and waits until it serves.
func (p *public) start(t testing.TB) *gateway {
	t.Helper()
	g := p.gateway(t)
	p.run(t, g)
	return g
}

// run runs g with the configuration of p. It may have run before.
func (p *public) run(t testing.TB, g *gateway) {
	t.Helper()
	p.configure(t, g)
	g.process = start(t, filepath.Dir(g.file), accepts("unix", g.admin), headgate, "run", "-c", g.file)
	g.learn(t)
}

// reload has g take over the configuration of p.
func (p *public) reload(t testing.TB, g *gateway) {
	t.Helper()
	p.configure(t, g)
	if stdout, stderr, code := run(t, headgate, "reload", "-c", g.file); code != 0 {
		t.Fatalf("reload: %s%s", stdout, stderr)
	}
}

// listed is what headgate certs says of one certificate.
type listed struct {
	Names     []string
	Source    string
	Issuer    string
	Challenge string
	OnDemand  bool      `json:"on_demand"`
	NotAfter  time.Time `json:"not_after"`
	RenewAt   time.Time `json:"renew_at"`
	RetryAt   time.Time `json:"retry_at"`
	Error     string
}

// certs asks headgate certs.
func (g *gateway) certs(t testing.TB) []listed {
	t.Helper()
	stdout, stderr, code := run(t, headgate, "certs", "--json", "--socket", g.admin)
	var out []listed
	if err := json.Unmarshal([]byte(stdout), &out); code != 0 || err != nil {
		t.Fatalf("headgate certs: exit code %d, %v: %s", code, err, stderr)
	}
	return out
}

// about is what headgate certs says of name.
func (g *gateway) about(t testing.TB, name string) listed {
	t.Helper()
	for _, c := range g.certs(t) {
		if slices.Contains(c.Names, name) {
			return c
		}
	}
	t.Fatalf("headgate certs does not list %s", name)
	return listed{}
}

// issued waits until all names have certificates and nothing to complain about.
// It makes no handshake.
func (g *gateway) issued(t testing.TB, within time.Duration, names ...string) {
	t.Helper()
	var missing []string
	ok := eventually(within, func() bool {
		have := map[string]bool{}
		for _, c := range g.certs(t) {
			for _, n := range c.Names {
				have[n] = !c.NotAfter.IsZero() && c.Error == ""
			}
		}
		missing = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return have[n] })
		return len(missing) == 0
	})
	if !ok {
		table, _, _ := run(t, headgate, "certs", "--socket", g.admin)
		t.Fatalf("no certificate within %v for %v:\n%s", within, missing[:min(len(missing), 10)], tail(table, 4000))
	}
}

// shake does a TLS handshake that trusts g.roots, and returns the certificate.
func (g *gateway) shake(name string) (*x509.Certificate, error) {
	conf := g.named()
	conf.ServerName = name
	return handshake(g.https, conf)
}

// peek is shake that trusts everybody.
func (g *gateway) peek(name string) (*x509.Certificate, error) {
	return handshake(g.https, &tls.Config{ServerName: name, InsecureSkipVerify: true})
}

func handshake(addr string, conf *tls.Config) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	d := tls.Dialer{Config: conf}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer hangUp(c)
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// hangUp closes a connection so that no port waits for its last packets: tests
// open ten thousands.
func hangUp(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // what is not sent is not wanted
	}
	_ = c.Close()
}

// leaf is the certificate that a client is shown and trusts.
func (g *gateway) leaf(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	c, err := g.shake(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

func serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

// wantServed asks for a page of each host over every protocol with TLS.
func (g *gateway) wantServed(t testing.TB, hosts ...string) {
	t.Helper()
	for _, p := range []protocol{h1s, h2, h3} {
		client := g.client(t, p)
		for _, h := range hosts {
			resp, err := client.Get("https://" + h + "/page")
			if err != nil {
				t.Errorf("%s over %s: %v", h, p, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.Proto != p.name() {
				t.Errorf("%s over %s: %d, %s", h, p, resp.StatusCode, resp.Proto)
			}
		}
	}
}

// wantSaid waits for a line of the log that has all words.
func (g *gateway) wantSaid(t testing.TB, within time.Duration, words ...string) {
	t.Helper()
	if !eventually(within, func() bool { return len(g.lines(words...)) > 0 }) {
		t.Errorf("no line of the log has %q:\n%s", words, tail(g.said(), 3000))
	}
}

// lines returns the lines of the log that have all words.
func (g *gateway) lines(words ...string) []string {
	var out []string
	for line := range strings.Lines(g.said()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			out = append(out, line)
		}
	}
	return out
}

// kill ends the process as a crash would.
func (g *gateway) kill(t testing.TB) {
	t.Helper()
	g.signal(t, syscall.SIGKILL)
	<-g.ended
}

// accounts lists the accounts that have placed orders.
func accounts(ca *pebbletest.CA) []string {
	var out []string
	for _, o := range ca.Orders() {
		if !slices.Contains(out, o.Account) {
			out = append(out, o.Account)
		}
	}
	return out
}

// wantOneOrder is about names that each have to have been ordered once, by one
// account.
func wantOneOrder(t testing.TB, ca *pebbletest.CA, names ...string) {
	t.Helper()
	count := map[string]int{}
	for _, o := range ca.Orders() {
		for _, n := range o.Names {
			count[n]++
		}
	}
	for _, n := range names {
		if count[n] != 1 {
			t.Errorf("%d orders for %s, want one", count[n], n)
		}
	}
	if a := accounts(ca); len(a) != 1 {
		t.Errorf("orders of the accounts %v, want one", a)
	}
}
