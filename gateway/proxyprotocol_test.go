package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	library "github.com/pires/go-proxyproto"

	"headgate/gateway/gatewaytest"
)

// behindProxy trusts proxies of the loopback, and tells who the client is.
func behindProxy(t *testing.T, listen string) *gatewaytest.Gateway {
	t.Helper()
	w := app(t, answerOK)
	conf := before(w)
	conf.Listen = "proxy_protocol: [127.0.0.1], http3: false, " + listen
	conf.Routes = `{path: /v4, access: {allow: ["192.0.2.7"]}, respond: {status: 200, body: four}}, ` +
		`{path: /v6, access: {allow: ["2001:db8::/32"]}, respond: {status: 200, body: six}}, ` +
		`{path: /proxy, access: {allow: ["127.0.0.1"]}, respond: {status: 200, body: proxy}}, ` +
		`{path: /nobody, access: {deny: ["0.0.0.0/0", "::/0"]}, respond: {status: 200, body: nobody}}, {pool: app}`
	return gatewaytest.Start(t, conf.String())
}

// via returns a client whose connections begin with header.
func via(t *testing.T, g *gatewaytest.Gateway, p gatewaytest.Protocol, header string) *http.Client {
	t.Helper()
	kind := "http"
	if p.Secure() {
		kind = "https"
	}
	dial := func() (net.Conn, error) {
		c, err := net.Dial("tcp", g.Address(kind))
		if err == nil {
			_, err = io.WriteString(c, header)
		}
		return c, err
	}
	conf := g.Client(t, p).TLS()
	var protocols http.Protocols
	switch p {
	case gatewaytest.H2:
		protocols.SetHTTP2(true)
		conf.NextProtos = []string{"h2"}
	case gatewaytest.H2C:
		protocols.SetUnencryptedHTTP2(true)
	default:
		protocols.SetHTTP1(true)
	}
	transport := &http.Transport{
		Protocols:   &protocols,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() },
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dial()
			if err != nil {
				return nil, err
			}
			s := tls.Client(c, conf)
			return s, s.HandshakeContext(ctx)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func headerOf(t *testing.T, version byte, from, to string) string {
	t.Helper()
	b, err := library.HeaderProxyFromAddrs(version, addrOf(t, from), addrOf(t, to)).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func addrOf(t *testing.T, s string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func visit(t *testing.T, c *http.Client, p gatewaytest.Protocol, path string) (status int, body string) {
	t.Helper()
	resp, err := c.Get(p.Scheme() + "://" + gatewaytest.Host + path)
	if err != nil {
		t.Errorf("%v %s: %v", p, path, err)
		return 0, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.ProtoMajor != p.Major() {
		t.Errorf("%v: the answer came over %s", p, resp.Proto)
	}
	return resp.StatusCode, string(b)
}

func overTCP() []gatewaytest.Protocol {
	return []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S, gatewaytest.H2, gatewaytest.H2C}
}

const (
	proxyLocal2   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	proxyUnknown1 = "PROXY UNKNOWN\r\n"
)

func TestClientOfTheProxyProtocol(t *testing.T) {
	t.Parallel()
	g := behindProxy(t, "")
	unix := "\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + strings.Repeat("\x00", 216)
	for _, p := range overTCP() {
		for name, c := range map[string]struct{ header, path string }{
			"v1 of IPv4": {headerOf(t, 1, "192.0.2.7:4711", "198.51.100.1:443"), "/v4"},
			"v2 of IPv4": {headerOf(t, 2, "192.0.2.7:4711", "198.51.100.1:443"), "/v4"},
			"v1 of IPv6": {headerOf(t, 1, "[2001:db8::7]:4711", "[2001:db8::1]:443"), "/v6"},
			"v2 of IPv6": {headerOf(t, 2, "[2001:db8::7]:4711", "[2001:db8::1]:443"), "/v6"},
			"v1 unknown": {proxyUnknown1, "/proxy"},
			"v2 local":   {proxyLocal2, "/proxy"},
			"v2 of unix": {unix, "/nobody"},
		} {
			t.Run(p.String()+" "+name, func(t *testing.T) {
				client := via(t, g, p, c.header)
				for range 2 { // the second on the same connection
					for _, path := range []string{"/v4", "/v6", "/proxy"} {
						want := http.StatusForbidden
						if path == c.path {
							want = http.StatusOK
						}
						if got, body := visit(t, client, p, path); got != want {
							t.Errorf("%s: got %d %q, want %d", path, got, body, want)
						}
					}
				}
			})
		}
	}
}

// TestWorkerSeesTheClient: REMOTE_ADDR, SERVER_PORT, X-Forwarded-For and the access
// log have the client's address, and trusted_proxies is judged by it.
func TestWorkerSeesTheClient(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Listen = `proxy_protocol: ["127.0.0.0/8"], trusted_proxies: ["203.0.113.0/24"], http3: false`
	g := gatewaytest.Start(t, conf.String())
	for i, c := range []struct{ from, sent, remote, chain string }{
		{"192.0.2.7:4711", "", "192.0.2.7", "192.0.2.7"},
		{"192.0.2.7:4711", "198.51.100.9", "192.0.2.7", "192.0.2.7"},
		{"203.0.113.5:4711", "198.51.100.9", "198.51.100.9", "198.51.100.9, 203.0.113.5"},
	} {
		r, _ := http.NewRequest("GET", fmt.Sprintf("http://%s/%d", gatewaytest.Host, i), nil)
		if c.sent != "" {
			r.Header.Set("X-Forwarded-For", c.sent)
		}
		resp, err := via(t, g, gatewaytest.H1, headerOf(t, 2, c.from, "198.51.100.1:80")).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := w.Requests()[i]
		if got.Var("REMOTE_ADDR") != c.remote || got.Var("HTTP_X_FORWARDED_FOR") != c.chain {
			t.Errorf("%s with %q: REMOTE_ADDR=%s X-Forwarded-For=%s, want %s and %s", c.from, c.sent, got.Var("REMOTE_ADDR"), got.Var("HTTP_X_FORWARDED_FOR"), c.remote, c.chain)
		}
		line := g.Access.Wait(func(l gatewaytest.Line) bool { return l.Text("path") == fmt.Sprintf("/%d", i) })
		if line.Text("client") != c.remote {
			t.Errorf("access log: %v, want %s", line, c.remote)
		}
	}
}

// TestStrangersSendNoHeader: who is not listed is an ordinary client, and a header
// from there gains nothing.
func TestStrangersSendNoHeader(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Listen = "proxy_protocol: [192.0.2.1], http3: false"
	g := gatewaytest.Start(t, conf.String())
	for _, p := range overTCP() {
		if got := g.Client(t, p).Get("/"); got.Code != 200 {
			t.Errorf("%v: an ordinary client got %d", p, got.Code)
		}
	}
	n := len(w.Requests())
	for _, version := range []byte{1, 2} {
		header := headerOf(t, version, "192.0.2.7:4711", "198.51.100.1:443")
		if got := sendRaw(t, g, "http", header+"GET / HTTP/1.1\r\nHost: "+gatewaytest.Host+"\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("version %d in clear text: got %q, want 400", version, got)
		}
		c, err := via(t, g, gatewaytest.H1S, header).Get("https://" + gatewaytest.Host + "/")
		if err == nil {
			t.Errorf("version %d before TLS: got %d", version, c.StatusCode)
			c.Body.Close()
		}
	}
	if len(w.Requests()) != n {
		t.Error("a request behind a header of a stranger has reached the worker")
	}
}

// sendRaw sends text and reads until the end.
func sendRaw(t *testing.T, g *gatewaytest.Gateway, kind, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", g.Address(kind))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, text)
	b, err := io.ReadAll(c)
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("%q: the connection is not closed", text)
	}
	return string(b)
}

func TestProxyWithoutHeader(t *testing.T) {
	t.Parallel()
	g := behindProxy(t, "")
	request := "GET /proxy HTTP/1.1\r\nHost: " + gatewaytest.Host + "\r\n\r\n"
	for _, text := range []string{request, "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n" + request, "PROXY TCP4 x\r\n" + request, "PROXY " + strings.Repeat("x", 200)} {
		for _, kind := range []string{"http", "https"} {
			if got := sendRaw(t, g, kind, text); got != "" {
				t.Errorf("%s %q: got %q, want nothing", kind, text, got)
			}
		}
	}
	c, err := net.Dial("tcp", g.Address("http")) // as balancers do to see whether anybody is there
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if l := g.Logged("no PROXY header on connections of a proxy: they are closed", ""); !strings.Contains(l.Text("cure"), "listen.proxy_protocol") || l.Text("proxy") != "127.0.0.1" {
		t.Errorf("log: %v", l)
	}
	n := 0
	for _, l := range g.Log.All() {
		if l.Text("msg") == "no PROXY header on connections of a proxy: they are closed" {
			n++
		}
	}
	if n > 2 { // one for each listener
		t.Errorf("%d lines in the log", n)
	}
}

// TestSlowProxyHeader: a header that never comes, or never ends, costs as long as the
// head of a request may.
func TestSlowProxyHeader(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Listen, conf.Limits = "proxy_protocol: [127.0.0.1], http3: false", "header_timeout: 300ms"
	g := gatewaytest.Start(t, conf.String())
	for _, kind := range []string{"http", "https"} {
		for _, text := range []string{"", "PROXY TCP4 192.0.2.7 19", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0cxx"} {
			begin := time.Now()
			if got := sendRaw(t, g, kind, text); got != "" || time.Since(begin) < 250*time.Millisecond {
				t.Errorf("%s %q: got %q after %v", kind, text, got, time.Since(begin))
			}
		}
	}
	// Bytes that trickle do not make it longer.
	c, err := net.Dial("tcp", g.Address("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := "PROXY UNKNOWN " + strings.Repeat("x", 90)
	begin, tick := time.Now(), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for text != "" && err == nil {
		<-tick.C
		_, err = io.WriteString(c, text[:1])
		text = text[1:]
	}
	if d := time.Since(begin); err == nil || d < 250*time.Millisecond {
		t.Errorf("a header that trickles: %v after %v, want an end after 300ms", err, d)
	}
}

// TestProxyHeaderInPieces: a header may be cut anywhere, and come together with what
// is behind it.
func TestProxyHeaderInPieces(t *testing.T) {
	t.Parallel()
	g := behindProxy(t, "")
	for _, version := range []byte{1, 2} {
		c, err := net.Dial("tcp", g.Address("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		text := headerOf(t, version, "192.0.2.7:4711", "198.51.100.1:443") + fmt.Sprintf("GET /v4 HTTP/1.1\r\nHost: %s\r\n\r\n", gatewaytest.Host)
		tick := time.NewTicker(5 * time.Millisecond)
		for len(text) > 30 {
			_, _ = io.WriteString(c, text[:3])
			text = text[3:]
			<-tick.C
		}
		tick.Stop()
		_, _ = io.WriteString(c, text)
		got, err := gatewaytest.ReadResponse(bufio.NewReader(c), "GET")
		if err != nil || got.Code != 200 || got.Body != "four" {
			t.Errorf("version %d: got %+v, %v", version, got, err)
		}
	}
}

// TestProxyHeadersAndTheEnd: a gateway that stops does not wait for headers.
func TestProxyHeadersAndTheEnd(t *testing.T) {
	t.Parallel()
	g := behindProxy(t, "")
	for _, kind := range []string{"http", "https"} {
		c, err := net.Dial("tcp", g.Address(kind))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	begin := time.Now()
	g.Stop()
	_ = g.Wait()
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("the end took %v", d)
	}
}
