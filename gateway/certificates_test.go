package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/tls/certs"
	"headgate/tls/storage"
)

// issued is a gateway for app.localhost whose certificate ca has made.
func issued(t *testing.T, ca *publicCA, more string) *gatewaytest.Gateway {
	t.Helper()
	conf := before(app(t, answerOK))
	conf.Site = "hosts: [" + gatewaytest.Host + "]"
	conf.More = fmt.Sprintf("\ntls: {issuer: acme, storage: %q%s}\n", "file:"+t.TempDir(), more)
	g := gatewaytest.StartWith(t, conf.String(), ca.issuer)
	g.Trust(ca.root.Raw)
	until(t, "the certificate", func() bool { return !g.Snapshot().Certificates[0].NotAfter.IsZero() })
	return g
}

func TestRenewAndRevoke(t *testing.T) {
	t.Parallel()
	ca := newPublicCA(t)
	g := issued(t, ca, "")
	serial := func() string {
		t.Helper()
		cert, err := shake(t, g, gatewaytest.Host)
		if err != nil {
			t.Fatal(err)
		}
		return cert.SerialNumber.String()
	}
	first := serial()
	c := g.Snapshot().Certificates[0]
	if !slices.Equal(c.Names, []string{gatewaytest.Host}) || c.Source != "acme" || !strings.Contains(c.Issuer, "Public Test Root") || c.Challenge != "http-01" ||
		c.Key != "ECDSA" || c.NotBefore.IsZero() || !c.RenewAt.After(time.Now()) || c.Error != "" || c.OnDemand {
		t.Errorf("snapshot has %+v", c)
	}
	if err := g.RenewCertificate(t.Context(), "APP.localhost"); err != nil {
		t.Fatal(err)
	}
	second := serial()
	if second == first || len(ca.Orders()) != 2 {
		t.Errorf("after the renewal: serial %s, orders %v", second, ca.Orders())
	}
	if err := g.RevokeCertificate(t.Context(), gatewaytest.Host, "keyCompromise"); err != nil {
		t.Fatal(err)
	}
	third := serial()
	if ca.mu.Lock(); third == second || !maps.Equal(ca.revoked, map[string]int{second: 1}) {
		t.Errorf("after revoking %s: serial %s, revoked %v", second, third, ca.revoked)
	}
	ca.mu.Unlock()
	var unknown interface{ NotFound() bool }
	for _, err := range []error{g.RenewCertificate(t.Context(), "none.example"), g.RevokeCertificate(t.Context(), "none.example", "")} {
		if !errors.As(err, &unknown) || !unknown.NotFound() {
			t.Errorf("an unknown name: %v", err)
		}
	}
	if err := g.RevokeCertificate(t.Context(), gatewaytest.Host, "stolen"); err == nil || !strings.Contains(err.Error(), "keyCompromise") {
		t.Errorf("an unknown reason: %v", err)
	}
}

// TestRenewalThatFailsChangesNothing: the old certificate goes on serving, and who
// asked hears why.
func TestRenewalThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	ca := newPublicCA(t)
	var fail atomic.Bool
	ca.prove = func(context.Context, *certs.Challenges, string) error {
		if fail.Load() {
			return errors.New("the authority is on holiday: come back")
		}
		return nil
	}
	g := issued(t, ca, "")
	fail.Store(true)
	if err := g.RenewCertificate(t.Context(), gatewaytest.Host); err == nil || !strings.Contains(err.Error(), "on holiday: come back") {
		t.Errorf("RenewCertificate = %v", err)
	}
	if _, err := shake(t, g, gatewaytest.Host); err != nil {
		t.Error(err)
	}
	if c := g.Snapshot().Certificates[0]; !strings.Contains(c.Error, "on holiday") || !c.RetryAt.After(time.Now()) || c.NotAfter.IsZero() {
		t.Errorf("snapshot has %+v", c)
	}
}

// TestPublicNameOfECH has a certificate although no site lists it, and is served
// by the site that answers for it, or by none.
func TestPublicNameOfECH(t *testing.T) {
	t.Parallel()
	g := issued(t, newPublicCA(t), ", ech: {public_name: cover.example}")
	until(t, "the certificate of the public name", func() bool {
		c := g.Snapshot().Certificates
		return len(c) == 2 && c[1].Names[0] == "cover.example" && !c[1].NotAfter.IsZero()
	})
	until(t, "the keys", func() bool { return len(g.Snapshot().ECH.Records) > 0 })
	if e := g.Snapshot().ECH; e.PublicName != "cover.example" || len(e.Records) != 1 ||
		!strings.HasPrefix(e.Records[0], "_"+g.Port("https")+"._https.app.localhost. 300 IN HTTPS 1 . alpn=\"h3,h2\" ech=") {
		t.Errorf("snapshot has %+v", e)
	}
	for _, p := range secure() {
		c := with(t, g, p, "cover.example", nil)
		if got := ask(c, "cover.example"); got.Code != 404 || !strings.Contains(got.Body, "no site answers to the host") {
			t.Errorf("%s: the public name got %d %q, want 404", p, got.Code, got.Body)
		}
		if got := ask(c, gatewaytest.Host); got.Code != 421 {
			t.Errorf("%s: a host over a connection for the public name got %d, want 421", p, got.Code)
		}
	}
}

// closing counts what Run leaves open.
type closing struct {
	storage.Storage
	open *atomic.Int64
}

func (c closing) Close() error {
	c.open.Add(-1)
	return c.Storage.Close()
}

// TestStoragesAreClosed at the end of Run: those that a reload has left too, and
// those of a start that failed.
func TestStoragesAreClosed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, address := range map[string]string{"reloads": "127.0.0.1:0", "failed start": taken.Addr().String()} {
		var open, opened atomic.Int64
		g := gateway.New(gateway.Setup{
			Load: func() (*config.Config, error) {
				return config.Parse("test.yaml", fmt.Appendf(nil, `
listen: {https: %q}
tls: {issuer: internal, storage: %q}
sites: [{routes: [{respond: {status: 200}}]}]
`, address, "file:"+t.TempDir()), nil)
			},
			Storage: func(ctx context.Context, url string) (certs.Storage, error) {
				st, err := storage.Open(ctx, url, nil)
				open.Add(1)
				opened.Add(1)
				return closing{st, &open}, err
			},
		})
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		if name == "reloads" {
			wait(t, g.Ready(), "the gateway")
			if _, err := g.Reload(ctx); err != nil {
				t.Error(err)
			}
			end()
		}
		if err := <-done; (err != nil) != (name == "failed start") || opened.Load() == 0 || open.Load() != 0 {
			t.Errorf("%s: Run = %v, and of %d storages %d are open", name, err, opened.Load(), open.Load())
		}
		end()
	}
}

// TestSiteOfABadClientAuthIsNamed: it is one of many.
func TestSiteOfABadClientAuthIsNamed(t *testing.T) {
	t.Parallel()
	conf := before(app(t, answerOK)).String()
	conf = strings.Replace(conf, "sites:\n", "sites:\n- {hosts: [shop.example.com], tls: {client_auth: {ca: /none/ca.pem}}, routes: [{pool: app}]}\n", 1)
	_, err := gatewaytest.Try(t, conf)
	if err == nil || !strings.HasPrefix(err.Error(), "site shop.example.com: tls.client_auth") || !strings.Contains(err.Error(), "/none/ca.pem") {
		t.Errorf("Run = %v", err)
	}
}
