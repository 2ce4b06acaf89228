package livetest_test

import (
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantProtocol looks into an answer of the echo app.
func wantProtocol(t *testing.T, answer, want string) {
	t.Helper()
	if i := strings.IndexByte(answer, '{'); i >= 0 {
		answer = answer[i:]
	}
	var e environ
	if err := json.NewDecoder(strings.NewReader(answer)).Decode(&e); err != nil {
		t.Fatalf("%v in %q", err, answer)
	}
	if e["SERVER_PROTOCOL"] != want || e["PATH_INFO"] != "/page" {
		t.Errorf("the app saw %v of %v, want %s of /page", e["SERVER_PROTOCOL"], e["PATH_INFO"], want)
	}
}

// TestClients: what people and their tools use gets a page over each protocol.
func TestClients(t *testing.T) {
	a := startApp(t)
	g := startGateway(t, conf{socket: a.socket})
	plain, secure := "http://localhost:"+port(g.http)+"/page", "https://localhost:"+port(g.https)+"/page"

	for _, row := range []struct {
		name, want string
		command    []string
	}{
		{"curl", "HTTP/1.1", []string{"curl", "-sS", plain}},
		{"curl --http1.0", "HTTP/1.0", []string{"curl", "-sS", "--http1.0", plain}},
		{"curl --http1.1 with TLS", "HTTP/1.1", []string{"curl", "-sS", "--http1.1", "--cacert", g.cert, secure}},
		{"curl --http2 with TLS", "HTTP/2.0", []string{"curl", "-sS", "--http2", "--cacert", g.cert, secure}},
		{"curl --http2-prior-knowledge", "HTTP/2.0", []string{"curl", "-sS", "--http2-prior-knowledge", plain}},
		{"curl --http2 in clear text stays HTTP/1.1", "HTTP/1.1", []string{"curl", "-sS", "--http2", plain}},
		{"nghttp", "HTTP/2.0", []string{"nghttp", "--no-verify-peer", secure}},
		{"nghttp in clear text", "HTTP/2.0", []string{"nghttp", plain}},
	} {
		t.Run(row.name, func(t *testing.T) {
			need(t, row.command[0])
			stdout, stderr, code := run(t, row.command...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			wantProtocol(t, stdout, row.want)
		})
	}
	t.Run("gtlsclient", func(t *testing.T) {
		dir := t.TempDir()
		_, stderr, _ := run(t, need(t, "gtlsclient"), "-q", "--exit-on-all-streams-close", "--timeout=5s", "--download="+dir, "localhost", port(g.https), secure)
		page, err := os.ReadFile(filepath.Join(dir, "page"))
		if err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		wantProtocol(t, string(page), "HTTP/3.0")
	})
	t.Run("chromium", func(t *testing.T) { wantProtocol(t, browse(t, g, secure), "HTTP/2.0") })
	t.Run("chromium with HTTP/3", func(t *testing.T) {
		wantProtocol(t, browse(t, g, secure, "--enable-quic", "--origin-to-force-quic-on=localhost:"+port(g.https)), "HTTP/3.0")
	})
}

// browse opens a page in Chromium and returns its text.
func browse(t *testing.T, g *gateway, url string, flags ...string) string {
	t.Helper()
	command := []string{
		need(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--host-resolver-rules=MAP localhost 127.0.0.1", // QUIC would try ::1 alone
		"--user-data-dir=" + shortDir(t), "--ignore-certificate-errors-spki-list=" + g.spki, "--dump-dom",
	}
	stdout, stderr, code := run(t, append(append(command, flags...), url)...)
	if code != 0 || !strings.Contains(stdout, "SERVER_PROTOCOL") {
		t.Fatalf("exit code %d: %s\n%s", code, stdout, tail(stderr, 2000))
	}
	return html.UnescapeString(stdout)
}
