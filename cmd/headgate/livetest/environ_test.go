package livetest_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// call is one request, in a form that every protocol can say.
type call struct {
	name   string
	method string   // GET
	target string   // "/"
	host   string   // app.localhost; "-" for none
	header []string // "Name: value"
	body   string
	length bool   // send a body of known length, even if it is empty
	proto  string // HTTP/1.1; anything else is for HTTP/1 alone
	only1  bool   // HTTP/1 alone can say it
}

// environ is what the app saw.
type environ map[string]any

var calls = []call{
	{name: "plain"},
	{name: "query", target: "/a/b?x=1&y=%20%26+&z="},
	{name: "empty query", target: "/a?"},
	{name: "question in the query", target: "/a?q=b?c"},
	{name: "double slash", target: "//a///b//"},
	{name: "dots", target: "/a/./b/../c/."},
	{name: "dots at the end", target: "/a/b/.."},
	{name: "escaped slash", target: "/a%2Fb"},
	{name: "escaped dots", target: "/a/%2e%2E/b"},
	{name: "escaped space", target: "/a%20b+c"},
	{name: "escaped question", target: "/a%3Fb?c"},
	{name: "escaped percent", target: "/a%25b%2541"},
	{name: "escaped UTF-8", target: "/caf%C3%A9/%E2%82%AC"},
	{name: "escaped Latin-1", target: "/caf%E9"},
	{name: "bytes of UTF-8", target: "/caf\xc3\xa9", only1: true},
	{name: "sub-delimiters", target: "/a;p=1/b,c/~d/(e)'!$&*@:"},
	{name: "post", method: "POST", target: "/form?body=1", header: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "a=1&b=2", length: true},
	{name: "unknown length", method: "POST", target: "/form?body=1", header: []string{"Content-Type: text/plain; charset=utf-8"}, body: strings.Repeat("x", 70000)},
	{name: "empty body", method: "POST", target: "/form?body=1", length: true},
	{name: "put", method: "PUT", target: "/x?body=1", body: "hello", length: true},
	{name: "body with get", target: "/x?body=1", body: "hello", length: true},
	{name: "head", method: "HEAD", target: "/x"},
	{name: "options", method: "OPTIONS", target: "/x"},
	{name: "delete", method: "DELETE", target: "/x"},
	{name: "custom method", method: "PURGE", target: "/x"},
	{name: "repeated header", header: []string{"X-Many: one", "X-Many: two", "X-Many: three, four", "Accept: text/html", "Accept: */*"}},
	{name: "empty header", header: []string{"X-Empty: "}},
	{name: "cookies", header: []string{"Cookie: a=1; b=2; c=3"}},
	{name: "cookies in two lines", header: []string{"Cookie: a=1", "Cookie: b=2"}},
	{name: "odd names", header: []string{"X_Under: 1", "X.Dot: 2", "X!bang: 3", "X-9-fine: 4", "Content_Length: 5", "HTTPS: on"}},
	{name: "proxy", header: []string{"Proxy: http://evil.example:3128"}},
	{name: "forwarded", header: []string{
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: evil.example", "X-Forwarded-Ssl: on",
		"Forwarded: for=192.0.2.1;proto=gopher",
	}},
	{name: "user fields", header: []string{"Authorization: Basic YTpi", "Referer: https://a.example/", "X-Real-Ip: 192.0.2.9", "Remote-User: root", "Remote-Addr: 192.0.2.9", "Accept-Encoding: gzip, br", "If-None-Match: \"x\"", "Range: bytes=0-1", "Origin: null"}},
	{name: "te", header: []string{"TE: trailers"}},
	{name: "expect", method: "POST", target: "/x?body=1", header: []string{"Expect: 100-continue"}, body: "hello", length: true},
	{name: "host with port", host: host + ":8443"},
	{name: "host in capitals", host: "APP.localhost"},
	{name: "bytes above ASCII", header: []string{"X-Name: caf\xc3\xa9"}},
	{name: "hop by hop", header: []string{"Connection: keep-alive, X-Private", "X-Private: 1", "Keep-Alive: timeout=5", "TE: trailers, deflate", "Trailer: X-After", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic YTpi"}, only1: true},
	{name: "upgrade", header: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "HTTP2-Settings: AAMAAABkAAQAAP__"}, only1: true},
	{name: "absolute form", target: "http://" + host + "/abs?x=1", only1: true},
	{name: "absolute form, another host in Host", target: "http://" + host + "/abs", host: "other.example", only1: true},
	{name: "HTTP/1.0", proto: "HTTP/1.0", only1: true},
}

func (c call) filled() call {
	if c.method == "" {
		c.method = "GET"
	}
	if c.target == "" {
		c.target = "/"
	}
	if c.host == "" {
		c.host = host
	}
	if c.proto == "" {
		c.proto = "HTTP/1.1"
	}
	c.header = append([]string{"User-Agent: livetest"}, c.header...)
	return c
}

// raw is the request in the bytes of HTTP/1.
func (c call) raw() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\n", c.method, c.target, c.proto)
	if c.host != "-" {
		fmt.Fprintf(&b, "Host: %s\r\n", c.host)
	}
	for _, h := range c.header {
		b.WriteString(h + "\r\n")
	}
	switch {
	case c.length:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(c.body), c.body)
	case c.body != "":
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for rest := []byte(c.body); len(rest) > 0; {
			n := min(len(rest), 30000)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// bytes1 sends the call as HTTP/1 and reads the answer.
func (c call) bytes1(addr string, conf *tls.Config) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if conf != nil {
		conf = conf.Clone()
		conf.NextProtos = []string{"http/1.1"}
		conn = tls.Client(conn, conf)
	}
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(c.raw()); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: c.method})
		if err != nil {
			return err
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		return whole(resp)
	}
}

