package livetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startHTTPGunicorn runs an app of testdata on Debian's gunicorn, and returns the
// file in which runs are counted.
func startHTTPGunicorn(t testing.TB, application string, options ...string) (p *process, addr, runs string) {
	t.Helper()
	dir := shortDir(t)
	addr, runs = "127.0.0.1:"+freePort(t), filepath.Join(dir, "runs")
	command := []string{
		"env", "RUNS=" + runs, "NAME=done", "NAP=0.01", need(t, "gunicorn"), "-b", addr,
		"--pythonpath", absolute(t, "testdata"), "--graceful-timeout", "5", application,
	}
	return start(t, dir, accepts("tcp", addr), append(command, options...)...), addr, runs
}

// wantRuns: each request ran once; a GET may have run more often.
func wantRuns(t *testing.T, file string, all outcomes) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for id := range strings.Lines(string(b)) {
		ran[strings.TrimSpace(id)]++
	}
	again := 0
	for _, o := range all.answered() {
		_, id, _ := strings.Cut(o.path, "id=")
		switch n := ran[id]; {
		case n == 0, n > 1 && o.method == http.MethodPost:
			t.Errorf("%s %s ran %d times", o.method, o.path, n)
		case n > 1:
			again++
		}
	}
	t.Logf("%d requests, %d answered, GET that ran more than once: %d", len(all), len(all.answered()), again)
}

// identified is GET and POST with a body, each with an id.
func identified(seed uint64, rate float64, length time.Duration) []shot {
	n := 0
	return poisson(seed, rate, length, func(r *rand.Rand) shot {
		n++
		s := shot{method: http.MethodGet, path: fmt.Sprint("/work?id=", n)}
		if r.IntN(2) == 0 {
			s.method, s.body = http.MethodPost, strings.Repeat("x", 1+r.IntN(3000))
		}
		return s
	})
}

// TestHTTPGunicornReload: gunicorn replaces its workers under load, and no request
// is lost or runs twice. Only a POST with a body may be that comes on a kept
// connection of a worker that ends: nobody can tell whether it has run.
func TestHTTPGunicornReload(t *testing.T) {
	for _, row := range []struct {
		name, application string
		options           []string
		lose              int // POST, at most
	}{
		{"sync", "member:application", []string{"-k", "sync", "--workers", "3"}, 0},
		{"gthread", "member:application", []string{"-k", "gthread", "--workers", "2", "--threads", "2"}, 0},
		{"uvicorn", "asgi:application", []string{"-k", "uvicorn.workers.UvicornWorker", "--workers", "2"}, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p, addr, runs := startHTTPGunicorn(t, row.application, row.options...)
			g := startSite(t, poolsConf{pools: fmt.Sprintf("app: {protocol: http, members: [%q]}\n", addr), routes: "{pool: app}"})
			ctx, enough := context.WithCancel(t.Context())
			defer enough()
			done := make(chan outcomes, 1)
			clients := from(t, g.http, 4)
			go func() { done <- shootUntil(ctx, identified(7, 80, time.Minute), clients) }()
			for i := range 3 {
				<-time.After(time.Second)
				p.signal(t, syscall.SIGHUP)
				if !eventually(10*time.Second, func() bool { return strings.Count(p.said(), "Worker exiting") >= 2*(i+1) }) {
					t.Error("gunicorn does not reload")
				}
			}
			<-time.After(time.Second)
			enough()
			all := <-done
			lost := all.where(func(o outcome) bool {
				return o.method == http.MethodPost && o.status == http.StatusBadGateway && strings.Contains(o.body, "reset without an answer")
			})
			t.Logf("%d POST lost: %v", len(lost), lost)
			if len(lost) > row.lose {
				t.Errorf("%d POST are lost, want at most %d", len(lost), row.lose)
			}
			all.where(func(o outcome) bool { return !slices.Contains(lost, o) }).wantAll(t)
			wantRuns(t, runs, all)
		})
	}
}

// TestHTTPKeepAlive: the servers close connections that have had no request for a
// second. Requests that come about then are neither lost nor run twice.
func TestHTTPKeepAlive(t *testing.T) {
	for _, row := range []struct {
		name  string
		start func() (addr, runs string)
	}{
		{"gunicorn", func() (string, string) {
			_, addr, runs := startHTTPGunicorn(t, "member:application", "-k", "gthread", "--threads", "16", "--keep-alive", "1")
			return addr, runs
		}},
		{"uvicorn", func() (string, string) {
			_, addr, runs := startHTTPGunicorn(t, "asgi:application", "-k", "uvicorn.workers.UvicornWorker", "--keep-alive", "1")
			return addr, runs
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			addr, runs := row.start()
			g := startSite(t, poolsConf{pools: fmt.Sprintf("app: {protocol: http, slots: 16, members: [%q]}\n", addr), routes: "{pool: app}"})
			all := shoot(t.Context(), bursts(9), from(t, g.http, 1))
			all.wantAll(t)
			wantRuns(t, runs, all)
		})
	}
}

// bursts are sixteen requests at once, again and again after a second or two more
// or less, with some of a single one between them.
func bursts(n int) []shot {
	r := rand.New(rand.NewPCG(8, 8))
	var shots []shot
	at := time.Duration(0)
	for range n {
		for range 16 {
			s := shot{at: at, method: http.MethodGet, path: fmt.Sprint("/work?id=", len(shots))}
			if r.IntN(2) == 0 {
				s.method, s.body = http.MethodPost, strings.Repeat("x", 100)
			}
			shots = append(shots, s)
			at += time.Duration(r.IntN(2000)) * time.Microsecond
		}
		at += 990*time.Millisecond + time.Duration(r.IntN(40))*time.Millisecond
	}
	return shots
}
