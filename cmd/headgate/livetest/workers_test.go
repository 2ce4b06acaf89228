package livetest_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wantPage asks for path over every protocol and looks at status and page.
func wantPage(t *testing.T, g *gateway, path string, header http.Header, status int, words ...string) {
	t.Helper()
	for _, p := range protocols {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header.Clone()
		resp, err := g.client(t, p).Do(r)
		if err != nil {
			t.Errorf("%s over %s: %v", path, p, err)
			continue
		}
		page, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != status || err != nil {
			t.Errorf("%s over %s: status %d, want %d: %s", path, p, resp.StatusCode, status, page)
		}
		for _, w := range words {
			if !strings.Contains(string(page), w) {
				t.Errorf("%s over %s: no %q on the page:\n%s", path, p, w, page)
			}
		}
	}
}

// wantLog: each of the failures has its line.
func wantLog(t *testing.T, g *gateway, word string) {
	t.Helper()
	if !eventually(2*time.Second, func() bool { return strings.Count(g.said(), word) >= len(protocols) }) {
		t.Errorf("%d log lines say %q, want %d", strings.Count(g.said(), word), word, len(protocols))
	}
}

// TestWorkerDies: the client learns that the worker ended without an answer, and
// the next request is served.
func TestWorkerDies(t *testing.T) {
	a := startApp(t, "--processes", "2", "--harakiri", "2")
	g := startGateway(t, conf{socket: a.socket, pool: "retry: {attempts: 1}\n"}) // a GET would kill two workers
	t.Run("killed", func(t *testing.T) {
		wantPage(t, g, "/die", nil, http.StatusBadGateway, "closed without an answer", "hint: ")
		wantLog(t, g, `"path":"/die"`)
		wantPage(t, g, "/page", nil, http.StatusOK)
	})
	t.Run("exception", func(t *testing.T) {
		wantPage(t, g, "/fail", nil, http.StatusBadGateway, "closed without an answer", "exception")
		wantLog(t, g, `"path":"/fail"`)
		wantPage(t, g, "/page", nil, http.StatusOK)
	})
	t.Run("harakiri", func(t *testing.T) {
		begin := time.Now()
		r, err := g.client(t, h2).Get(h2.url("/nap?s=20"))
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(r.Body)
		r.Body.Close()
		if took := time.Since(begin); r.StatusCode != http.StatusBadGateway || err != nil || took > 6*time.Second || !strings.Contains(string(page), "harakiri") {
			t.Errorf("status %d after %v: %s", r.StatusCode, took, page)
		}
		wantPage(t, g, "/page", nil, http.StatusOK)
	})
	t.Run("killed while it answers", func(t *testing.T) {
		for _, p := range protocols {
			r, err := g.client(t, p).Get(p.url("/die-in-answer"))
			if err != nil {
				t.Errorf("%s: %v", p, err)
				continue
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err == nil || len(body) > 100000 {
				t.Errorf("%s: half an answer looks whole: %d bytes, %v", p, len(body), err)
			}
		}
		wantLog(t, g, "of 200000 bytes are missing")
		wantPage(t, g, "/page", nil, http.StatusOK)
	})
	t.Run("silent", func(t *testing.T) {
		g := startGateway(t, conf{socket: a.socket, pool: "response_timeout: 500ms\n"})
		wantPage(t, g, "/nap?s=1", nil, http.StatusGatewayTimeout, "no answer within 0.5 s")
		wantLog(t, g, `"status":504`)
	})
}

// TestHeadTooLarge: what the worker cannot take is the client's to mend, and the
// page says what.
func TestHeadTooLarge(t *testing.T) {
	a := startApp(t, "--buffer-size", "4096")
	g := startGateway(t, conf{socket: a.socket, limits: "headers: 300"})
	wantPage(t, g, "/page", http.Header{"Cookie": {"session=" + strings.Repeat("x", 5000)}}, http.StatusRequestHeaderFieldsTooLarge,
		"Cookie", "buffer-size")
	wantLog(t, g, "buffer-size")

	many := http.Header{}
	for i := range 129 {
		many[fmt.Sprintf("X-%d", i)] = []string{"y"}
	}
	wantPage(t, g, "/page", many, http.StatusRequestHeaderFieldsTooLarge, "uWSGI takes 128")
	wantPage(t, g, "/page", nil, http.StatusOK)

	g = startGateway(t, conf{socket: a.socket})
	wantPage(t, g, "/page", many, http.StatusRequestHeaderFieldsTooLarge, "limits.headers")
	wantPage(t, g, "/page", http.Header{"X-Big": {strings.Repeat("x", 70_000)}}, http.StatusRequestHeaderFieldsTooLarge, "X-Big", "limits.header_bytes")
	wantPage(t, g, "/page", nil, http.StatusOK)
}

// TestWorkerMissing: the gateway starts before the worker, names the socket, and
// serves as soon as there is one.
func TestWorkerMissing(t *testing.T) {
	need(t, "uwsgi")
	socket := filepath.Join(shortDir(t), "app.sock")
	g := startGateway(t, conf{socket: socket, pool: "queue: {timeout: 300ms}\n"})
	if !strings.Contains(g.said(), "no socket yet") {
		t.Error("no warning at the start")
	}
	wantPage(t, g, "/page", nil, http.StatusServiceUnavailable, socket, "hint: ")
	if !eventually(2*time.Second, func() bool { return strings.Contains(g.said(), `"status":503`) }) {
		t.Error("no log line of the failure")
	}
	startAppAt(t, socket)
	wantPage(t, g, "/page", nil, http.StatusOK)
}

// TestWorkerSpeaksHTTP: the commonest mistake is recognised.
func TestWorkerSpeaksHTTP(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "http.sock")
	start(t, dir, accepts("unix", socket), need(t, "uwsgi"), "--plugin", "python3", "--master", "--die-on-term",
		"--pythonpath", absolute(t, "../../../deploy/examples/echo"), "--wsgi-file", absolute(t, "testdata/live.py"), "--http-socket", socket)
	g := startGateway(t, conf{socket: socket, pool: "retry: {attempts: 1}\n"}) // uWSGI waits 4 s for the rest of the request
	resp, err := g.client(t, h2).Get(h2.url("/page"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusBadGateway || !strings.Contains(string(page), "http-socket") {
		t.Errorf("status %d, %v: %s", resp.StatusCode, err, page)
	}
}

// TestWorkerReload: uWSGI reloads its app under load, and no request is lost.
func TestWorkerReload(t *testing.T) {
	a := startApp(t, "--processes", "4")
	g := startGateway(t, conf{socket: a.socket})
	l := startLoad(t, g, 2, "/page")
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for range 3 {
		<-tick.C
		fifo, err := os.OpenFile(a.fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fifo.WriteString("r"); err != nil {
			t.Error(err)
		}
		fifo.Close()
	}
	<-tick.C
	l.end(t)
	if n := strings.Count(a.said(), "binary reloading uWSGI"); n < 3 {
		t.Errorf("uWSGI reloaded %d times", n)
	}
}
