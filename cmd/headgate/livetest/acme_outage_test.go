package livetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
)

// static has a certificate from a file in the tests of outages.
const static = "static.example.test"

// outage is a gateway whose authority has troubles.
type outage struct {
	ca *pebbletest.CA
	p  *public
	g  *gateway
}

// add has the gateway serve one more name, and returns at once.
func (o *outage) add(t *testing.T, name string) {
	t.Helper()
	o.p.sites += site(name)
	o.p.reload(t, o.g)
}

// TestAuthorityInTrouble: whatever an authority does, sites with a certificate go
// on, those without say so, and all recover by themselves.
func TestAuthorityInTrouble(t *testing.T) {
	m := newMint(t)
	ca := pebbletest.Start(t, pebbletest.Options{})
	p := &public{ca: ca, tls: m.section(t, static), sites: site(static) + site("down.example.test")}
	g := p.gateway(t)
	ca.Kill()
	begin := time.Now()
	p.run(t, g)
	o := &outage{ca, p, g}
	trust := func() { // what the authority has made before stays
		for _, r := range ca.Roots() {
			g.roots.AddCert(r)
		}
	}
	g.roots.AddCert(m.root)
	t.Run("down at the start", func(t *testing.T) {
		g.leaf(t, static)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the site with a certificate was served only after %v", took)
		}
		g.wantSaid(t, 15*time.Second, `"msg":"no certificate"`, "down.example.test", "the authority may be down", "retry_in")
		o.wantFailing(t, "down.example.test", "the authority may be down")
		o.wantInterim(t, "down.example.test")
		ca.Restart()
		trust()
		g.issued(t, 60*time.Second, "down.example.test")
		g.leaf(t, "down.example.test")
		t.Logf("recovered by itself %v after the start", time.Since(begin).Round(100*time.Millisecond))
	})
	t.Run("server errors", o.serverErrors)
	t.Run("answers are lost", o.lostAnswers)
	t.Run("dies in the middle of an order", func(t *testing.T) {
		hold := shut(ca, "finalize")
		o.add(t, "middle.example.test")
		hold.wait(t)
		ca.Kill()
		hold.open()
		ca.Fault(nil)
		g.wantSaid(t, 15*time.Second, `"msg":"no certificate"`, "middle.example.test")
		g.leaf(t, static)
		ca.Restart()
		trust()
		g.issued(t, 60*time.Second, "middle.example.test")
		g.leaf(t, "middle.example.test")
	})
	t.Run("slow", o.slow)
	t.Run("too many requests", o.limited)
}

// wantFailing looks at the table of headgate certs.
func (o *outage) wantFailing(t *testing.T, name, why string) {
	t.Helper()
	table, _, _ := run(t, headgate, "certs", "--socket", o.g.admin)
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, name) && strings.Contains(line, "failing, next try at ") && strings.Contains(line, why) {
			return
		}
	}
	t.Errorf("headgate certs does not say that %s is failing because %q:\n%s", name, why, table)
}

// wantInterim: a site without a certificate answers all the same, with one that
// nobody trusts.
func (o *outage) wantInterim(t *testing.T, name string) {
	t.Helper()
	if _, err := o.g.shake(name); err == nil {
		t.Errorf("%s has a certificate that is trusted", name)
	}
	begin := time.Now()
	c, err := o.g.peek(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.VerifyHostname(name); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("a client had to wait %v to see that there is no certificate", took)
	}
}

func (o *outage) serverErrors(t *testing.T) {
	o.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind == "directory" || r.Kind == "newNonce" {
			return nil
		}
		return pebbletest.Problem(http.StatusServiceUnavailable, "serverInternal", "we are sorry", "")
	})
	o.add(t, "errors.example.test")
	o.g.wantSaid(t, 15*time.Second, `"msg":"no certificate"`, "errors.example.test", "the authority is in trouble", "we are sorry")
	o.wantFailing(t, "errors.example.test", "we are sorry")
	o.g.leaf(t, static)
	o.g.leaf(t, "down.example.test")
	o.ca.Fault(nil)
	o.g.issued(t, 60*time.Second, "errors.example.test")
}

