package gateway_test

import (
	"fmt"
	"net"
	"testing"

	"headgate/gateway/gatewaytest"
	"headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
)

// TestPebble obtains certificates from a real ACME authority, which comes to the
// gateway's own listeners for the proof.
func TestPebble(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			http, https := freePort(t), freePort(t)
			ca := pebbletest.Start(t, pebbletest.Options{HTTPPort: http, TLSPort: https})
			conf := before(app(t, answerOK))
			conf.Listen = fmt.Sprintf(`http: "127.0.0.1:%d", https: "127.0.0.1:%d"`, http, https)
			conf.Site = "hosts: [shop.example.com, www.shop.example.com], http: redirect"
			conf.More = fmt.Sprintf("\ntls: {issuer: acme, storage: %q, acme: {directory: %q, roots: %q, challenges: [%s]}}\n",
				"file:"+t.TempDir(), ca.Directory, ca.RootsFile, challenge)
			g := gatewaytest.StartWith(t, conf.String(), acme.New)
			until(t, "two certificates", func() bool {
				n := 0
				for _, c := range g.Snapshot().Certificates {
					if !c.NotAfter.IsZero() && c.Challenge == challenge {
						n++
					}
				}
				return n == 2
			})
			g.Roots = ca.Root()
			for _, p := range secure() {
				if got := ask(with(t, g, p, "www.shop.example.com", nil), "www.shop.example.com"); got.Code != 200 {
					t.Errorf("%s: got %d", p, got.Code)
				}
			}
			if n := len(ca.Orders()); n != 2 {
				t.Errorf("%d orders, want 2", n)
			}
		})
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
