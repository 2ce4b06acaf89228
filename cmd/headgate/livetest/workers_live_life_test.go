package livetest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestWorkersIdle: workers without requests are stopped, and the next requests, of
// which many come at once, start them and are answered. It goes on so.
func TestWorkersIdle(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 2\nidle: 2s\n"})
			if n := len(w.processes()); n > 0 {
				t.Errorf("%d processes before the first request", n)
			}
			rounds := 1
			if long() {
				rounds = 3
			}
			for round := range rounds {
				begin := time.Now()
				var all sync.WaitGroup
				for _, p := range protocols {
					client := w.client(t, p)
					all.Go(func() {
						resp, err := client.Post(p.url("/work?id=idle"), "text/plain", strings.NewReader("wake up"))
						if err == nil {
							err = whole(resp)
						}
						if err != nil {
							t.Errorf("round %d, %s: %v", round, p, err)
						}
					})
				}
				all.Wait()
				t.Logf("started and answered within %v", time.Since(begin).Round(time.Millisecond))
				w.await(t, "idle", func(s crewStatus) bool { return s.State == "idle" })
				if took := time.Since(begin); took < 2*time.Second {
					t.Errorf("idle after %v", took)
				}
				if !eventually(5*time.Second, func() bool { return len(w.processes()) == 0 && len(w.files(t)) == 0 }) {
					t.Errorf("idle: the processes %v and the files %v are there", w.processes(), w.files(t))
				}
			}
		})
	}
}

// TestWorkersScale: there are more processes when all are busy, and fewer after half a
// minute (with HEADGATE_TEST_LONG) in which they were not. No request fails.
func TestWorkersScale(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 1\nmin: 1\nmax: 4\n"})
			w.awaitReady(t)
			l := startCrewLoad(t, w, crewClients)
			begin := time.Now()
			grown := eventually(25*time.Second, func() bool { return w.serving(t) == 4 })
			t.Logf("%d processes after %v", w.serving(t), time.Since(begin).Round(100*time.Millisecond))
			if !grown {
				t.Errorf("%d processes under load, want 4", w.serving(t))
			}
			wantAllAnswered(t, l.end())
			if !long() {
				return
			}
			l = startCrewLoad(t, w, []crewClient{{h1, 0, "0.01"}, {h2, 0, "0.001"}, {h3, 0, "0.001"}}[:1])
			if !eventually(3*time.Minute, func() bool { return w.serving(t) <= 2 }) {
				t.Errorf("%d processes with little to do", w.serving(t))
			}
			for _, c := range l.end() {
				if c.status != http.StatusOK {
					t.Errorf("failed: %s", c)
				}
			}
		})
	}
}

// serving returns how many children the leader has.
func (w *crew) serving(t *testing.T) int {
	t.Helper()
	return len(slices.DeleteFunc(children(w.status(t).leader()), func(pid int) bool { return !isWorker(pid) }))
}

// TestWorkersRecycle: processes are replaced after so many requests, and when they have
// grown, and no request fails.
func TestWorkersRecycle(t *testing.T) {
	for _, server := range crewServers {
		for _, keys := range []string{"max_requests: 100", "max_rss: 96MiB"} {
			if strings.HasPrefix(keys, "max_rss") && !long() {
				continue
			}
			t.Run(server+", "+keys, func(t *testing.T) {
				t.Parallel()
				c := crewConf{app: "duty:application", server: server, keys: "processes: 2\nthreads: 4\n" + keys + "\n"}
				w := startCrew(t, c)
				first := w.awaitReady(t).leader()
				l := startCrewLoad(t, w, slices.DeleteFunc(slices.Clone(crewClients), func(c crewClient) bool { return c.nap == "0.3" }))
				over := time.Now().Add(4 * time.Second)
				for time.Now().Before(over) {
					path := "/"
					if strings.HasPrefix(keys, "max_rss") {
						path = "/grow?kib=4096"
					}
					if _, err := w.get(path); err != nil {
						t.Error(err)
					}
					<-time.After(10 * time.Millisecond)
				}
				pids := wantAllAnswered(t, l.end())
				if len(pids) < 4 {
					t.Errorf("%d processes have answered", len(pids))
				}
				if s := w.status(t); s.leader() != first || s.Restarts > 0 {
					t.Errorf("the leader was replaced: %+v", s)
				}
			})
		}
	}
}

// TestWorkersStop: requests that run when the gateway is told to stop are answered;
// then nothing is left, of processes, sockets and files.
func TestWorkersStop(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 2\nthreads: 4\n"})
			w.awaitReady(t)
			var all sync.WaitGroup
			for i, p := range []protocol{h1, h2, h3} {
				for _, size := range []int{0, 64 << 10} {
					ask := w.asker(t, p)
					all.Go(func() {
						if c := (crewClient{p, size, "1.5"}).call(ask, fmt.Sprintf("stop-%d-%d", i, size)); c.status != http.StatusOK {
							t.Errorf("running at the stop: %s", c)
						}
					})
				}
			}
			if !eventually(10*time.Second, func() bool { return fileHas(w.runs, 6) }) {
				t.Error("the requests do not run")
			}
			begin := time.Now()
			w.signal(t, syscall.SIGTERM)
			all.Wait()
			<-w.ended
			t.Logf("stopped after %v", time.Since(begin).Round(time.Millisecond))
			if code := w.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if pids, files := w.processes(), w.files(t); len(pids)+len(files) > 0 {
				t.Errorf("left: processes %v, files %v", pids, files)
			}
		})
	}
}

// TestWorkersOfKilledGateway: when the gateway is killed its workers are too, though
// they have requests, and the next gateway finds nothing in its way.
func TestWorkersOfKilledGateway(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 2\nthreads: 2\n"})
			w.awaitReady(t)
			go func() { _, _ = w.get("/work?id=lost&s=30") }() // it fails
			if !eventually(10*time.Second, func() bool { return fileHas(w.runs, 1) }) {
				t.Error("the request does not run")
			}
			w.signal(t, syscall.SIGKILL)
			<-w.ended
			begin := time.Now()
			if !eventually(2*time.Second, func() bool { return len(w.processes()) == 0 }) {
				t.Errorf("2 s after the gateway: %v", w.processes())
			}
			t.Logf("the workers have ended %v after it", time.Since(begin).Round(time.Millisecond))
			w.start(t) // and clears what the other one has left

			w.awaitReady(t)
			if _, err := w.get("/"); err != nil {
				t.Error(err)
			}
			if now := w.files(t); len(now) != 2 {
				t.Errorf("want a socket and a directory, got %v", now)
			}
		})
	}
}

// slowImport lets one of the workers import it at once, and the others take their time.
const slowImport = `import fcntl, time
file = open(__file__)
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    time.sleep(3)

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]
`

// TestWorkersStopWhileImporting: uWSGI forgets to stop a worker that is importing the app
// when it is told to stop, and would wait for it until it is killed.
func TestWorkersStopWhileImporting(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			write(t, dir+"/slow.py", slowImport)
			w := startCrew(t, crewConf{app: "slow:app", chdir: dir, server: server, keys: "processes: 2\n"})
			w.awaitReady(t)
			begin := time.Now()
			w.signal(t, syscall.SIGTERM)
			<-w.ended
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("stopped after %v", took)
			}
		})
	}
}
