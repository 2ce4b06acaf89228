package livetest_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
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
