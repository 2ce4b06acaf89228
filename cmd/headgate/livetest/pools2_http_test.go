package livetest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// startUvicorn runs testdata/asgi.py and returns its address as a pool names it.
func startUvicorn(t testing.TB, unix bool, options ...string) string {
	t.Helper()
	dir := shortDir(t)
	command := []string{"env", "RUNS=" + filepath.Join(dir, "runs"), need(t, "uvicorn"), "--app-dir", absolute(t, "testdata"), "--no-access-log"}
	if unix {
		socket := filepath.Join(dir, "u.sock")
		start(t, dir, accepts("unix", socket), append(append(command, "--uds", socket, "asgi:application"), options...)...)
		return "unix:" + socket
	}
	addr := "127.0.0.1:" + freePort(t)
	start(t, dir, accepts("tcp", addr), append(append(command, "--port", port(addr), "asgi:application"), options...)...)
	return addr
}

// startGo runs the twin of testdata/asgi.py on HTTP/2 without TLS.
func startGo(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", goEcho)
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-time.After(200 * time.Millisecond)
		}
	})
	mux.HandleFunc("/unchanged", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("version 1"))
	})
	s := &http.Server{Handler: mux, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return l.Addr().String()
}

func goEcho(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hash := sha256.Sum256(body)
	seen := echoed{Method: r.Method, RawPath: r.URL.EscapedPath(), Query: r.URL.RawQuery, Version: r.Proto[5:], Length: len(body), SHA256: hex.EncodeToString(hash[:])}
	seen.Header = append(seen.Header, [2]string{"host", r.Host})
	for name, values := range r.Header {
		for _, v := range values {
			seen.Header = append(seen.Header, [2]string{strings.ToLower(name), v})
		}
	}
	answer, err := json.Marshal(seen)
	if err != nil {
		panic(err) // it is a plain struct
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
	_, _ = w.Write(answer) // a client that has gone
}

// echoed is what an HTTP member saw of a request.
type echoed struct {
	Method  string      `json:"method"`
	RawPath string      `json:"raw_path"`
	Query   string      `json:"query"`
	Version string      `json:"version"`
	Header  [][2]string `json:"header"`
	Length  int         `json:"length"`
	SHA256  string      `json:"sha256"`
}

// all returns every value of a field, joined by "|".
func (e echoed) all(name string) string {
	var values []string
	for _, f := range e.Header {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, "|")
}

// TestHTTPMembers: servers that speak HTTP behind the gateway, over every
// protocol in front of it.
func TestHTTPMembers(t *testing.T) {
	for _, row := range []struct {
		name, protocol, version string
		start                   func() string
	}{
		{"uvicorn", "http", "1.1", func() string { return startUvicorn(t, false) }},
		{"uvicorn on a unix socket", "http", "1.1", func() string { return startUvicorn(t, true) }},
		{"Go", "h2c", "2.0", func() string { return startGo(t) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			g := startSite(t, poolsConf{pools: fmt.Sprintf("app: {protocol: %s, members: [%q]}\n", row.protocol, row.start()), routes: "{pool: app}"})
			for _, p := range protocols {
				t.Run(string(p), func(t *testing.T) {
					client := g.client(t, p)
					httpEcho(t, client, p, row.version)
					httpHead(t, client, p)
					httpUnchanged(t, client, p)
					httpStream(t, client, p)
				})
			}
		})
	}
}

func httpDo(t *testing.T, client *http.Client, method, url string, header http.Header, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func httpEcho(t *testing.T, client *http.Client, p protocol, version string) {
	t.Helper()
	content := bytes.Repeat([]byte("headgate"), 100_000)
	hash := sha256.Sum256(content)
	for _, body := range []io.Reader{bytes.NewReader(content), io.MultiReader(bytes.NewReader(content))} { // counted, and of unknown length
		resp := httpDo(t, client, http.MethodPost, p.url("/caf%C3%A9/a%2Fb?x=%20&y"), http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"gopher"}, "Proxy": {"http://evil.example"}, "X_Under": {"1"},
			"Cookie": {"a=1; b=2"}, "X-Many": {"one", "two"}, "Te": {"trailers"},
		}, body)
		var e echoed
		if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d: %v", resp.StatusCode, err)
		}
		if e.Length != len(content) || e.SHA256 != hex.EncodeToString(hash[:]) {
			t.Errorf("the app read %d bytes of %d, or others", e.Length, len(content))
		}
		if e.Method != http.MethodPost || e.RawPath != "/caf%C3%A9/a/b" || e.Query != "x=%20&y" || e.Version != version {
			t.Errorf("the app saw %s %s?%s of HTTP/%s", e.Method, e.RawPath, e.Query, e.Version)
		}
		for name, want := range map[string]string{
			"host": host, "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": p.scheme(), "x-forwarded-host": host, "content-length": fmt.Sprint(len(content)),
			"cookie": "a=1; b=2", "proxy": "", "x_under": "", "te": "", "transfer-encoding": "", "upgrade": "",
		} {
			if got := e.all(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if got := e.all("x-many"); got != "one|two" && got != "one, two" {
			t.Errorf("x-many is %q", got)
		}
		if e.all("x-request-id") == "" {
			t.Error("no x-request-id")
		}
	}
}

func httpHead(t *testing.T, client *http.Client, p protocol) {
	t.Helper()
	resp := httpDo(t, client, http.MethodHead, p.url("/page"), nil, nil)
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || resp.ContentLength < 100 || len(b) > 0 || err != nil {
		t.Errorf("HEAD: status %d, length %d, body %q, %v", resp.StatusCode, resp.ContentLength, b, err)
	}
}

func httpUnchanged(t *testing.T, client *http.Client, p protocol) {
	t.Helper()
	resp := httpDo(t, client, http.MethodGet, p.url("/unchanged"), nil, nil)
	if b, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || string(b) != "version 1" || err != nil {
		t.Errorf("status %d, body %q, %v", resp.StatusCode, b, err)
	}
	for range 3 { // the connections go on
		resp = httpDo(t, client, http.MethodGet, p.url("/unchanged"), http.Header{"If-None-Match": {resp.Header.Get("Etag")}}, nil)
		if b, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNotModified || len(b) > 0 || err != nil || resp.Header.Get("Etag") != `"v1"` {
			t.Errorf("If-None-Match: status %d, body %q, %v, ETag %s", resp.StatusCode, b, err, resp.Header.Get("Etag"))
		}
	}
}

// httpStream: each event comes when the app has sent it.
func httpStream(t *testing.T, client *http.Client, p protocol) {
	t.Helper()
	begin := time.Now()
	resp := httpDo(t, client, http.MethodGet, p.url("/stream?n=3"), nil, nil)
	first := make([]byte, len("data: 0\n\n"))
	_, err := io.ReadFull(resp.Body, first)
	early := time.Since(begin)
	rest, err2 := io.ReadAll(resp.Body)
	if all := string(first) + string(rest); all != "data: 0\n\ndata: 1\n\ndata: 2\n\n" || err != nil || err2 != nil {
		t.Errorf("the stream is %q, %v, %v", all, err, err2)
	}
	if took := time.Since(begin); took-early < 350*time.Millisecond {
		t.Errorf("the first event came after %v, the end after %v", early, took)
	}
}

// TestTwoHalves: of one site / is behind uwsgi, and /ws/ with its WebSockets
// behind uvicorn.
func TestTwoHalves(t *testing.T) {
	a := startMember(t, filepath.Join(shortDir(t), "a.sock"), "wsgi", 0)
	g := startSite(t, poolsConf{
		pools:  fmt.Sprintf("app: {members: [\"unix:%s\"]}\nasgi: {protocol: http, members: [%q]}\n", a.socket, startUvicorn(t, false, "--ws", "wsproto")),
		routes: "{path: /ws/, pool: asgi}, {pool: app}",
	})
	for _, secure := range []bool{false, true} {
		ws := openWebSocket(t, g, secure, "/ws/chat")
		for i := range 3 {
			text := fmt.Sprint("message ", i, strings.Repeat("x", i*40_000))
			if err := websocket.Message.Send(ws, text); err != nil {
				t.Fatal(err)
			}
			wantPage(t, g, "/work", nil, http.StatusOK, "wsgi")
			wantPage(t, g, "/ws/page", nil, http.StatusOK, `"raw_path": "/ws/page"`)
			var got string
			if err := websocket.Message.Receive(ws, &got); err != nil || got != "/ws/chat "+text {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len("/ws/chat "+text))
			}
		}
	}
	if n := g.pool(t, "asgi").Members[0].InFlight; n != 2 {
		t.Errorf("%d in flight, want the two WebSockets", n)
	}
}

func openWebSocket(t *testing.T, g *gateway, secure bool, path string) *websocket.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.http)
	scheme := "ws"
	if secure {
		scheme = "wss"
		conn, err = tls.Dial("tcp", g.https, g.tls())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	config, err := websocket.NewConfig(scheme+"://"+host+path, "http://"+host)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := websocket.NewClient(config, conn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() }) // with a close frame: uvicorn 0.17 never notices a mere end
	return ws
}
