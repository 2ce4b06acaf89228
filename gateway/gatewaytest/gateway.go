package gatewaytest

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/accesslog"
	"headgate/gateway/config"
	"headgate/gateway/stats"
	"headgate/tls/certs"
	"headgate/tls/storage"
)

// Gateway is a gateway that runs for one test.
type Gateway struct {
	*gateway.Gateway
	Log    *Lines         // records of the process log, from debug on
	Access *Lines         // lines of the access log
	Roots  *x509.CertPool // the local authority

	t       testing.TB
	next    atomic.Int64 // requests of all clients
	storage string
	access  *accesslog.Log
	end     context.CancelFunc // begins a graceful end
	ended   chan struct{}      // closed when Run has returned
	err     error              // what it returned; read after ended

	mu   sync.Mutex // guards the field below
	conf string
}

// Start runs a gateway with conf until the end of the test and returns when it
// accepts. Without a tls section it has a local authority for every name.
func Start(t testing.TB, conf string) *Gateway {
	t.Helper()
	return StartWith(t, conf, nil)
}

// StartWith is Start for a configuration with ACME authorities, whose issuers acme
// makes.
func StartWith(t testing.TB, conf string, acme func(certs.Authority) (certs.Issuer, error)) *Gateway {
	t.Helper()
	g, err := try(t, conf, acme)
	if err != nil {
		t.Fatalf("the gateway does not start: %v", err)
	}
	return g
}

// Try is Start for a gateway that may not start: then it returns the error of
// Run.
func Try(t testing.TB, conf string) (*Gateway, error) {
	t.Helper()
	return try(t, conf, nil)
}

func try(t testing.TB, conf string, acme func(certs.Authority) (certs.Issuer, error)) (*Gateway, error) {
	t.Helper()
	g := &Gateway{t: t, Log: new(Lines), Access: new(Lines), storage: t.TempDir(), ended: make(chan struct{})}
	g.SetConf(conf)
	var err error
	g.access, err = accesslog.Open(accesslog.Options{Format: "json"}, g.Access, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(g.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	g.Gateway = gateway.New(gateway.Setup{
		Load: g.load, Version: "test", Config: "test.yaml", Log: log, Access: g.access, ACME: acme,
		Storage: func(ctx context.Context, url string) (certs.Storage, error) { return storage.Open(ctx, url, log) },
	})
	g.run()
	select {
	case <-g.Ready():
	case <-g.ended:
		return nil, g.err
	}
	pem, err := os.ReadFile(certs.RootFile(g.storage))
	if err == nil { // without an https listener there is none
		g.Roots = x509.NewCertPool()
		g.Roots.AppendCertsFromPEM(pem)
	}
	return g, nil
}

func (g *Gateway) run() {
	ctx, end := context.WithCancel(context.Background())
	g.end = end
	logs, endLogs := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.access.Run(logs) }) // a Lines takes everything
	go func() {
		defer close(g.ended)
		g.err = g.Run(ctx)
		endLogs()
		wg.Wait()
	}()
	g.t.Cleanup(func() {
		g.Stop()
		<-g.ended
		end()
		if g.t.Failed() {
			g.dump()
		}
	})
}

func (g *Gateway) dump() {
	for _, l := range g.Log.All() {
		g.t.Logf("gateway log: %v", l)
	}
}

func (g *Gateway) load() (*config.Config, error) {
	g.mu.Lock()
	text := g.conf
	g.mu.Unlock()
	if !strings.HasPrefix(text, "tls:") && !strings.Contains(text, "\ntls:") {
		text += fmt.Sprintf("\ntls: {issuer: internal, storage: %q}\n", "file:"+g.storage)
	}
	return config.Parse("test.yaml", []byte(text), nil)
}

// Trust makes new clients trust a certificate that the configuration names.
func (g *Gateway) Trust(der []byte) {
	g.t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		g.t.Fatal(err)
	}
	if g.Roots == nil {
		g.Roots = x509.NewCertPool()
	}
	g.Roots.AddCert(cert)
}

// SetConf is what the next reload reads.
func (g *Gateway) SetConf(conf string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conf = conf
}

// ReloadWith sets the configuration and reloads.
func (g *Gateway) ReloadWith(conf string) error {
	g.SetConf(conf)
	_, err := g.Reload(context.Background())
	return err
}

// Shutdown begins the graceful end; Wait waits for it.
func (g *Gateway) Shutdown() { g.end() }

// Ended is closed when Run has returned.
func (g *Gateway) Ended() <-chan struct{} { return g.ended }

// Wait returns what Run returns.
func (g *Gateway) Wait() error {
	g.t.Helper()
	select {
	case <-g.ended:
		return g.err
	case <-time.After(6 * patience):
		g.t.Fatal("the gateway does not end")
		return nil
	}
}

// Address returns where the first listener of a kind accepts: http, https or
// http3. It ends the test if there is none.
func (g *Gateway) Address(kind string) string {
	g.t.Helper()
	for _, l := range g.Listeners() {
		if l.Protocol == kind {
			return l.Address
		}
	}
	g.t.Fatalf("no listener for %s", kind)
	return ""
}

// Port returns the port of Address.
func (g *Gateway) Port(kind string) string {
	g.t.Helper()
	return fmt.Sprint(netip.MustParseAddrPort(g.Address(kind)).Port())
}

// Listeners returns what accepts.
func (g *Gateway) Listeners() []stats.Listener { return g.Snapshot().Listeners }

// Request returns the line of the access log for the request with that id.
func (g *Gateway) Request(id string) Line {
	g.t.Helper()
	l := g.Access.Wait(func(l Line) bool { return l.Text("request_id") == id })
	if l == nil {
		g.t.Errorf("no line in the access log for the request %s", id)
	}
	return l
}

// Logged returns the first record of the process log with that message and
// request id, "" for any.
func (g *Gateway) Logged(msg, id string) Line {
	g.t.Helper()
	l := g.Log.Wait(func(l Line) bool {
		return l.Text("msg") == msg && (id == "" || l.Text("request") == id)
	})
	if l == nil {
		g.t.Errorf("no record %q in the log for the request %q", msg, id)
	}
	return l
}
