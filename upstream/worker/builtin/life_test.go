package builtin_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/worker/builtin"
)

// load asks until stopped, and counts.
type load struct {
	ok, failed atomic.Int64
	stop       func()
	mu         sync.Mutex // guards errs
	errs       []string
}

func begin(t *testing.T, s *server, clients int, target string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l, tr, all := new(load), s.transport(), new(sync.WaitGroup)
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				status, body, err := do(t.Context(), tr, newRequest("GET", target))
				if status == 200 && err == nil {
					l.ok.Add(1)
					continue
				}
				l.failed.Add(1)
				l.mu.Lock()
				l.errs = append(l.errs, strconv.Itoa(status)+" "+body+" "+errorText(err))
				l.mu.Unlock()
			}
		})
	}
	l.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(l.stop)
	return l
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// more waits until n more requests have been answered.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	n += l.ok.Load()
	until(t, "requests", func() bool { return l.ok.Load() >= n })
}

func TestKilledWorkerUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 2})
	l := begin(t, s, 4, "/sleep?0.001")
	const kills = 5
	for range kills {
		l.more(t, 50)
		until(t, "two workers that serve", func() bool { return len(s.spread(20)) == 2 })
		_ = syscall.Kill(s.workers()[0], syscall.SIGKILL)
	}
	l.more(t, 50)
	l.stop()
	if n := l.failed.Load(); n > kills*2 { // two threads of each ran one
		t.Errorf("%d requests failed by %d kills: %q", n, kills, l.errs)
	}
	if n := strings.Count(s.said.String(), "was killed by SIGKILL"); n != kills {
		t.Errorf("it said %d times that a worker was killed: %s", n, s.said)
	}
}

func TestCrashLoses(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for range 3 { // the third start in a row waits a little
		if got := s.raw(request("GET", "/crash")); got != "" {
			t.Errorf("got %q", got)
		}
		if a := s.get("/"); a.Body != "hello" {
			t.Errorf("got %q", a.Body)
		}
	}
}

// TestCrashLoopIsThrottled: an app that kills its process at each request.
func TestCrashLoopIsThrottled(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	began := time.Now()
	for range 5 {
		s.raw(request("GET", "/crash"))
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("5 crashes in %v", took)
	}
}

// TestGracefulStopUnderLoad: of two servers on one socket one is stopped.
func TestGracefulStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	l := listen(t, s.path)
	s.runOn(l, builtin.Options{App: "app", Processes: 2, Threads: 2})
	s.ready()
	clients := begin(t, s, 6, "/sleep?0.002")
	for range 3 {
		next := &server{t: t, path: s.path}
		next.runOn(l, builtin.Options{App: "app", Processes: 2, Threads: 2})
		until(t, "the new one serves", func() bool { return slices.Contains(next.workers(), pidOf(next.get("/pid").Body)) })
		s.signal(syscall.SIGTERM)
		if status := s.status(10 * time.Second); status != 0 {
			t.Errorf("status %d: %s", status, s.said)
		}
		s = next
		clients.more(t, 20)
	}
	clients.stop()
	if n := clients.failed.Load(); n > 0 {
		t.Errorf("%d requests failed: %q", n, clients.errs)
	}
}

func pidOf(text string) int {
	pid, _ := strconv.Atoi(text)
	return pid
}

// TestStopFinishesRequests: SIGTERM and SIGINT wait for what runs, and start nothing.
func TestStopFinishesRequests(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, threads := range []int{1, 2} {
			s := start(t, builtin.Options{App: "app", Threads: threads})
			c := s.dial()
			if _, err := c.Write(request("GET", "/sleep?0.2")); err != nil {
				t.Fatal(err)
			}
			until(t, "it has read the request", func() bool { return unread(t, c) == 0 })
			_ = syscall.Kill(-s.cmd.Process.Pid, sig) // to all, as a terminal does
			if a, err := read("GET", c); err != nil || a.StatusCode != 200 {
				t.Errorf("%v: %v, %v", sig, a.Response, err)
			}
			c.Close()
			if status := s.status(5 * time.Second); status != 0 || s.said.String() != "" {
				t.Errorf("%v: status %d; it said %s", sig, status, s.said)
			}
		}
	}
}

func TestIdleStopsAtOnce(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 4})
		workers := s.workers()
		s.signal(sig)
		if status := s.status(2 * time.Second); status != 0 || slices.ContainsFunc(workers, func(pid int) bool { return !gone(pid) }) {
			t.Errorf("%v: status %d", sig, status)
		}
	}
}

