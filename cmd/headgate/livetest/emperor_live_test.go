package livetest_test

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// emperor is a gateway with a folder of apps. As root its apps belong to nobody, and
// run so.
type emperor struct {
	*gateway
	apps string // the folder
	code string // the directory of the app of testdata
	name string // begins the names of all its apps, which no other gateway has
}

// emperorUser is the user nobody, and its group.
const emperorUser = 65534

// emperorNumber makes names differ.
var emperorNumber atomic.Uint32

// startEmperor runs the gateway with an empty folder. more are lines of its file.
func startEmperor(t testing.TB, more string) *emperor {
	t.Helper()
	need(t, "/usr/bin/python3")
	dir := shortDir(t)
	e := &emperor{
		gateway: &gateway{certificate: &certificate{roots: x509.NewCertPool()}, file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")},
		apps:    filepath.Join(dir, "apps"), code: filepath.Join(dir, "code"), name: fmt.Sprintf("e%d-%d-", os.Getpid(), emperorNumber.Add(1)),
	}
	for _, path := range []string{dir, e.apps, e.code} { // nobody looks into them
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile("testdata/emperor_live/app.py")
	if err != nil {
		t.Fatal(err)
	}
	e.put(t, filepath.Join(e.code, "app.py"), string(content))
	e.main(t, more)
	t.Cleanup(func() { // after the end of the gateway
		if left := e.processes(""); len(left) > 0 {
			t.Errorf("processes are left of the gateway: %v", left)
		}
	})
	e.process = start(t, dir, accepts("unix", e.admin), headgate, "run", "-c", e.file)
	e.learn(t)
	ok := eventually(20*time.Second, func() bool {
		pem, err := os.ReadFile(filepath.Join(dir, "tls", "ca", "root.crt"))
		return err == nil && e.roots.AppendCertsFromPEM(pem)
	})
	if !ok {
		t.Fatal("there is no local authority")
	}
	return e
}

// main writes the file of the gateway.
func (e *emperor) main(t testing.TB, more string) {
	t.Helper()
	write(t, e.file, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls: {issuer: internal, storage: "file:%s/tls"}
admin: {socket: %q}
log: {access: off}
apps: %q
sites: [{hosts: [main.localhost], http: serve, routes: [{respond: {body: main}}]}]
%s`, filepath.Dir(e.file), e.admin, e.apps, more))
}

// put writes a file at once, as who deploys does, and gives it to nobody.
func (e *emperor) put(t testing.TB, path, text string) {
	t.Helper()
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(temporary, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(temporary, emperorUser, emperorUser); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

// emperorApp is what the file of an app is made from.
type emperorApp struct {
	env  string // more of its environment, in flow style
	more string // more of its workers, in flow style
	rest string // more lines of the file
	host string // "": its name and .localhost
}

func (e *emperor) path(app, ext string) string { return filepath.Join(e.apps, e.name+app+ext) }

func (e *emperor) host(app string) string { return e.name + app + ".localhost" }

// yaml is a file of an app on the builtin server.
func (e *emperor) yaml(app string, a emperorApp) string {
	if a.host == "" {
		a.host = e.host(app)
	}
	return fmt.Sprintf("hosts: [%s]\nhttp: serve\nworkers: {app: app.py, chdir: %q, server: builtin, processes: 1, env: {HG_APP: %s%s}%s}\n%s",
		a.host, e.code, e.name+app, more(a.env), more(a.more), a.rest)
}

// add puts the YAML file of an app into the folder.
func (e *emperor) add(t testing.TB, app string, a emperorApp) {
	t.Helper()
	e.put(t, e.path(app, ".yaml"), e.yaml(app, a))
}

// ini is a file of an app on uWSGI.
func (e *emperor) ini(app, options string) string {
	return fmt.Sprintf("[uwsgi]\nmodule = app\nchdir = %s\n%s\n[headgate]\nhosts = %s\nhttp = serve\nenv.HG_APP = %s\n", e.code, options, e.host(app), e.name+app)
}

// emperorStatus is what headgate status --json says of apps.
type emperorStatus struct {
	LastReload struct{ Error string } `json:"last_reload"`
	Pools      []emperorPool
	Apps       []emperorFile
}

type emperorFile struct {
	File, Name, State, Error string
	Hosts                    []string
}

type emperorPool struct {
	Name    string
	Queued  int
	Members []struct {
		Address  string
		InFlight int `json:"in_flight"`
	}
	Workers *struct {
		State, Error, Server, App      string
		Restarts, Reloads              int
		Tail                           []string
		List                           []struct{ PID int }
		Generation, Processes, Threads int
	}
}

func (e *emperor) status(t testing.TB) (s emperorStatus) {
	t.Helper()
	stdout, stderr, code := run(t, headgate, "status", "--json", "--socket", e.admin)
	if code != 0 {
		t.Fatalf("headgate status: %s", stderr)
	}
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pool is the pool of an app; nil: it has none.
func (s *emperorStatus) pool(name string) *emperorPool {
	i := slices.IndexFunc(s.Pools, func(p emperorPool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Pools[i]
}

// find returns what is said of a file, by its name in the folder.
func (s *emperorStatus) find(base string) (emperorFile, bool) {
	i := slices.IndexFunc(s.Apps, func(f emperorFile) bool { return filepath.Base(f.File) == base })
	if i < 0 {
		return emperorFile{}, false
	}
	return s.Apps[i], true
}

// app is the state of the file of an app, and its error.
func (s *emperorStatus) app(base string) (state, err string) {
	f, _ := s.find(base)
	return f.State, f.Error
}

// waitState waits until the file of an app has a state, and its error has a word.
func (e *emperor) waitState(t testing.TB, base, state, word string) {
	t.Helper()
	var got, err string
	ok := eventually(15*time.Second, func() bool {
		s := e.status(t)
		got, err = s.app(base)
		return got == state && strings.Contains(err, word)
	})
	if !ok {
		t.Errorf("%s is %q (%s), want %q and %q", base, got, err, state, word)
	}
}

// waitReady waits until the workers of an app serve.
func (e *emperor) waitReady(t testing.TB, app string) *emperorPool {
	t.Helper()
	var p *emperorPool
	ok := eventually(30*time.Second, func() bool {
		s := e.status(t)
		p = s.pool(e.name + app)
		return p != nil && p.Workers != nil && p.Workers.State == "ready"
	})
	if !ok {
		t.Fatalf("%s does not serve: %+v", app, p)
	}
	return p
}

// get asks an app for a path.
func (e *emperor) get(t testing.TB, client *http.Client, p protocol, host, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.scheme()+"://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// serves waits until an app answers, and returns its answer.
func (e *emperor) serves(t testing.TB, host string) string {
	t.Helper()
	client := e.client(t, h2)
	code, body := 0, ""
	if !eventually(30*time.Second, func() bool { code, body = e.get(t, client, h2, host, "/"); return code == http.StatusOK }) {
		t.Errorf("%s answers %d: %s", host, code, body)
	}
	return body
}

// processes lists those of an app, "" for all of them, wherever they belong to now: they
// have its name in their environment, or its file in their command line.
func (e *emperor) processes(app string) (pids []int) {
	environ, line := []byte("HG_APP="+e.name+app), []byte(e.path(app, ""))
	if app != "" {
		environ, line = append(environ, 0), append(line, '.')
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		says := func(file string, word []byte) bool {
			text, err := os.ReadFile(filepath.Join(dir, file)) // an error is that it is somebody else's, or gone
			return err == nil && bytes.Contains(append(text, 0), word)
		}
		if says("environ", environ) || says("cmdline", line) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

// runtime is the directory of the sockets of all workers.
func (e *emperor) runtime() string {
	if os.Geteuid() == 0 {
		return "/run/headgate/workers"
	}
	return filepath.Join(cmp.Or(os.Getenv("TMPDIR"), "/tmp"), "headgate-"+strconv.Itoa(os.Geteuid()), "workers")
}

// files lists what an app has in the runtime directory.
func (e *emperor) files(app string) []string {
	left, _ := filepath.Glob(filepath.Join(e.runtime(), e.name+app+".*"))
	return left
}

// wantGone: nothing is left of an app.
func (e *emperor) wantGone(t testing.TB, apps ...string) {
	t.Helper()
	for _, app := range apps {
		if !eventually(20*time.Second, func() bool { return len(e.processes(app))+len(e.files(app)) == 0 }) {
			t.Errorf("of %s are left: processes %v, files %v", app, e.processes(app), e.files(app))
		}
		s := e.status(t)
		if p := s.pool(e.name + app); p != nil {
			t.Errorf("status has the pool of %s", app)
		}
	}
}
