package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headgate/upstream"
	"headgate/upstream/uwsgi"
	"headgate/upstream/worker"
	"headgate/upstream/worker/builtin"
	"headgate/upstream/worker/python"
)

// site is a real pool with a supervisor of real processes.
type site struct {
	*worker.Supervisor
	t        *testing.T
	pool     *upstream.Pool[*uwsgi.Transport]
	dir      string // of the sockets
	app      string
	log      *journal
	requests atomic.Uint64
}

const liveApp = `
import os, time
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Version", VERSION)])
    return [b"%d %s" % (os.getpid(), body)]
VERSION = "1"
`

// environment is that of the workers: files change more than once in a second here,
// which what Python keeps of them does not show.
var environment = []string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}

// servers make plans of their own, so that these tests stand for themselves.
var servers = map[string]func(r python.Request) *python.Plan{
	"builtin": func(r python.Request) *python.Plan {
		return &python.Plan{
			Server: python.Builtin, Path: "/usr/bin/python3", Dir: r.Dir, Env: environment, Script: builtin.Script(), Scales: true,
			Args:    builtin.Command(r.Script, builtin.Options{App: r.App, FD: r.FD, Chdir: r.Dir, Processes: r.Processes, Threads: r.Threads, Stop: r.Stop}),
			Dialect: "uwsgi", Slots: r.Processes * r.Threads,
		}
	},
	"uwsgi": func(r python.Request) *python.Plan {
		return &python.Plan{
			Server: python.UWSGI, Path: "uwsgi", Dir: r.Dir, Env: environment,
			Args: []string{
				"--plugin", "python3", "--master", "--die-on-term", "--need-app", "--lazy-apps", "--enable-threads", "--disable-logging",
				"--socket", "fd://" + strconv.Itoa(r.FD), "--module", r.App, "--buffer-size", "65535",
				"--processes", strconv.Itoa(r.Processes), "--threads", strconv.Itoa(r.Threads), "--master-fifo", r.Fifo,
			},
			Dialect: "uwsgi", Slots: r.Processes * r.Threads, Fifo: r.Fifo,
		}
	},
}

