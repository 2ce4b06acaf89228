package livetest_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// protocol is a way to speak HTTP to the gateway.
type protocol string

const (
	h1  protocol = "h1"
	h1s protocol = "h1s" // over TLS
	h2  protocol = "h2"
	h2c protocol = "h2c" // in clear text, by prior knowledge
	h3  protocol = "h3"
)

var protocols = []protocol{h1, h1s, h2, h2c, h3}

func (p protocol) secure() bool { return p != h1 && p != h2c }

func (p protocol) scheme() string {
	if p.secure() {
		return "https"
	}
	return "http"
}

// name is what SERVER_PROTOCOL says.
func (p protocol) name() string {
	return map[protocol]string{h1: "HTTP/1.1", h1s: "HTTP/1.1", h2: "HTTP/2.0", h2c: "HTTP/2.0", h3: "HTTP/3.0"}[p]
}

func (p protocol) url(path string) string { return p.scheme() + "://" + host + path }

func (g *gateway) tls() *tls.Config { return &tls.Config{RootCAs: g.roots, ServerName: host} }

// named is tls for whatever host a URL names.
func (g *gateway) named() *tls.Config { return &tls.Config{RootCAs: g.roots} }

// client speaks p to the gateway. It follows no redirect and decodes nothing.
func (g *gateway) client(t testing.TB, p protocol) *http.Client {
	t.Helper()
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if p == h3 {
		return &http.Client{Transport: g.http3(t), CheckRedirect: noRedirect}
	}
	addr := g.http
	if p.secure() {
		addr = g.https
	}
	speaks := new(http.Protocols)
	speaks.SetHTTP1(p == h1 || p == h1s)
	speaks.SetHTTP2(p == h2)
	speaks.SetUnencryptedHTTP2(p == h2c)
	tr := &http.Transport{
		Protocols: speaks, DisableCompression: true, TLSClientConfig: g.named(), MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: noRedirect}
}

// dialError says that there was no QUIC connection for a request.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

func (g *gateway) http3(t testing.TB) *http3.Transport {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := &quic.Transport{Conn: pc}
	tr := &http3.Transport{
		TLSClientConfig: g.named(), DisableCompression: true,
		QUICConfig: &quic.Config{HandshakeIdleTimeout: 2 * time.Second, MaxIdleTimeout: 40 * time.Second, KeepAlivePeriod: 10 * time.Second},
		Dial: func(ctx context.Context, _ string, conf *tls.Config, qconf *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", g.https)
			if err != nil {
				return nil, err
			}
			c, err := q.Dial(ctx, to, conf, qconf)
			if err != nil {
				return nil, dialError{err}
			}
			return c, nil
		},
	}
	t.Cleanup(func() {
		_ = tr.Close()
		_ = q.Close()
		_ = pc.Close()
	})
	return tr
}
