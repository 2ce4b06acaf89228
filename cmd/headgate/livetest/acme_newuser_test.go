package livetest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// TestCertificateLife is what a new user sees, from the file that names two public
// hosts to the renewal that nobody notices.
func TestCertificateLife(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	a := startApp(t, "--processes", "2", "--listen", "100")
	const shop, www = "shop.example.test", "www.example.test"
	p := &public{
		ca: ca, more: fmt.Sprintf("pools: {app: {members: [\"unix:%s\"]}}\n", a.socket),
		sites: fmt.Sprintf("- {hosts: [%s, %s], http: redirect, routes: [{pool: app}]}\n", shop, www),
	}
	begin := time.Now()
	g := p.start(t)
	g.issued(t, 20*time.Second, shop, www)
	t.Logf("both certificates %v after the start", time.Since(begin).Round(time.Millisecond))
	wantOneOrder(t, ca, shop, www)
	g.wantServed(t, shop, www)
	for _, n := range []string{shop, www} {
		if len(g.lines(`"msg":"certificate obtained"`, n, `"challenge":"http-01"`, "not_after")) != 1 {
			t.Errorf("the log has no line for %s", n)
		}
	}
	resp, err := g.client(t, h1).Get("http://" + shop + "/page")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusPermanentRedirect {
		t.Errorf("over plain http: %d, want the redirect", resp.StatusCode)
	}
	wantTable(t, g, shop, www)
	first := renewUnderLoad(t, g, shop)
	restartOrdersNothing(t, ca, p, g, first, shop, www)
	renewWhenTold(t, ca, p, g, www)
}

// wantTable looks at what a person sees.
func wantTable(t *testing.T, g *gateway, names ...string) {
	t.Helper()
	table, stderr, code := run(t, headgate, "certs", "--socket", g.admin)
	if code != 0 {
		t.Fatal(stderr)
	}
	t.Logf("\n%s", table)
	for _, n := range names {
		row := ""
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, n+" ") {
				row = line
			}
		}
		for _, want := range []string{"acme; Pebble Intermediate", "in 90 days", "days", "http-01", "ok"} {
			if !strings.Contains(row, want) {
				t.Errorf("the row of %s does not say %q: %s", n, want, row)
			}
		}
	}
}

// renewUnderLoad returns the serial number of the new certificate.
func renewUnderLoad(t *testing.T, g *gateway, name string) string {
	t.Helper()
	old := serial(g.leaf(t, name))
	l := startLoadOf(t, g, 2, true, name, "/page", []protocol{h1s, h2, h3})
	for range 2 {
		stdout, stderr, code := run(t, headgate, "certs", "renew", name, "--socket", g.admin)
		if code != 0 || !strings.Contains(stdout, name+": valid until ") {
			t.Fatalf("certs renew: exit code %d: %s%s", code, stdout, stderr)
		}
		now := serial(g.leaf(t, name))
		if now == old {
			t.Errorf("the serial number is still %s", old)
		}
		old = now
	}
	l.end(t)
	return old
}

func restartOrdersNothing(t *testing.T, ca *pebbletest.CA, p *public, g *gateway, want string, names ...string) {
	t.Helper()
	orders := len(ca.Orders())
	g.stop(os.Interrupt)
	p.run(t, g)
	if got := serial(g.leaf(t, names[0])); got != want {
		t.Errorf("after a restart %s is served, want %s", got, want)
	}
	for _, n := range names {
		g.wantSaid(t, 2*time.Second, `"msg":"certificate"`, n, "not_after", "renew_at")
	}
	if n := len(ca.Orders()); n != orders {
		t.Errorf("%d orders after a restart", n-orders)
	}
}

// renewWhenTold: the authority wants a certificate to be renewed now. It tells
// who asks once in six hours only, so the gateway is made to ask: other settings
// of the authority are a reason.
func renewWhenTold(t *testing.T, ca *pebbletest.CA, p *public, g *gateway, name string) {
	t.Helper()
	old := g.leaf(t, name)
	ca.SetRenewalInfo(old, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	p.acme = "challenges: [tls-alpn-01]"
	p.reload(t, g)
	if !eventually(20*time.Second, func() bool { c, err := g.shake(name); return err == nil && serial(c) != serial(old) }) {
		t.Fatalf("%s is not renewed although the authority wants it:\n%s", name, tail(g.said(), 2000))
	}
	all := ca.Orders()
	last := all[len(all)-1]
	if last.Replaces == "" || last.Names[0] != name {
		t.Errorf("the last order is %+v, want one that replaces the certificate of %s", last, name)
	}
	if got := g.about(t, name).Challenge; got != "tls-alpn-01" {
		t.Errorf("proven by %q, want tls-alpn-01", got)
	}
}

// TestChallengesLive: each way to prove control of a name, and h3 at the same time.
func TestChallengesLive(t *testing.T) {
	need(t, "curl")
	ca := pebbletest.Start(t, pebbletest.Options{})
	dir := shortDir(t)
	hook, calls := filepath.Join(dir, "hook"), filepath.Join(dir, "calls")
	// The name server can only forget all values of a name, and *.wild.test and
	// wild.test share one. So the hook notes what it is to take away.
	write(t, hook, fmt.Sprintf(`#!/bin/sh
set -eu
echo "$*" >> %s
[ "$1" = cleanup ] || curl -fsS --noproxy '*' -d "{\"host\":\"$2\",\"value\":\"$3\"}" %s/set-txt
`, calls, ca.DNSManagement()))
	if err := os.Chmod(hook, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &public{
		ca: ca, acme: "challenges: [tls-alpn-01]",
		tls: fmt.Sprintf(`  issuers:
  - {name: dns, directory: %q, roots: %q, challenges: [{type: dns-01, command: [%q], propagation_timeout: "off"}]}
`, ca.Directory, ca.RootsFile, hook),
		sites: site("a.alpn.test", "b.alpn.test") +
			"- {hosts: [\"*.wild.test\", wild.test], tls: {issuer: dns}, routes: [{respond: {body: hi}}]}\n",
	}
	g := p.start(t)
	g.issued(t, 30*time.Second, "a.alpn.test", "b.alpn.test", "*.wild.test", "wild.test")
	g.wantServed(t, "a.alpn.test", "b.alpn.test", "wild.test", "one.wild.test", "two.wild.test")
	for name, want := range map[string]string{"a.alpn.test": "tls-alpn-01", "*.wild.test": "dns-01", "wild.test": "dns-01"} {
		if got := g.about(t, name).Challenge; got != want {
			t.Errorf("%s was proven by %q, want %s", name, got, want)
		}
	}
	wantOneOrder(t, ca, "a.alpn.test", "b.alpn.test", "*.wild.test", "wild.test")
	wantTakenAway(t, calls, 2)
}

// wantTakenAway looks at what a hook was called for: n records, each of which was
// set and removed.
func wantTakenAway(t *testing.T, calls string, n int) {
	t.Helper()
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(text)) {
		action, record, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[record] += map[string]int{"present": 1, "cleanup": -1}[action]
	}
	for record, left := range seen {
		if left != 0 || !strings.HasPrefix(record, "_acme-challenge.wild.test. ") {
			t.Errorf("the record %q: set %d times more often than removed", record, left)
		}
	}
	if len(seen) != n {
		t.Errorf("the hook was called for %d records, want %d:\n%s", len(seen), n, text)
	}
}