func whole(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", resp.StatusCode, body)
	}
	return err
}

// request is the call for clients of HTTP/2 and HTTP/3.
func (c call) request(t testing.TB, p protocol) *http.Request {
	t.Helper()
	u, err := url.Parse(p.scheme() + "://" + c.host + c.target)
	if err != nil {
		t.Fatal(err)
	}
	var body io.Reader
	if c.body != "" || c.length {
		body = strings.NewReader(c.body)
		if !c.length {
			body = io.MultiReader(body) // of unknown length
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, u.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = u
	for _, h := range c.header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	return r
}

// stand is one server in front of the app, and a way to it.
type stand struct {
	name string
	port string
	send func(t testing.TB, c call) error
}

// see sends the call and returns what the app saw of it.
func (s stand) see(t testing.TB, c call, last *http.Client) environ {
	t.Helper()
	if err := s.send(t, c); err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	resp, err := last.Get(h1.url("/~last"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e environ
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e["SERVER_PORT"] != s.port {
		t.Errorf("%s: SERVER_PORT is %v, want %s", s.name, e["SERVER_PORT"], s.port)
	}
	if e["REMOTE_PORT"] == "" || e["REMOTE_PORT"] == nil {
		t.Errorf("%s: no REMOTE_PORT", s.name)
	}
	delete(e, "SERVER_PORT")
	delete(e, "REMOTE_PORT")
	return e
}

// TestEnviron compares what one app sees of the same request over HTTP/1.1, h2
// and h3, and behind nginx.
func TestEnviron(t *testing.T) {
	a := startApp(t, "--buffer-size", "32768")
	g := startGateway(t, conf{socket: a.socket})
	n := startNginx(t, g.certificate, a.socket)
	over1 := func(addr string, conf *tls.Config) stand {
		return stand{port: port(addr), send: func(_ testing.TB, c call) error { return c.bytes1(addr, conf) }}
	}
	over := func(p protocol, addr string) stand {
		client := g.client(t, p)
		return stand{name: string(p), port: port(addr), send: func(t testing.TB, c call) error {
			resp, err := client.Transport.RoundTrip(c.request(t, p))
			if err != nil {
				return err
			}
			return whole(resp)
		}}
	}
	stands := map[string]stand{
		"h1": over1(g.http, nil), "h1s": over1(g.https, g.tls()),
		"nginx": over1(n.http, nil), "nginx with TLS": over1(n.https, g.tls()),
		"h2": over(h2, g.https), "h2c": over(h2c, g.http), "h3": over(h3, g.https),
	}
	last := g.client(t, h1)
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			c = c.filled()
			seen := map[string]environ{}
			for name, s := range stands {
				if !c.only1 || s.name == "" {
					s.name = name
					seen[name] = s.see(t, c, last)
				}
			}
			for _, pair := range [][2]string{{"h1s", "h2"}, {"h1s", "h3"}, {"h1", "h2c"}} {
				if !c.only1 {
					compareProtocols(t, pair, seen[pair[0]], seen[pair[1]])
				}
			}
			compareNginx(t, c, "http", seen["nginx"], seen["h1"])
			compareNginx(t, c, "https", seen["nginx with TLS"], seen["h1s"])
		})
	}
}

// compareProtocols: only the protocol and the request id differ.
func compareProtocols(t *testing.T, names [2]string, a, b environ) {
	t.Helper()
	a, b = maps.Clone(a), maps.Clone(b)
	if want := protocol(names[1]).name(); b["SERVER_PROTOCOL"] != want {
		t.Errorf("%s: SERVER_PROTOCOL is %v, want %s", names[1], b["SERVER_PROTOCOL"], want)
	}
	for _, key := range []string{"SERVER_PROTOCOL", "HTTP_X_REQUEST_ID"} {
		delete(a, key)
		delete(b, key)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("%s (-) and %s (+) differ:\n%s", names[0], names[1], d)
	}
}

func compareNginx(t *testing.T, c call, scheme string, behindNginx, behindUs environ) {
	t.Helper()
	if id, _ := behindUs["HTTP_X_REQUEST_ID"].(string); len(id) < 16 {
		t.Errorf("request id %q", id)
	}
	delete(behindUs, "HTTP_X_REQUEST_ID") // nginx makes none
	want := maps.Clone(behindNginx)
	for _, d := range differences {
		d(want, c, scheme)
	}
	if d := cmp.Diff(want, behindUs); d != "" {
		t.Errorf("%s: behind nginx, corrected (-), and behind headgate (+) differ:\n%s", scheme, d)
	}
}

// differences is the whole list of what an app sees otherwise than behind
// Debian's nginx with its own uwsgi_params. Each makes of an environ behind nginx
// the one that we owe.
var differences = []func(e environ, c call, scheme string){
	// There are no documents: DOCUMENT_ROOT is a directory of nginx's package.
	func(e environ, _ call, _ string) { delete(e, "DOCUMENT_ROOT") },

	// PEP 3333 wants SCRIPT_NAME, if only empty, and uWSGI does not add it.
	func(e environ, _ call, _ string) { e["SCRIPT_NAME"] = "" },

	// The scheme is said in the way that beats what clients say (uWSGI takes
	// X-Forwarded-Proto for the scheme, even "gopher").
	func(e environ, _ call, scheme string) {
		e["UWSGI_SCHEME"], e["wsgi.url_scheme"] = scheme, scheme
	},

	// X-Forwarded-* and Forwarded are the gateway's word, whatever an untrusted
	// client says; X-Forwarded-Ssl, which uWSGI takes for HTTPS, is nobody's.
	func(e environ, c call, scheme string) {
		e["HTTP_X_FORWARDED_FOR"], e["HTTP_X_FORWARDED_PROTO"] = "127.0.0.1", scheme
		e["HTTP_X_FORWARDED_HOST"] = hostOf(c)
		delete(e, "HTTP_X_FORWARDED_SSL")
		if _, ok := e["HTTP_FORWARDED"]; ok {
			e["HTTP_FORWARDED"] = fmt.Sprintf("for=127.0.0.1;proto=%s;host=%q", scheme, host)
		}
	},

	// So is X-Real-Ip, if the client says one.
	func(e environ, _ call, _ string) {
		if _, ok := e["HTTP_X_REAL_IP"]; ok {
			e["HTTP_X_REAL_IP"] = "127.0.0.1"
		}
	},

	// Debian's file says $host, which loses the port; nginx says $host with the
	// port since 1.29.5.
	func(e environ, c call, _ string) { e["HTTP_HOST"] = hostOf(c) },

	// nginx says HTTP_CONTENT_TYPE and HTTP_CONTENT_LENGTH too, which gunicorn
	// would take for more than CONTENT_TYPE and CONTENT_LENGTH.
	func(e environ, _ call, _ string) {
		delete(e, "HTTP_CONTENT_TYPE")
		delete(e, "HTTP_CONTENT_LENGTH")
	},

	// What belongs to the connection before the gateway, and what Connection
	// lists (RFC 9110, 7.6.1). Above all Transfer-Encoding: the body goes on with
	// its length.
	func(e environ, c call, _ string) {
		for _, name := range []string{
			"CONNECTION", "KEEP_ALIVE", "TE", "TRAILER", "TRANSFER_ENCODING", "UPGRADE", "EXPECT",
			"PROXY_CONNECTION", "PROXY_AUTHORIZATION", "HTTP2_SETTINGS", "X_PRIVATE",
		} {
			delete(e, "HTTP_"+name)
		}
	},

	// An upgrade that the client asks for is the app's to take.
	func(e environ, c call, _ string) {
		if c.name == "upgrade" {
			e["HTTP_UPGRADE"], e["HTTP_CONNECTION"] = "websocket", "Upgrade"
		}
	},

	// HTTP_PROXY directs the requests that an app makes ("httpoxy").
	func(e environ, _ call, _ string) { delete(e, "HTTP_PROXY") },

	// Debian's nginx sends a variable for each line of a header, and uWSGI keeps
	// the last; nginx joins them since 1.23.0.
	func(e environ, c call, _ string) {
		joined := map[string][]string{}
		for _, line := range c.header {
			name, value, _ := strings.Cut(line, ": ")
			key := "HTTP_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
			joined[key] = append(joined[key], value)
		}
		for key, values := range joined {
			if e[key] != values[len(values)-1] || len(values) < 2 {
				continue
			}
			e[key] = strings.Join(values, ", ")
			if key == "HTTP_COOKIE" {
				e[key] = strings.Join(values, "; ")
			}
		}
	},
}

// hostOf is the one host of a request: that of an absolute target, or Host.
func hostOf(c call) string {
	if strings.HasPrefix(c.target, "http") {
		return host
	}
	return c.host
}

// TestStrangeTargets: where nginx refuses, so do we.
func TestStrangeTargets(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	n := startNginx(t, g.certificate, a.socket)
	for _, target := range []string{"/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/a%00b", "/a%zz", "/a%2", "a", "/a b"} {
		c := call{target: target}.filled()
		ours, theirs := c.bytes1(g.http, nil), c.bytes1(n.http, nil)
		if ours == nil || theirs == nil || !strings.HasPrefix(ours.Error(), "status 400") || !strings.HasPrefix(theirs.Error(), "status 400") {
			t.Errorf("%s: %v, and behind nginx %v", target, ours, theirs)
		}
	}
}

// TestNoHost: HTTP/1.0 without Host belongs to the site of all other hosts, and
// the app is told the address that the client reached.
func TestNoHost(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	c := call{proto: "HTTP/1.0", host: "-"}.filled()
	if err := c.bytes1(g.http, nil); err == nil || !strings.HasPrefix(err.Error(), "status 404") {
		t.Errorf("without such a site: %v", err)
	}
	g = startGateway(t, conf{socket: a.socket, more: "  - {http: serve, routes: [{pool: app}]}"})
	s := stand{name: "h1", port: port(g.http), send: func(_ testing.TB, c call) error { return c.bytes1(g.http, nil) }}
	e := s.see(t, c, g.client(t, h1))
	for _, key := range []string{"SERVER_NAME", "HTTP_HOST", "HTTP_X_FORWARDED_HOST"} {
		if e[key] != "127.0.0.1" {
			t.Errorf("%s is %q, want the local address", key, e[key])
		}
	}
}
