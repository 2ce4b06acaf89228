package admin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func TestReload(t *testing.T) {
	path := socketPath(t)
	g := &gateway{}
	stop := serveAPI(t, g, path)
	c := admin.NewClient(path)

	g.reload = func(context.Context) (stats.Generation, error) {
		return stats.Generation{Number: 2, Hash: "abc"}, nil
	}
	got, err := c.Reload(t.Context())
	if err != nil || !got.OK || got.Generation != 2 || got.Hash != "abc" || got.Took <= 0 || got.Error != "" {
		t.Errorf("Reload = %+v, %v", got, err)
	}

	const text = "headgate.yaml:14: unknown key \"sits\"\nheadgate.yaml:20: pool \"wbe\" is not defined"
	g.reload = func(context.Context) (stats.Generation, error) {
		return stats.Generation{Number: 2, Hash: "abc"}, errors.New(text)
	}
	got, err = c.Reload(t.Context())
	if err != nil || got.OK || got.Generation != 2 || got.Error != text {
		t.Errorf("Reload of a bad configuration = %+v, %v", got, err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	path := socketPath(t)
	g := &gateway{snapshot: snapshot()}
	stop := serveAPI(t, g, path)
	got, err := admin.NewClient(path).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(g.snapshot, got); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreJSON(t *testing.T) {
	api := admin.NewAPI(&gateway{}, nil)
	for _, row := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v1/reload", 405, `{"error":"/v1/reload does not know the method GET: use POST"}`},
		{"DELETE", "/v1/status", 405, `{"error":"/v1/status does not know the method DELETE: use GET, HEAD"}`},
		{"GET", "/v2/x", 404, `{"error":"the admin API has no /v2/x: the client and the gateway may be of different versions"}`},
		{"GET", "/v1/certificates/renew?name=a", 405, `/v1/certificates/renew does not know the method GET: use POST`},
		{"PUT", "/v1/certificates/revoke", 405, `use POST`},
		{"GET", "/v1/pools/web/drain?member=a", 405, `use POST`},
		{"GET", "/v1/pools/web/resume", 405, `use POST`},
		{"POST", "/v1/pools/web/stop", 404, `the admin API has no /v1/pools/web/stop`},
		{"POST", "/v1/pools/web/drain", 400, `the address of a member is missing: add ?member=ADDRESS`},
		{"POST", "/v1/pools/web/undrain?member=", 400, `add ?member=ADDRESS`},
		{"POST", "/v1/pools/web/pause?for=soon", 400, `for: \"soon\" is not a length of time: write it like 90s or 5m`},
		{"POST", "/v1/pools/web/pause?for=5", 400, `write it like`},
		{"POST", "/v1/pools/web/pause?for=0s", 400, `write it like`},
		{"POST", "/v1/reload", 422, `"error":"not scripted"`},
	} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest(row.method, row.path, nil))
		if w.Code != row.status || !strings.Contains(w.Body.String(), row.body) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s = %d %s", row.method, row.path, w.Code, w.Body)
		}
		if w.Code == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", row.method, row.path)
		}
	}
}

func TestReloadOfAClientThatLeavesIsCanceled(t *testing.T) {
	path := socketPath(t)
	entered, left := make(chan struct{}), make(chan struct{})
	stop := serveAPI(t, &gateway{reload: func(ctx context.Context) (stats.Generation, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return stats.Generation{}, ctx.Err()
	}}, path)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := admin.NewClient(path).Reload(ctx)
		done <- err
	}()
	<-entered
	cancel()
	<-left
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "has not answered") {
		t.Errorf("Reload = %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestServeEndsAfterItsLastHandler(t *testing.T) {
	path := socketPath(t)
	entered := make(chan struct{})
	left := false
	stop := serveAPI(t, &gateway{reload: func(ctx context.Context) (stats.Generation, error) {
		close(entered)
		<-ctx.Done()
		left = true
		return stats.Generation{}, ctx.Err()
	}}, path)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = admin.NewClient(path).Reload(context.Background())
	}()
	<-entered
	begin := time.Now()
	if err := stop(); err != nil || !left {
		t.Errorf("Serve = %v, and the handler has returned: %v", err, left)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("stopping took %v", d)
	}
	<-done
}

func TestClientSaysWhatIsWrong(t *testing.T) {
	path := socketPath(t)
	if _, err := admin.NewClient(path).Status(t.Context()); !errors.Is(err, admin.ErrNotRunning) ||
		err.Error() != "no headgate is running (no socket at "+path+"); start it with headgate run" {
		t.Errorf("without a socket: %v", err)
	}
	stale(t, path)
	if _, err := admin.NewClient(path).Status(t.Context()); !errors.Is(err, admin.ErrNotRunning) || !strings.Contains(err.Error(), "nobody listens") {
		t.Errorf("with a stale socket: %v", err)
	}
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.NewClient(filepath.Join(file, "x")).Status(t.Context()); !errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("below a file: %v", err)
	}

	ln, err := net.Listen("unix", filepath.Join(filepath.Dir(path), "s"))
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":                "is not this headgate",
		"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}":                  "was cut",
		"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}":                   "status 500",
		"HTTP/1.1 404 No\r\nContent-Length: 15\r\n\r\n{\"error\":\"old\"}": "old",
		"SSH-2.0\r\n": "malformed",
	} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
		}()
		if _, err := admin.NewClient(ln.Addr().String()).Status(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %q: %v, want %q", answer, err, want)
		}
		<-done
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	g := &gateway{}
	m := admin.NewMetrics(g.Snapshot, nil, nil)
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	for state, want := range map[stats.State]int{stats.StateStarting: 503, stats.StateReady: 200, stats.StateDraining: 503} {
		g.snapshot.State = state
		code, body := get("/readyz")
		if code != want || code == 503 && body != string(state) {
			t.Errorf("%s: /readyz = %d %q", state, code, body)
		}
		if code, body := get("/healthz"); code != 200 || body != "ok" {
			t.Errorf("%s: /healthz = %d %q", state, code, body)
		}
	}
	if code, _ := get("/"); code != http.StatusNotFound {
		t.Errorf("/ = %d, want 404", code)
	}
}
