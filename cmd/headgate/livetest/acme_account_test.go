package livetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// TestRevocation: the authority hears of it, and another certificate is served.
func TestRevocation(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	const name, other = "one.revoke.test", "other.revoke.test"
	p := &public{ca: ca, sites: site(name, other)}
	g := p.start(t)
	g.issued(t, 20*time.Second, name, other)
	old, untouched := g.leaf(t, name), g.leaf(t, other)
	stdout, stderr, code := run(t, headgate, "certs", "revoke", name, "--reason", "keyCompromise", "--socket", g.admin)
	if code != 0 || !strings.Contains(stdout, name+": valid until ") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if revoked, reason := ca.Revoked(old); !revoked || reason != 1 {
		t.Errorf("the authority says revoked %v, reason %d", revoked, reason)
	}
	now := g.leaf(t, name)
	if serial(now) == serial(old) || string(now.RawSubjectPublicKeyInfo) == string(old.RawSubjectPublicKeyInfo) {
		t.Error("the certificate or its key is the old one")
	}
	if serial(g.leaf(t, other)) != serial(untouched) {
		t.Error("the certificate of another name has changed")
	}
	g.wantServed(t, name)
	g.wantSaid(t, time.Second, "certificate revoked", name, serial(old))
	if _, stderr, code := run(t, headgate, "certs", "revoke", "nobody.revoke.test", "--socket", g.admin); code != 1 || !strings.Contains(stderr, "headgate certs lists") {
		t.Errorf("a name without a certificate: exit code %d: %s", code, stderr)
	}
}

// TestExternalAccount: with the right words there is a certificate, without or
// with wrong ones a line that says which to set.
func TestExternalAccount(t *testing.T) {
	const id, hmac = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	ca := pebbletest.Start(t, pebbletest.Options{EAB: map[string]string{id: hmac}})
	p := &public{ca: ca, sites: site("one.eab.test")}
	g := p.start(t)
	g.wantSaid(t, 10*time.Second, `"msg":"no certificate"`, "one.eab.test", "set eab.key_id and eab.hmac")
	for name, row := range map[string]struct{ id, hmac, want string }{
		"unknown key":  {"kid-2", hmac, "eab"},
		"another hmac": {id, "aWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W", "eab"},
	} {
		t.Run(name, func(t *testing.T) {
			p.acme = fmt.Sprintf("eab: {key_id: %q, hmac: %q}", row.id, row.hmac)
			p.reload(t, g)
			_, stderr, code := run(t, headgate, "certs", "renew", "one.eab.test", "--socket", g.admin)
			t.Log(stderr)
			if code == 0 || !strings.Contains(stderr, row.want) || strings.Contains(stderr, row.hmac) {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
	p.acme = fmt.Sprintf("eab: {key_id: %q, hmac: %q}", id, hmac)
	p.reload(t, g)
	if _, stderr, code := run(t, headgate, "certs", "renew", "one.eab.test", "--socket", g.admin); code != 0 {
		t.Fatal(stderr)
	}
	g.leaf(t, "one.eab.test")
	if strings.Contains(g.said(), hmac) {
		t.Error("the log has the secret")
	}
}
