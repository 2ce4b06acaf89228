package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"headgate/gateway/gatewaytest"
	"headgate/tls/certs"
)

const acmePath = "/.well-known/acme-challenge/"

// challenged is a gateway whose authority has put a challenge and waits until the
// test ends it.
func challenged(t *testing.T, conf gatewaytest.Conf, token, answer string) (g *gatewaytest.Gateway, prove func()) {
	t.Helper()
	ca := newPublicCA(t)
	put, proven := make(chan struct{}), make(chan struct{})
	ca.prove = func(ctx context.Context, c *certs.Challenges, _ string) error {
		if err := c.PutText(ctx, token, []byte(answer)); err != nil {
			return err
		}
		close(put)
		select {
		case <-proven:
			return c.RemoveText(ctx, token)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	conf.More += fmt.Sprintf("\ntls: {issuer: acme, storage: %q}\n", "file:"+t.TempDir())
	g = gatewaytest.StartWith(t, conf.String(), ca.issuer)
	g.Trust(ca.root.Raw)
	wait(t, put, "the challenge")
	return g, func() { close(proven) }
}

func TestHTTPChallenge(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Site = "hosts: [" + gatewaytest.Host + "], http: redirect"
	const token, text = "token-1_A", "token-1_A.thumbprint"
	g, prove := challenged(t, conf, token, text)
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H2C} {
		c := g.Client(t, p)
		for _, host := range []string{gatewaytest.Host, "unknown.example", "192.0.2.1:80", "not_a..host"} {
			r := c.Request("GET", acmePath+token, nil)
			r.Host = host
			got := c.Do(r)
			if got.Code != 200 || got.Body != text || got.Header.Get("Content-Type") != "text/plain" || got.Length != int64(len(text)) {
				t.Errorf("%s, host %s: got %+v", p, host, got)
			}
			line := g.Request(got.ID)
			if line.Number("status") != 200 || line.Text("path") != acmePath+token || line.Text("host") != host {
				t.Errorf("%s: access log has %v", p, line)
			}
		}
		head := c.Do(c.Request("HEAD", acmePath+token, nil))
		if head.Code != 200 || head.Body != "" || head.Length != int64(len(text)) {
			t.Errorf("%s: HEAD got %+v", p, head)
		}
		for _, r := range []*http.Request{
			c.Request("GET", acmePath+"other", nil), c.Request("GET", acmePath, nil), c.Request("GET", acmePath+token+"/x", nil),
			c.Request("POST", acmePath+token, strings.NewReader("x")), c.Request("GET", acmePath+"..%2f"+token, nil),
		} {
			if got := c.Do(r); got.Code != 308 || !strings.HasPrefix(got.Header.Get("Location"), "https://") {
				t.Errorf("%s: %s %s got %d, want the redirect", p, r.Method, r.URL, got.Code)
			}
		}
	}
	prove()
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1S, gatewaytest.H2, gatewaytest.H3} {
		c := g.Client(t, p)
		if got := c.Get("/"); got.Code != 200 {
			t.Errorf("%s: got %d", p, got.Code)
		}
	}
	c := g.Client(t, gatewaytest.H1)
	if got := c.Get(acmePath + token); got.Code != 308 {
		t.Errorf("after the challenge: got %d, want the redirect", got.Code)
	}
}

// TestHTTPChallengeOfTheApp: an app's own ACME client works behind the gateway,
// and TLS listeners answer no challenge.
func TestHTTPChallengeOfTheApp(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Site = "hosts: [" + gatewaytest.Host + "], http: serve"
	g, prove := challenged(t, conf, "ours", "ours.text")
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H2C} {
		if got := g.Client(t, p).Get(acmePath + "theirs"); got.Code != 200 || got.Body != "ok" {
			t.Errorf("%s: got %d %q", p, got.Code, got.Body)
		}
	}
	prove()
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1S, gatewaytest.H2, gatewaytest.H3} {
		if got := g.Client(t, p).Get(acmePath + "ours"); got.Code != 200 || got.Body != "ok" {
			t.Errorf("%s: got %d %q", p, got.Code, got.Body)
		}
	}
	last := w.Requests()[len(w.Requests())-1]
	if last.Var("PATH_INFO") != acmePath+"ours" {
		t.Errorf("the app was asked for %s", last.Var("PATH_INFO"))
	}
}