// lostAnswers: of each kind of request the first answer is lost, after the
// authority has done what it was asked. A challenge is left out: Pebble, unlike
// others, takes it for a mistake to be told twice that the answer is in place, and
// a mistake has to wait for minutes.
func (o *outage) lostAnswers(t *testing.T) {
	var mu sync.Mutex
	lost := map[string]bool{}
	o.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if lost[r.Kind] || r.Kind == "challenge" {
			return nil
		}
		lost[r.Kind] = true
		return &pebbletest.Answer{Lost: true}
	})
	begin := time.Now()
	o.add(t, "lost.example.test")
	o.g.issued(t, 120*time.Second, "lost.example.test")
	o.ca.Fault(nil)
	mu.Lock()
	defer mu.Unlock()
	t.Logf("a certificate %v later, although the first answers to %d kinds of requests were lost", time.Since(begin).Round(100*time.Millisecond), len(lost))
	if a := accounts(o.ca); len(a) > 1 {
		t.Errorf("orders of the accounts %v", a)
	}
}

// slow: while the authority takes two seconds for each answer, nobody else waits.
func (o *outage) slow(t *testing.T) {
	o.ca.Fault(func(pebbletest.Request) *pebbletest.Answer { return &pebbletest.Answer{Delay: 2 * time.Second} })
	o.add(t, "slow.example.test")
	var all times
	for range 200 {
		for _, n := range []string{static, "down.example.test"} {
			begin := time.Now()
			o.g.leaf(t, n)
			all.add(time.Since(begin))
		}
	}
	t.Logf("handshakes of other sites: %s", all.summary())
	if all.max() > time.Second {
		t.Error("handshakes of other sites have to wait")
	}
	if c := o.g.about(t, "slow.example.test"); !c.NotAfter.IsZero() {
		t.Error("the authority was not slow")
	}
	o.ca.Fault(nil)
	o.g.issued(t, 60*time.Second, "slow.example.test")
}

// limited: an authority that says when to come back is left alone until then, or
// until the operator knows better.
func (o *outage) limited(t *testing.T) {
	const retry = 600
	o.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != "newOrder" {
			return nil
		}
		return pebbletest.Problem(http.StatusTooManyRequests, "rateLimited", "too many certificates", fmt.Sprint(retry))
	})
	o.add(t, "limited.example.test")
	o.g.wantSaid(t, 30*time.Second, `"msg":"no certificate"`, "limited.example.test", "a limit of the authority is reached", "too many certificates")
	o.wantFailing(t, "limited.example.test", "a limit of the authority is reached")
	if at := o.g.about(t, "limited.example.test").RetryAt; time.Until(at) < (retry-60)*time.Second {
		t.Errorf("the next try is at %v, and the authority wants %d s", at, retry)
	}
	o.ca.Fault(nil)
	if _, stderr, code := run(t, headgate, "certs", "renew", "limited.example.test", "--socket", o.g.admin); code != 0 {
		t.Error(stderr)
	}
	o.g.leaf(t, "limited.example.test")
}

// TestAuthorityToFallBackOn: the second authority is asked when the first fails.
func TestAuthorityToFallBackOn(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	second := pebbletest.Start(t, pebbletest.Options{HTTPPort: ca.HTTPPort, TLSPort: ca.TLSPort})
	ca.Fault(func(pebbletest.Request) *pebbletest.Answer {
		return &pebbletest.Answer{Status: http.StatusBadGateway, Body: "<html>bad gateway</html>"}
	})
	p := &public{
		ca: ca, tls: fmt.Sprintf("  issuers: [{name: backup, directory: %q, roots: %q}]\n", second.Directory, second.RootsFile),
		sites: site("one.example.test", "two.example.test"),
	}
	g := p.gateway(t)
	g.roots = second.Root()
	begin := time.Now()
	p.run(t, g)
	g.issued(t, 30*time.Second, "one.example.test", "two.example.test")
	t.Logf("certificates of the second authority after %v", time.Since(begin).Round(time.Millisecond))
	g.wantServed(t, "one.example.test", "two.example.test")
	if c := g.about(t, "one.example.test"); c.Source != "backup" {
		t.Errorf("headgate certs says the issuer is %s, want backup", c.Source)
	}
	wantOneOrder(t, second, "one.example.test", "two.example.test")
	if n := len(ca.Orders()); n != 0 {
		t.Errorf("%d orders of the first authority", n)
	}
}