func newSite(t *testing.T, server string, change func(*worker.Options)) *site {
	t.Helper()
	for _, program := range []string{"/usr/bin/python3", server} {
		if _, err := exec.LookPath(program); err != nil && program != "builtin" && program != "auto" {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	s := &site{t: t, dir: shortDir(t), app: shortDir(t), log: &journal{}}
	s.write("live.py", liveApp)
	s.Supervisor = worker.New(worker.Setup{
		Pool: "live", Dir: s.dir + "/w", Ready: s.ready, Load: s.load,
		Log: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if plan := servers[server]; plan != nil {
		s.PlanWith(func(_ context.Context, r python.Request) (*python.Plan, error) { return plan(r), nil })
	}
	o := worker.Options{App: "live:app", Chdir: s.app, Processes: 2, Threads: 2, Stop: 10 * time.Second}
	if change != nil {
		change(&o)
	}
	s.Configure(o)
	pools := upstream.NewPools[*uwsgi.Transport](nil)
	c, err := pools.Build(map[string]upstream.Spec[*uwsgi.Transport]{"live": {
		Driver:  upstream.Driver[*uwsgi.Transport]{Dial: dial, Close: (*uwsgi.Transport).CloseIdle, Reach: func(ctx context.Context, t *uwsgi.Transport) error { return t.Reach(ctx) }},
		Sources: map[string]upstream.Source{"workers": s},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	s.pool = pools.Get("live")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- pools.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			for line := range strings.Lines(s.log.String()) {
				if !strings.Contains(line, "msg=worker ") {
					t.Log(line)
				}
			}
		}
		if left, _ := os.ReadDir(s.dir + "/w"); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		s.noneOf(t)
	})
	return s
}

// noneOf looks whether a process of the app is left.
func (s *site) noneOf(t *testing.T) {
	out, _ := exec.Command("ps", "-eo", "pid,args").Output()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, s.dir) || strings.Contains(line, s.app) {
			t.Errorf("is left: %s", line)
		}
	}
}

func dial(m upstream.Member) (*uwsgi.Transport, error) {
	addr, err := uwsgi.ParseAddress(m.Address)
	if err != nil {
		return nil, err
	}
	return uwsgi.NewTransport(addr, uwsgi.Options{ResponseTimeout: 10 * time.Second})
}

func (s *site) ready(ctx context.Context, address string) error {
	t, err := dial(upstream.Member{Address: address})
	if err != nil {
		return err
	}
	_, err = t.Ping(ctx)
	return err
}

func (s *site) load() worker.Load {
	p := s.pool.Snapshot()
	l := worker.Load{Queued: p.Queued, Requests: s.requests.Load()}
	for _, m := range p.Members {
		l.InFlight += m.InFlight
	}
	return l
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.app, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// ask sends one request as the gateway does, with its retries.
func (s *site) ask(ctx context.Context, method, path, body string) (version, answer string, err error) {
	s.requests.Add(1)
	var r upstream.Request[*uwsgi.Transport]
	for {
		lease, err := s.pool.Acquire(ctx, &r)
		if err != nil {
			return "", "", err
		}
		begun := time.Now()
		version, answer, err = exchange(ctx, lease.Transport(), method, path, body)
		if err == nil {
			lease.Finish(200)
			return version, answer, nil
		}
		lease.Fail(err)
		if !s.pool.Retry(ctx, &r, upstream.Attempt{Err: err, Idempotent: method == "GET", Replayable: true, Took: time.Since(begun)}) {
			return "", "", err
		}
	}
}

func exchange(ctx context.Context, t *uwsgi.Transport, method, path, body string) (version, answer string, err error) {
	req := &uwsgi.Request{Method: method, Proto: "HTTP/1.1", Scheme: "http", Host: "localhost", URI: path, PathInfo: path, Header: uwsgi.HeaderFields{}}
	if body != "" {
		req.Body, req.ContentLength = strings.NewReader(body), int64(len(body))
		req.Rewind = func() (io.Reader, error) { return strings.NewReader(body), nil }
	}
	resp, err := t.Do(ctx, req)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	for _, f := range resp.Fields {
		if strings.EqualFold(f.Name, "X-Version") {
			version = f.Value
		}
	}
	if err == nil && (resp.Status != 200 || body != "" && !bytes.HasSuffix(b, []byte(body))) {
		err = fmt.Errorf("status %d: %s", resp.Status, b)
	}
	return version, string(b), err
}

// load sends requests until stop is called, which returns how many, and the errors.
func (s *site) loadUntil() (stop func() (int, []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	n, errs := 0, []error(nil)
	for i := range 6 {
		wg.Go(func() {
			method, path, body := "GET", "/", ""
			if i%2 == 1 {
				method, body = "POST", strings.Repeat("b", 1000)
			}
			if i == 0 {
				path = "/slow"
			}
			for ctx.Err() == nil {
				_, _, err := s.ask(context.WithoutCancel(ctx), method, path, body)
				mu.Lock()
				if n++; err != nil {
					errs = append(errs, fmt.Errorf("%s %s: %w", method, path, err))
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []error) {
		cancel()
		wg.Wait()
		return n, errs
	}
}

func (s *site) must(path string) (version, answer string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	version, answer, err := s.ask(ctx, "GET", path, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return version, answer
}

// TestLiveReloads: reloads under load, and no request is lost.
func TestLiveReloads(t *testing.T) {
	t.Parallel()
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server, nil)
			s.must("/")
			stop := s.loadUntil()
			for i := range 5 {
				s.write("live.py", strings.ReplaceAll(liveApp, `"1"`, strconv.Quote(fmt.Sprint("v", i))))
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				if err := s.Reload(ctx); err != nil {
					t.Errorf("reload %d: %v", i, err)
				}
				cancel()
				if v, _ := s.must("/"); v != fmt.Sprint("v", i) {
					t.Errorf("version %s after reload %d", v, i)
				}
			}
			n, errs := stop()
			if len(errs) > 0 || n < 50 {
				t.Errorf("%d of %d requests failed, the first: %v", len(errs), n, errs)
			}
			if sn := s.Snapshot(); sn.Reloads != 5 || sn.Generation != 6 || len(sn.Workers) < 3 || sn.Workers[0].RSS == 0 {
				t.Errorf("%+v", sn)
			}
		})
	}
}

// TestLiveBroken: an app that cannot be imported is not served, and the old one is.
func TestLiveBroken(t *testing.T) {
	t.Parallel()
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server, nil)
			s.must("/")
			s.write("live.py", "import nothing_of_that_name\n")
			err := s.Reload(t.Context())
			var trouble *worker.TroubleError
			if !errors.As(err, &trouble) || !strings.Contains(err.Error(), "nothing_of_that_name") {
				t.Errorf("Reload = %v", err)
			}
			if v, _ := s.must("/"); v != "1" {
				t.Errorf("version %s", v)
			}
		})
	}
}

// TestLiveKills: kill -9 of the leader and of workers. Only what a killed worker was
// running may fail, and of that only what must not be sent twice.
func TestLiveKills(t *testing.T) {
	t.Parallel()
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server, nil)
			s.must("/")
			stop := s.loadUntil()
			for i := range 4 {
				before := s.Snapshot()
				leader := i % 2
				if err := syscall.Kill(before.Workers[1-leader].PID, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
				wait(t, func() bool {
					now := s.Snapshot()
					return now.State == worker.StateReady && now.Restarts == before.Restarts+uint64(leader) && len(now.Workers) == len(before.Workers)
				})
				<-time.After(400 * time.Millisecond) // what was tried once more has ended
			}
			n, errs := stop()
			gets := 0
			for _, err := range errs {
				if strings.HasPrefix(err.Error(), "GET") {
					gets++
				}
			}
			if gets > 0 || len(errs) > 4*3 || n < 50 {
				t.Errorf("%d of %d requests failed, %d of them GET: %v", len(errs), n, gets, errs)
			}
			if s.Snapshot().Restarts == 0 {
				t.Error("there was no restart")
			}
		})
	}
}

