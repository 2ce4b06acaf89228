package livetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The two states of an app whose author makes mistakes.
const (
	floodedApp = "cellar = 'dry'\nraise RuntimeError('the ' + 'cellar is flooded')\n"
	mendedApp  = "def app(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'mended']\n"
)

// startFlooded starts a gateway whose app does not start.
func startFlooded(t *testing.T, server, keys string) (w *crew, file string) {
	t.Helper()
	dir := shortDir(t)
	file = filepath.Join(dir, "cellar.py")
	write(t, file, floodedApp)
	return startCrew(t, crewConf{app: "cellar:app", chdir: dir, server: server, keys: "processes: 2\n" + keys}), file
}

// askAs asks for a page as a client that takes a type.
func (w *crew) askAs(t *testing.T, p protocol, accept string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client(t, p).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// wantFlooded: operators are told at once why there is no answer, and others that
// there is none.
func (w *crew) wantFlooded(t *testing.T) {
	t.Helper()
	for _, p := range protocols {
		for _, accept := range []string{"text/html", "application/json", "*/*"} {
			begin := time.Now()
			a := w.askAs(t, p, accept)
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "the cellar is flooded") || !strings.Contains(a.body, "cellar.py") {
				t.Errorf("%s, %s: status %d: %s", p, accept, a.status, a.body)
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("%s, %s: after %v", p, accept, took)
			}
			if isHTML, isJSON := strings.Contains(a.body, "<pre>"), json.Valid([]byte(a.body)); isHTML != (accept == "text/html") || isJSON != (accept == "application/json") {
				t.Errorf("%s, %s: %s", p, accept, a.body)
			}
			a = w.askAs(t, p, accept, "X-Forwarded-For", "192.0.2.7")
			for _, secret := range []string{"cellar", "flooded", "Traceback", "headgate", "dry"} {
				if strings.Contains(a.body, secret) {
					t.Errorf("%s, %s: a stranger reads %q: %s", p, accept, secret, a.body)
				}
			}
			if a.status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: a stranger has status %d", p, accept, a.status)
			}
		}
	}
}

// wantMended: the app answers soon.
func (w *crew) wantMended(t *testing.T) {
	t.Helper()
	if !eventually(10*time.Second, func() bool { page, err := w.get("/"); return err == nil && page == "mended" }) {
		page, err := w.get("/")
		t.Errorf("mended, and the answer is %q, %v", page, err)
	}
}

// TestWorkersCrashAtStart: an app that cannot be imported is shown to operators alone,
// is tried again after longer and longer waits, and serves when it is mended: with
// watch at once, else when somebody says so.
func TestWorkersCrashAtStart(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w, file := startFlooded(t, server, "")
			waits := w.waits(t, 4)
			for i := 2; i < len(waits); i++ { // the first one is none
				if waits[i] < waits[i-1] {
					t.Errorf("it is started again after %v", waits)
				}
			}
			w.wantFlooded(t)
			_, stderr, code := run(t, headgate, "reload", "--workers", "--socket", w.admin)
			if code != 1 || !strings.Contains(stderr, "the cellar is flooded") {
				t.Errorf("reload: exit code %d: %s", code, stderr)
			}
			write(t, file, mendedApp)
			if _, stderr, code := run(t, headgate, "reload", "--workers", "--socket", w.admin); code != 0 {
				t.Errorf("reload: exit code %d: %s", code, stderr)
			}
			w.wantMended(t)
			write(t, file, floodedApp)
			if _, stderr, code := run(t, headgate, "reload", "--workers", "--socket", w.admin); code != 1 || !strings.Contains(stderr, "the cellar is flooded") {
				t.Errorf("reload: exit code %d: %s", code, stderr)
			}
			w.wantMended(t) // the old ones go on
			if s := w.status(t); s.State != "ready" || !strings.Contains(strings.Join(s.Tail, "\n"), "the cellar is flooded") {
				t.Errorf("status %+v", s)
			}
		})
		t.Run(server+", watched", func(t *testing.T) {
			t.Parallel()
			w, file := startFlooded(t, server, "watch: true\n")
			for range 2 {
				if !eventually(10*time.Second, func() bool { return w.askAs(t, h1, "*/*").status == http.StatusServiceUnavailable }) {
					t.Error("a flooded app serves")
				}
				w.wantFlooded(t)
				write(t, file, mendedApp)
				w.wantMended(t)
				write(t, file, floodedApp)
			}
		})
	}
}

// waits returns how long it was before each of the next n starts.
func (w *crew) waits(t *testing.T, n int) []time.Duration {
	t.Helper()
	const word = `"msg":"workers did not start"`
	var again []time.Duration
	if !eventually(20*time.Second, func() bool {
		again = nil
		for line := range strings.Lines(w.said()) {
			var said struct{ Again string }
			if !strings.Contains(line, word) || json.Unmarshal([]byte(line), &said) != nil {
				continue
			}
			if wait, err := time.ParseDuration(said.Again); err == nil {
				again = append(again, wait)
			}
		}
		return len(again) >= n
	}) {
		t.Errorf("it was tried %d times: %v", len(again), again)
	}
	if s := w.status(t); s.State != "crashed" && s.State != "starting" || s.Error == "" {
		t.Errorf("status %+v", s)
	}
	w.await(t, "retry_at", func(s crewStatus) bool { return s.State == "crashed" && s.RetryAt.After(time.Now()) })
	return again
}

// TestWorkersLog: what the app writes is in the log, one JSON line each, with the id of
// the request where the app has written it.
func TestWorkersLog(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 1\n"})
			w.awaitReady(t)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h2.url("/log"), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Request-Id", "night-shift.7")
			resp, err := w.client(t, h2).Do(r)
			if err == nil {
				err = whole(resp)
			}
			if err != nil {
				t.Fatal(err)
			}
			var with, without map[string]any
			eventually(3*time.Second, func() bool {
				for line := range strings.Lines(w.said()) {
					var l map[string]any
					if err := json.Unmarshal([]byte(line), &l); err != nil {
						t.Errorf("%v in %q", err, line)
					}
					switch text := fmt.Sprint(l["line"]); {
					case strings.HasPrefix(text, "a word with"):
						with = l
					case strings.HasPrefix(text, "and one without"):
						without = l
					}
				}
				return with != nil && without != nil
			})
			if with["request_id"] != "night-shift.7" || with["pool"] != w.pool || with["pid"] == nil {
				t.Errorf("the line with an id: %v", with)
			}
			if without == nil || without["request_id"] != nil {
				t.Errorf("the line without: %v", without)
			}
		})
	}
}
