package livetest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// crewServers are the servers that every machine of ours has.
var crewServers = []string{"builtin", "uwsgi"}

// crewConf is what a test says of a pool of workers; every field but app may be "".
type crewConf struct {
	app    string
	chdir  string // testdata/workers_live
	server string
	keys   string // more keys of workers, lines of block style
	env    map[string]string
	pool   string // more keys of the pool, the same
	more   string // lines at the end of the configuration
	http   string // address; any by default
}

// crew is the binary with workers that it has started.
type crew struct {
	*gateway
	conf crewConf
	dir  string
	pool string // its name, which no other gateway has: they share a directory for sockets
	mark string // what the environment of each of the workers has
	runs string // DUTY_RUNS
}

// crews numbers them.
var crews atomic.Int64

// newCrew writes the configuration, and starts nothing.
func newCrew(t testing.TB, c crewConf) *crew {
	t.Helper()
	if c.server == "uwsgi" {
		need(t, "uwsgi")
	}
	need(t, "/usr/bin/python3") // the tests' PATH has no other
	w := &crew{dir: shortDir(t), pool: fmt.Sprintf("crew%d-%d", os.Getpid(), crews.Add(1))}
	w.mark, w.runs = "CREW="+w.pool, filepath.Join(w.dir, "runs")
	w.gateway = &gateway{certificate: newCertificate(t), file: filepath.Join(w.dir, "headgate.yaml"), admin: filepath.Join(w.dir, "admin.sock")}
	w.change(t, c)
	t.Cleanup(func() { w.wantNothingLeft(t) })
	return w
}

// startCrew starts a gateway with workers, which need not serve yet.
func startCrew(t testing.TB, c crewConf) *crew {
	t.Helper()
	w := newCrew(t, c)
	w.start(t)
	return w
}

func (w *crew) start(t testing.TB) {
	t.Helper()
	w.process = start(t, w.dir, accepts("unix", w.admin), headgate, "run", "-c", w.file)
	w.learn(t)
}

// change writes another configuration.
func (w *crew) change(t testing.TB, c crewConf) {
	t.Helper()
	w.conf = c
	env := map[string]string{"CREW": w.pool, "DUTY_RUNS": w.runs}
	maps.Copy(env, c.env)
	inEnv, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	chdir := cmp.Or(c.chdir, absolute(t, "testdata/workers_live"))
	write(t, w.file, fmt.Sprintf(`listen: {http: %q, https: "127.0.0.1:0"}
tls: {issuer: none, certificates: [{cert: %q, key: %q}]}
admin: {socket: %q}
log: {access: off}
grace: 20s
pools:
  %s:
%s    workers:
        app: %q
        chdir: %q
        server: %s
        env: %s
%ssites:
  - hosts: [%s]
    http: serve
    routes: [{pool: %s}]
%s
`, cmp.Or(c.http, "127.0.0.1:0"), w.cert, w.key, w.admin, w.pool, indent(c.pool), c.app, chdir, cmp.Or(c.server, "auto"), inEnv, indent(indent(c.keys)), host, w.pool, c.more))
}

// crewStatus is what headgate status tells of the workers.
type crewStatus struct {
	State                         string
	Server                        string
	Processes                     int
	Generation, Restarts, Reloads int
	RetryAt                       time.Time `json:"retry_at"`
	Error                         string
	Tail                          []string
	List                          []struct {
		PID     int
		Leader  bool
		Leaving bool
	}
}

func (w *crew) status(t testing.TB) crewStatus {
	t.Helper()
	stdout, stderr, code := run(t, headgate, "status", "--json", "--socket", w.admin)
	var all struct {
		Pools []struct {
			Name    string
			Workers crewStatus
		}
	}
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil {
		t.Errorf("headgate status: exit code %d, %v: %s", code, err, stderr)
	}
	for _, p := range all.Pools {
		if p.Name == w.pool {
			return p.Workers
		}
	}
	return crewStatus{}
}

// await waits until the status is as it should be.
func (w *crew) await(t testing.TB, what string, ok func(crewStatus) bool) crewStatus {
	t.Helper()
	var s crewStatus
	if !eventually(30*time.Second, func() bool { s = w.status(t); return ok(s) }) {
		t.Fatalf("%s: not within 30 s: %+v", what, s)
	}
	return s
}

func (w *crew) awaitReady(t testing.TB) crewStatus {
	t.Helper()
	return w.await(t, "ready", func(s crewStatus) bool { return s.State == "ready" })
}

// leader returns the process that has started the others; 0: there is none.
func (s crewStatus) leader() int {
	for _, p := range s.List {
		if p.Leader && !p.Leaving {
			return p.PID
		}
	}
	return 0
}

// children returns the processes whose parent is pid.
func children(pid int) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // of each thread
	for _, path := range lists {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		for field := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// processes returns those that the gateway, this one or one before it, has started
// for the pool, and theirs.
func (w *crew) processes() (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(b), "\x00"), w.mark) {
			continue // it has ended, or is not ours
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// files returns what there is in the directory of sockets for the pool.
func (w *crew) files(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("headgate-%d", os.Geteuid()), "workers")
	if os.Geteuid() == 0 {
		dir = "/run/headgate/workers"
	}
	found, err := filepath.Glob(filepath.Join(dir, w.pool+".*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// wantNothingLeft: the gateway has ended, and so has all that it has started.
func (w *crew) wantNothingLeft(t testing.TB) {
	t.Helper()
	if !eventually(2*time.Second, func() bool { return len(w.processes()) == 0 }) {
		t.Errorf("processes are left: %v", w.processes())
		for _, pid := range w.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // an error is that it has ended
		}
	}
	if left := w.files(t); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

// get asks for a path over h1, and returns the page of an answer with status 200.
func (w *crew) get(path string) (string, error) {
	c := wire{addr: w.http}
	defer c.close()
	a, err := c.ask("GET", path, nil)
	if err == nil && a.status != 200 {
		err = fmt.Errorf("status %d: %s", a.status, oneLine(a.body))
	}
	return a.body, err
}

// long reports whether tests may take minutes.
func long() bool { return os.Getenv("HEADGATE_TEST_LONG") != "" }