// TestLiveOnDemand: nothing runs until a request comes, and nothing after a while.
func TestLiveOnDemand(t *testing.T) {
	t.Parallel()
	s := newSite(t, "builtin", func(o *worker.Options) { o.Idle = 300 * time.Millisecond })
	for range 3 {
		wait(t, func() bool { sn := s.Snapshot(); return sn.State == worker.StateIdle && len(sn.Workers) == 0 })
		s.must("/")
	}
}

// TestLiveCommand: a command of the user's own ends, and so does the supervisor.
func TestLiveCommand(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	codes := make(chan int, 1)
	s := worker.New(worker.Setup{
		Pool: "command", Dir: dir, Ready: func(context.Context, string) error { return nil },
		Ended: func(code int) bool { codes <- code; return true },
	})
	s.PlanWith(func(_ context.Context, r python.Request) (*python.Plan, error) {
		return &python.Plan{Command: true, Path: "/bin/sh", Args: []string{"-c", "test -S /proc/self/fd/3 || exit 9; trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done"}, Env: []string{"PATH=/usr/bin:/bin"}}, nil
	})
	s.Configure(worker.Options{Command: []string{"x"}})
	done := make(chan error, 1)
	set := func(string, []upstream.Member) <-chan struct{} { c := make(chan struct{}); close(c); return c }
	go func() { done <- s.Run(t.Context(), set) }()
	wait(t, func() bool { return s.Snapshot().State == worker.StateReady })
	<-time.After(200 * time.Millisecond) // until the shell has its trap
	if err := s.Signal(int(syscall.SIGUSR1)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if code := <-codes; code != 5 {
		t.Errorf("code %d, want 5", code)
	}
}

// wait waits until something is so.
func wait(t *testing.T, so func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("waited in vain")
		}
	}
}

// TestLiveUser: workers of another user have what they need, and no more.
func TestLiveUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts workers as somebody else")
	}
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, server, func(o *worker.Options) { o.User = "nobody" })
			for _, dir := range []string{s.app, s.dir} {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, answer := s.must("/")
			pid, _, _ := strings.Cut(answer, " ")
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil || !strings.Contains(string(status), "\nUid:\t65534\t65534\t65534\t65534\n") {
				t.Errorf("%v: %s", err, status)
			}
			if is, err := os.Stat(s.dir + "/w"); err != nil || is.Mode().Perm() != 0o711 {
				t.Errorf("%v, %v", is.Mode(), err)
			}
			if is, err := os.Stat(s.dir + "/w/live.1.sock"); err != nil || is.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", is.Mode(), err)
			}
			if err := s.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLiveWatch: what is saved is served, and what is wrong with it is told.
func TestLiveWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, "builtin", func(o *worker.Options) { o.Watch = true })
	s.must("/")
	wait(t, func() bool { return strings.Contains(s.log.String(), "files are watched") })
	s.write("live.py", strings.ReplaceAll(liveApp, `"1"`, `"2"`))
	wait(t, func() bool { v, _ := s.must("/"); return v == "2" })
	s.write("live.py", "def app(:\n")
	wait(t, func() bool { return s.Trouble() != nil })
	if err := s.Trouble(); !strings.Contains(err.Error(), "SyntaxError") {
		t.Error(err)
	}
	s.write("live.py", strings.ReplaceAll(liveApp, `"1"`, `"3"`))
	wait(t, func() bool { return s.Trouble() == nil })
	if v, _ := s.must("/"); v != "3" {
		t.Errorf("version %s", v)
	}
}

// TestLivePlan: with what package python finds, for each server.
func TestLivePlan(t *testing.T) {
	t.Parallel()
	for _, server := range []python.Server{python.Auto, python.Builtin} {
		t.Run(server.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "auto", func(o *worker.Options) {
				o.Server, o.Max, o.Env = server, 3, map[string]string{"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": ""}
			})
			s.must("/")
			if err := s.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			s.must("/")
			sn := s.Snapshot()
			if sn.Found.Target != "live:app" || len(sn.Chose) == 0 || sn.Generation != 2 || server != python.Auto && sn.Server != server.String() {
				t.Errorf("%+v", sn)
			}
			s.write("live.py", "import nothing_of_that_name\n")
			if err := s.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing_of_that_name") {
				t.Errorf("Reload = %v", err)
			}
			s.must("/")
		})
	}
}

// TestLiveScale: the leaders of both understand what they are told.
func TestLiveScale(t *testing.T) {
	t.Parallel()
	for _, server := range []python.Server{python.UWSGI, python.Builtin} {
		t.Run(server.String(), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "auto", func(o *worker.Options) {
				o.Server, o.Env = server, map[string]string{"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": ""}
				o.Processes, o.Threads, o.Max = 1, 1, 2
			})
			s.must("/")
			before := len(s.Snapshot().Workers)
			stop := s.loadUntil()
			wait(t, func() bool {
				members := s.pool.Snapshot().Members
				return len(members) == 1 && members[0].Slots == 2 && len(s.Snapshot().Workers) == before+1
			})
			if n, errs := stop(); len(errs) > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", len(errs), n, errs[0])
			}
		})
	}
}