// TestHungRequest: what hangs is ended after Stop, and its threads are named; SIGQUIT
// does not wait.
func TestHungRequest(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
		for _, threads := range []int{1, 2} {
			s := start(t, builtin.Options{App: "app", Threads: threads, Stop: 500 * time.Millisecond})
			c := s.dial()
			defer c.Close()
			if _, err := c.Write(request("GET", "/hang")); err != nil {
				t.Fatal(err)
			}
			until(t, "it hangs", func() bool { return strings.Contains(s.said.String(), "hanging") })
			workers := s.workers()
			s.signal(sig)
			if status := s.status(3 * time.Second); status != 0 || !gone(workers[0]) {
				t.Errorf("%v: status %d", sig, status)
			}
			if sig == syscall.SIGTERM && !strings.Contains(s.said.String(), "in do_hang") {
				t.Errorf("it does not say what hangs: %s", s.said)
			}
		}
	}
}

// TestThreadsOfTheApp: Python waits for those that are no daemons, and it is said for whom.
func TestThreadsOfTheApp(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "threaded", Stop: 500 * time.Millisecond})
	if a := s.get("/"); a.Body != "threaded" {
		t.Errorf("got %q", a.Body)
	}
	s.signal(syscall.SIGTERM)
	if status := s.status(3 * time.Second); status != 0 || !strings.Contains(s.said.String(), "waits up to 0.5 s for threads of the app (for-ever)") {
		t.Errorf("status %d; it said %s", status, s.said)
	}
}

// TestWrap: what goes around the app is called with it.
func TestWrap(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "onlyapp", Wrap: "wrapper:Wrapper"})
	if a := s.get("/"); a.Body != "<onlyapp>" {
		t.Errorf("got %q", a.Body)
	}
}

func TestMasterKilled(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 3} {
		for _, target := range []string{"", "/sleep?0.3", "/hang"} {
			s := start(t, builtin.Options{App: "app", Processes: 2, Threads: threads, Stop: 500 * time.Millisecond})
			c := s.dial()
			defer c.Close()
			if target != "" {
				if _, err := c.Write(request("GET", target)); err != nil {
					t.Fatal(err)
				}
				until(t, "it has read the request", func() bool { return unread(t, c) == 0 })
			}
			workers := s.workers()
			s.signal(syscall.SIGKILL)
			if strings.HasPrefix(target, "/sleep") {
				if a, err := read("GET", c); err != nil || a.StatusCode != 200 {
					t.Errorf("the request that ran: %v", err)
				}
			}
			began := time.Now()
			until(t, "the workers have ended", func() bool { return !slices.ContainsFunc(workers, func(pid int) bool { return !gone(pid) }) })
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the workers ended after %v", took)
			}
			<-s.ended
		}
	}
}

func TestMoreAndFewer(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 1, Threads: 2})
	l := begin(t, s, 4, "/sleep?0.001")
	for _, step := range []struct {
		sig  syscall.Signal
		want int
	}{
		{syscall.SIGTTIN, 2}, {syscall.SIGTTIN, 3}, {syscall.SIGTTOU, 2}, {syscall.SIGTTOU, 1}, {syscall.SIGTTOU, 1}, {syscall.SIGHUP, 1}, {syscall.SIGUSR1, 1},
	} {
		s.signal(step.sig)
		until(t, strconv.Itoa(step.want)+" workers", func() bool { return len(s.workers()) == step.want })
		l.more(t, 20)
	}
	l.stop()
	if n := l.failed.Load(); n > 0 || s.said.String() != "" {
		t.Errorf("%d requests failed: %q; it said %s", n, l.errs, s.said)
	}
}

func TestMaxRequests(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 2, MaxRequests: 30})
	first := s.workers()
	l := begin(t, s, 4, "/sleep?0.001")
	until(t, "other workers", func() bool {
		now := s.workers()
		return len(now) == 2 && !slices.Contains(now, first[0]) && !slices.Contains(now, first[1])
	})
	l.more(t, 50)
	l.stop()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d requests failed: %q", n, l.errs)
	}
	if !strings.Contains(s.said.String(), "is replaced: it has served ") || strings.Contains(s.said.String(), "exited") {
		t.Errorf("it said %s", s.said)
	}
}

func TestMaxRSS(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", MaxRSS: 100 << 20})
	was := s.get("/pid").Body
	if got := s.get("/eat").Body; got != was || strings.Contains(s.said.String(), "replaced") {
		t.Errorf("64 MiB: %s", s.said)
	}
	until(t, "a replacement", func() bool {
		return s.get("/eat").Body != was || strings.Contains(s.said.String(), "MiB of memory, and may have 100")
	})
	until(t, "another worker", func() bool { return s.get("/pid").Body != was })
}

