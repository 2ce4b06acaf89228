package gatewaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Host is the host that clients ask for.
const Host = "app.localhost"

// Client speaks one protocol to one gateway, over a connection pool of its own.
// It follows no redirect and decodes nothing.
type Client struct {
	Protocol Protocol
	Gateway  *Gateway

	t      testing.TB
	rt     http.RoundTripper
	next   *atomic.Int64 // the gateway's: ids of requests
	change func(*tls.Config)
}

// Response is a response that has been read to its end.
type Response struct {
	Code    int
	Proto   string
	Header  http.Header
	Body    string
	Length  int64  // as announced; -1: not
	ID      string // of the request, as the client sent it
	Close   bool   // the gateway said that it closes the connection (HTTP/1)
	BodyErr error  // why the body ended before its end
}

// Client returns a new client. The end of the test closes its connections.
func (g *Gateway) Client(t testing.TB, p Protocol) *Client {
	t.Helper()
	return g.ClientWith(t, p, func(*tls.Config) {})
}

// ClientWith is Client with changes to its part in TLS: another server name, a
// certificate of its own.
func (g *Gateway) ClientWith(t testing.TB, p Protocol, change func(*tls.Config)) *Client {
	t.Helper()
	c := &Client{Protocol: p, Gateway: g, t: t, next: &g.next, change: change}
	addr := g.Address(p.listener())
	if p == H3 {
		c.rt = c.http3(addr)
		return c
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(p.Major() == 1)
	protocols.SetHTTP2(p == H2)
	protocols.SetUnencryptedHTTP2(p == H2C)
	tr := &http.Transport{
		Protocols: protocols, DisableCompression: true, TLSClientConfig: c.TLS(), MaxResponseHeaderBytes: 1 << 20,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
	}
	c.rt = tr
	t.Cleanup(tr.CloseIdleConnections)
	return c
}

// TLS returns a configuration that trusts the gateway.
func (c *Client) TLS() *tls.Config {
	conf := &tls.Config{RootCAs: c.Gateway.Roots, ServerName: Host}
	c.change(conf)
	return conf
}

func (c *Client) http3(addr string) http.RoundTripper {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	q := &quic.Transport{Conn: pc}
	tr := &http3.Transport{
		TLSClientConfig: c.TLS(), DisableCompression: true, MaxResponseHeaderBytes: 1 << 20,
		Dial: func(ctx context.Context, _ string, conf *tls.Config, qconf *quic.Config) (*quic.Conn, error) {
			to, err := net.ResolveUDPAddr("udp", addr)
			if err != nil {
				return nil, err
			}
			conn, err := q.Dial(ctx, to, conf, qconf)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrNoConnection, err)
			}
			return conn, nil
		},
	}
	c.t.Cleanup(func() {
		_ = tr.Close()
		_ = q.Close()
		_ = pc.Close()
	})
	return tr
}

// ErrNoConnection is what a request over HTTP/3 fails with when there was no
// connection to send it over.
var ErrNoConnection = errors.New("no QUIC connection")

// URL returns the address of a path at the gateway.
func (c *Client) URL(path string) string { return c.Protocol.Scheme() + "://" + Host + path }

// Request makes a request with its own X-Request-Id. Header lines are such as
// "Accept: text/html"; a body that is not nil has an unknown length unless it is
// of a kind that http.NewRequest knows.
func (c *Client) Request(method, path string, body io.Reader, header ...string) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.URL(path), body)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("X-Request-Id", c.newID())
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value) // as written
	}
	return r
}

// newID returns an id of which no other request of the test has the like.
func (c *Client) newID() string {
	name := strings.Map(func(r rune) rune {
		if r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '.'
	}, c.t.Name())
	return fmt.Sprintf("%.100s-%s-%d", name, c.Protocol, c.next.Add(1))
}

// Get asks for a path and reads the response to its end.
func (c *Client) Get(path string, header ...string) *Response {
	c.t.Helper()
	return c.Do(c.Request(http.MethodGet, path, nil, header...))
}

// Post sends a body of known length.
func (c *Client) Post(path, body string, header ...string) *Response {
	c.t.Helper()
	return c.Do(c.Request(http.MethodPost, path, strings.NewReader(body), header...))
}

// Do sends r and reads the response; without a response it ends the test.
func (c *Client) Do(r *http.Request) *Response {
	c.t.Helper()
	resp, err := c.Try(r)
	if err != nil {
		c.t.Fatalf("%s %s over %s: %v", r.Method, r.URL, c.Protocol, err)
	}
	return resp
}

// Try sends r and reads the response. The error is for a request that has none.
func (c *Client) Try(r *http.Request) (*Response, error) {
	resp, err := c.Open(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return &Response{
		Code: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Body: b.String(),
		Length: resp.ContentLength, Close: resp.Close, ID: r.Header.Get("X-Request-Id"), BodyErr: err,
	}, nil
}

// Open sends r and returns when the head of the response is there. The caller
// closes the body.
func (c *Client) Open(r *http.Request) (*http.Response, error) { return c.rt.RoundTrip(r) }
