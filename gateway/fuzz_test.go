package gateway_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/routing"
	"headgate/upstream/uwsgi/uwsgitest"
)

// FuzzRequest sends whatever to the front door. Nothing may panic, every answer
// must be HTTP, and what reaches a worker must keep the rules of "What a request
// may rely on" in the design.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/", "app.localhost", "Accept: */*")
	f.Add("POST", "/a/%2e%2e/b//c?d=%2F#e", "APP.localhost.:80", "Content-Length: 3\nX_Y: 1\nProxy: x\n\nabc")
	f.Add("OPTIONS", "*", "[::1]:80", "Connection: x-a, close\nX-A: 1")
	f.Add("GET", "http://a@b:1/c", "b", "Host: c\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n")
	f.Add("GET", "//evil/..%2f\x80", "a", "X-Forwarded-For: 1\nForwarded: for=\"\nUpgrade: x\nConnection: upgrade\nContent-Type: a\nContent-Type: b")
	f.Add("get", "/\\..\\x", "a,b", "Content-Length: 1, 1\nContent-Length: 1\n\nx")
	f.Add("GET", "/%00", "", " folded: 1\nRemote-User: x\nREMOTE_ADDR: 6.6.6.6\nUWSGI_FILE: /etc/passwd\nX.Y: z\nCookie: a\nCookie: b")
	received := make(chan *uwsgitest.Request, 1000)
	w := uwsgitest.Start(f, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			received <- r
			c.Send(answerOK)
		}
	})
	conf := before(w)
	conf.Limits = "header_timeout: 200ms, body_idle_timeout: 100ms, idle_timeout: 100ms, uri_bytes: 1KiB, header_bytes: 4KiB"
	conf.Pool = "dialect: uwsgi" // else a ping finds it out
	conf.Routes = "{mount: /blog, pool: app}, {pool: app}"
	g := gatewaytest.Start(f, conf.String())
	addr := g.Address("http")
	f.Fuzz(func(t *testing.T, method, target, host, rest string) {
		if len(method)+len(target)+len(host)+len(rest) > 8<<10 {
			t.Skip()
		}
		line := strings.NewReplacer("\r", "", "\n", "").Replace
		head, body, _ := strings.Cut(rest, "\n\n")
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\nConnection: close\r\n\r\n%s",
			line(method), line(target), line(host), strings.ReplaceAll(head, "\n", "\r\n"), strings.ReplaceAll(body, "\n", "\r\n"))
		converse(t, addr, raw)
		for {
			select {
			case r := <-received:
				checkRules(t, r)
				continue
			default:
			}
			break
		}
		for _, l := range g.Log.All() {
			if l.Text("msg") == "panic while serving" {
				t.Fatalf("%v", l)
			}
		}
		g.Log.Forget()
		g.Access.Forget()
	})
}

// converse sends raw and reads all answers.
func converse(t *testing.T, addr, raw string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, raw); err != nil {
		return // refused before it was all sent
	}
	r := bufio.NewReader(conn)
	for {
		if _, err := r.Peek(1); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatalf("no end after %q", raw)
			}
			return // the end, or a reset with bytes unread
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("an answer that is not HTTP: %v", err)
		}
		b, err := io.ReadAll(resp.Body)
		if resp.StatusCode >= 500 {
			t.Fatalf("got %d %q (%v)", resp.StatusCode, b, err)
		}
	}
}

// checkRules holds a worker's request against what every app may rely on.
func checkRules(t *testing.T, r *uwsgitest.Request) {
	t.Helper()
	seen := make(map[string]string)
	for _, v := range r.Vars {
		if _, twice := seen[v.Key]; twice {
			t.Errorf("%s is there twice", v.Key)
		}
		seen[v.Key] = v.Value
		if strings.Trim(v.Key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			t.Errorf("the name %q", v.Key)
		}
		if strings.ContainsAny(v.Value, "\x00\r\n") && v.Key != "PATH_INFO" {
			t.Errorf("%s=%q", v.Key, v.Value)
		}
		switch v.Key {
		case "HTTP_PROXY", "HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_EXPECT", "HTTP_TE", "HTTP_KEEP_ALIVE",
			"REMOTE_USER", "UWSGI_FILE", "HTTPS", "HTTP_PROXY_AUTHORIZATION":
			t.Errorf("%s=%q reached the worker", v.Key, v.Value)
		case "HTTP_CONNECTION":
			if v.Value != "Upgrade" || seen["HTTP_UPGRADE"] == "" {
				t.Errorf("HTTP_CONNECTION=%q", v.Value)
			}
		}
	}
	if seen["REMOTE_ADDR"] != "127.0.0.1" || seen["HTTP_X_FORWARDED_FOR"] != "127.0.0.1" || seen["UWSGI_SCHEME"] != "http" {
		t.Errorf("the client is %q, %q, %q", seen["REMOTE_ADDR"], seen["HTTP_X_FORWARDED_FOR"], seen["UWSGI_SCHEME"])
	}
	if seen["SERVER_PROTOCOL"] != "HTTP/1.1" || seen["REQUEST_METHOD"] == "" {
		t.Errorf("the request line is %q %q", seen["REQUEST_METHOD"], seen["SERVER_PROTOCOL"])
	}
	if _, _, err := routing.NormalizeHost(seen["HTTP_HOST"]); err != nil {
		t.Errorf("HTTP_HOST=%q: %v", seen["HTTP_HOST"], err)
	}
	if n := seen["CONTENT_LENGTH"]; n != "" && n != fmt.Sprint(len(r.Body)) {
		t.Errorf("CONTENT_LENGTH=%q with %d bytes", n, len(r.Body))
	}
	checkCanonical(t, seen["SCRIPT_NAME"]+seen["PATH_INFO"])
	if uri := seen["REQUEST_URI"]; !strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, " \r\n\x00") {
		t.Errorf("REQUEST_URI=%q", uri)
	}
	if _, query, _ := strings.Cut(seen["REQUEST_URI"], "?"); query != seen["QUERY_STRING"] {
		t.Errorf("QUERY_STRING=%q of %q", seen["QUERY_STRING"], seen["REQUEST_URI"])
	}
	if script := seen["SCRIPT_NAME"]; script != "" && script != "/blog" {
		t.Errorf("SCRIPT_NAME=%q", script)
	}
}

// checkCanonical holds the path that an app sees against the form that routes
// match.
func checkCanonical(t *testing.T, path string) {
	t.Helper()
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || bytes.IndexByte([]byte(path), 0) >= 0 {
		t.Errorf("the path is %q", path)
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			t.Errorf("the path is %q", path)
		}
	}
}