func TestImportError(t *testing.T) {
	t.Parallel()
	for app, want := range map[string]string{
		"broken": "RuntimeError: broken on purpose", "nowhere:app": "ModuleNotFoundError: No module named 'nowhere'", "app:nothing": "has no attribute 'nothing'",
		"package": "package has neither application nor app: write package:NAME", "app:closed": "app:closed is a list: name a callable",
		"app:factory() + 1": "not written as module:callable", "app:(": "SyntaxError",
	} {
		s := prepare(t)
		s.run(builtin.Options{App: app, Processes: 3})
		if status := s.status(10 * time.Second); status != builtin.StatusImport {
			t.Errorf("%s: status %d", app, status)
		}
		said := s.said.String()
		if strings.Count(said, "Traceback") > 1 || !strings.Contains(said, want) || strings.Count(said, "cannot import") != 1 || !strings.HasPrefix(said, "headgate-builtin: cannot import "+app+" in "+testdata(t)+"\n") {
			t.Errorf("%s: it said %q, want %q once", app, said, want)
		}
		if app == "broken" && (strings.Contains(said, "importlib") || strings.Contains(said, "server.py")) {
			t.Errorf("the traceback has more than the app's frames: %s", said)
		}
	}
}

// flaky starts the app that does what the returned function is given, when it is imported.
func flaky(t *testing.T, o builtin.Options, code string) (s *server, change func(code string)) {
	t.Helper()
	path := filepath.Join(shortDir(t), "flaky")
	change = func(code string) {
		t.Helper()
		if err := os.WriteFile(path+"~", []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	change(code)
	s = prepare(t)
	s.env = []string{"FLAKY=" + path}
	o.App = "flaky"
	s.run(o)
	return s, change
}

func TestImportEndsProcess(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"os._exit(0)": "a worker has exited with status 0 while it imported the app", "os.kill(os.getpid(), 11)": "a worker was killed by SIGSEGV while it imported the app",
		"import sys; sys.exit('no database')": "SystemExit: no database",
	} {
		s, _ := flaky(t, builtin.Options{Processes: 3}, code)
		if status := s.status(10 * time.Second); status != builtin.StatusImport || strings.Count(s.said.String(), want) != 1 {
			t.Errorf("%s: status %d; it said %s", code, status, s.said)
		}
	}
}

// TestBrokenLater: as long as a worker serves, the others are tried again.
func TestBrokenLater(t *testing.T) {
	t.Parallel()
	s, change := flaky(t, builtin.Options{Processes: 2, Threads: 2}, "")
	s.ready()
	until(t, "two workers that serve", func() bool { return len(s.spread(20)) == 2 })
	change("raise RuntimeError('broken meanwhile')")
	victim := pidOf(s.get("/").Body)
	_ = syscall.Kill(victim, syscall.SIGKILL)
	until(t, "a failure", func() bool { return strings.Contains(s.said.String(), "broken meanwhile") })
	if a := s.get("/"); a.StatusCode != 200 {
		t.Errorf("got %d", a.StatusCode)
	}
	change("")
	until(t, "two workers again", func() bool { return len(s.spread(20)) == 2 })
	if n := strings.Count(s.said.String(), "Traceback"); n != 1 {
		t.Errorf("%d tracebacks: %s", n, s.said)
	}
	change("raise RuntimeError('broken again')")
	for _, pid := range s.workers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if status := s.status(10 * time.Second); status != builtin.StatusImport {
		t.Errorf("status %d: %s", status, s.said)
	}
}

// TestStopWhileImporting: nobody waits for an import.
func TestStopWhileImporting(t *testing.T) {
	t.Parallel()
	s, _ := flaky(t, builtin.Options{Processes: 2}, "print('importing', flush=True)\nimport time\ntime.sleep(60)")
	until(t, "an import", func() bool { return strings.Contains(s.said.String(), "importing") })
	s.signal(syscall.SIGTERM)
	if status := s.status(3 * time.Second); status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]builtin.Options{
		"--chdir /nowhere: No such file or directory":                    {App: "app", Chdir: "/nowhere"},
		"--processes 5000 is out of range: give a number from 1 to 1024": {App: "app", Processes: 5000},
		"--app": {App: "--processes"},
	} {
		s := prepare(t)
		s.run(o)
		if status := s.status(10 * time.Second); status != builtin.StatusArguments || !strings.Contains(s.said.String(), want) {
			t.Errorf("status %d; it said %q, want %q", status, s.said, want)
		}
	}
}
