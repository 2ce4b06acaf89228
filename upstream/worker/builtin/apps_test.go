package builtin_test

import (
	"context"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
	"headgate/upstream/worker/builtin"
)

func post(t *testing.T, tr *uwsgi.Transport, path, body string) (string, error) {
	t.Helper()
	req := newRequest("POST", path)
	req.Body, req.ContentLength = strings.NewReader(body), int64(len(body))
	req.Header = uwsgi.HeaderFields{"Content-Type": {"application/x-www-form-urlencoded"}}
	_, got, err := do(t.Context(), tr, req)
	return got, err
}

func newRequest(method, target string) *uwsgi.Request {
	path, query, _ := strings.Cut(target, "?")
	return &uwsgi.Request{
		Method: method, Proto: "HTTP/1.1", Scheme: "https", Host: "shop.example.com", URI: target, PathInfo: path, Query: query,
		ServerName: "shop.example.com", ServerPort: "443", Remote: netip.MustParseAddrPort("192.0.2.7:1234"),
	}
}

func do(ctx context.Context, tr *uwsgi.Transport, req *uwsgi.Request) (status int, body string, err error) {
	resp, err := tr.Do(ctx, req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Status, string(b), err
}

func TestValidator(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3} {
		s := start(t, builtin.Options{App: "app", Processes: 2, Threads: threads})
		tr := s.transport()
		for _, body := range []string{"", "ab", "abcd\nefg\nhij\n\nklm", strings.Repeat("0123456\n", 20000)} {
			if got, err := post(t, tr, "/valid", body); err != nil || got != "written, "+body+", returned" {
				t.Errorf("a body of %d bytes: %.100q, %v", len(body), got, err)
			}
		}
		if got := s.said.String(); strings.Count(got, "so valid\n") != 4 || strings.Contains(got, "Traceback") || strings.Contains(got, "rror") {
			t.Errorf("it said %s", got)
		}
		if s := start(t, builtin.Options{App: "app:validated"}); s.get("/environ").StatusCode != 200 || s.get("/list").Body != "one" {
			t.Errorf("validated: %s", s.said)
		}
	}
}

func TestAppNames(t *testing.T) {
	t.Parallel()
	for app, want := range map[string]string{
		"app": "hello", "app:application": "hello", "app:Space.inner": "hello", "onlyapp": "onlyapp", "onlyapp:app": "onlyapp", "package.inside": "inside",
		"app:factory()": "made with () {}", "app:factory('a', 1, b=[None])": "made with ('a', 1) {'b': [None]}",
	} {
		if a := start(t, builtin.Options{App: app}).get("/"); a.Body != want {
			t.Errorf("%s: %q, want %q", app, a.Body, want)
		}
	}
}

// importable skips the test without a module of Python's.
func importable(t *testing.T, module, pkg string) {
	t.Helper()
	cmd := exec.Command(pythonPath(t), "-c", "import "+module)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if err := cmd.Run(); err != nil {
		if module == "httpbin" && os.Getenv("CI") == "" || os.Getenv("HEADGATE_TEST_PYTHON") != "" {
			t.Skipf("%s is not installed", pkg)
		}
		missing(t, pkg)
	}
}

func TestDjango(t *testing.T) {
	t.Parallel()
	importable(t, "django", "python3-django")
	s := start(t, builtin.Options{App: "djangoapp:application", Processes: 2, Threads: 2})
	tr := s.transport()
	for target, want := range map[string]string{
		"/hello/?name=caf%C3%A9": "hello café at https://shop.example.com/hello/?name=caf%C3%A9", "/stream/": "0123456789", "/file/": "import django",
	} {
		status, body, err := do(t.Context(), tr, newRequest("GET", target))
		if status != 200 || err != nil || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %q, %v", target, status, body, err)
		}
	}
	if body, err := post(t, tr, "/form/", "a=1&b="+strings.Repeat("2", 100000)); err != nil || body != "a=1 b=100000" {
		t.Errorf("form: %q, %v", body, err)
	}
	if status, _, err := do(t.Context(), tr, newRequest("GET", "/raise/")); status != 500 || err != nil {
		t.Errorf("raise: %d, %v", status, err)
	}
	if said := s.said.String(); strings.Contains(said, "the app has raised") {
		t.Errorf("Django deals with its exceptions itself: %s", said)
	}
}

func TestFlask(t *testing.T) {
	t.Parallel()
	importable(t, "flask", "python3-flask")
	s := start(t, builtin.Options{App: "flaskapp:create_app()", Threads: 2})
	tr := s.transport()
	for target, want := range map[string]string{
		"/hello?name=x": "hello x at https://shop.example.com/hello?name=x", "/stream": "0123456789", "/file": "import flask", "/missing": "<!doctype html>",
	} {
		_, body, err := do(t.Context(), tr, newRequest("GET", target))
		if err != nil || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %q, %v", target, body, err)
		}
	}
	if body, err := post(t, tr, "/form", "a=1&b="+strings.Repeat("2", 100000)); err != nil || body != "a=1 b=100000" {
		t.Errorf("form: %q, %v", body, err)
	}
}

func TestHTTPBin(t *testing.T) {
	t.Parallel()
	importable(t, "httpbin", "python3-httpbin")
	s := start(t, builtin.Options{App: "httpbin:app", Threads: 2})
	tr := s.transport()
	for target, want := range map[string]int{
		"/get?a=b": 200, "/headers": 200, "/ip": 200, "/user-agent": 200, "/status/418": 418, "/status/204": 204, "/status/304": 304, "/redirect/1": 302,
		"/gzip": 200, "/deflate": 200, "/stream/20": 200, "/stream-bytes/100000": 200, "/bytes/100000": 200, "/range/1000": 200, "/drip?duration=0.1&numbytes=5": 200,
		"/delay/0": 200, "/cookies/set?a=b": 302, "/basic-auth/a/b": 401, "/image/png": 200, "/encoding/utf8": 200, "/links/5/0": 200, "/html": 200, "/robots.txt": 200,
	} {
		status, body, err := do(t.Context(), tr, newRequest("GET", target))
		if status != want || err != nil || strings.Contains(target, "00000") && len(body) != 100000 {
			t.Errorf("%s: %d, %d bytes, %v; want %d", target, status, len(body), err, want)
		}
	}
	if body, err := post(t, tr, "/post", "a=1&b=2"); err != nil || !strings.Contains(body, `"form":{"a":"1","b":"2"}`) {
		t.Errorf("post: %q, %v", body, err)
	}
	if said := s.said.String(); strings.Contains(said, "Traceback") || strings.Contains(said, "headgate-builtin") {
		t.Errorf("it said %s", said)
	}
}
