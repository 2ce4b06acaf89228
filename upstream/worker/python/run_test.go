package python_test

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/worker/python"
)

const pidApp = "import os\ndef application(e, s):\n    s('200 OK', [])\n    return [b'hello']\n"

func TestUWSGI(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"src/app.py": pidApp}.write(t)
	r, p := run(t, python.Request{App: "app", Dir: dir, Processes: 2, Threads: 2, MaxRequests: 1000, MaxRSS: 1 << 30, Flags: []string{"--vacuum"}})
	if p.Server != python.UWSGI || p.Dialect != "uwsgi" || p.Slots != 4 || p.Scales || p.Fifo == "" || p.Stats == "" {
		t.Errorf("%+v", p)
	}
	contains(t, "chose", strings.Join(p.Chose, "\n"), "chose uWSGI 2", "its Python is that of the app")
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	contains(t, "log", r.log(), "inherited UNIX address "+r.socket+" fd 3")
	if log := r.log(); strings.Contains(log, "bound to UNIX address "+r.socket) || strings.Contains(log, "hello") || strings.Contains(log, "GET /") {
		t.Errorf("the log has %s", log)
	}
	doc := statistics(t, p.Stats)
	if len(doc.Workers) != 2 || len(doc.Workers[0].Cores) != 2 {
		t.Errorf("statistics: %+v", doc)
	}
	r.stop(p)
	contains(t, "log", r.log(), "goodbye to uWSGI", "Skip removal")
}

// TestUWSGIReload: it finds the socket again when it reloads itself.
func TestUWSGIReload(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"app.py": pidApp}.write(t)
	r, p := run(t, python.Request{App: "app", Dir: dir})
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	r.order(p, "r")
	until(t, "reload", func() bool { return strings.Count(r.log(), "inherited UNIX address "+r.socket) == 2 })
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	r.stop(p)
}

// TestUWSGIScales: + and - in the FIFO, and - below the least, which is why whoever
// writes it counts.
func TestUWSGIScales(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"app.py": pidApp}.write(t)
	r, p := run(t, python.Request{App: "app", Dir: dir, Processes: 2, Min: 1, Most: 4})
	if !p.Scales || p.Slots != 2 {
		t.Errorf("%+v", p)
	}
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	for _, step := range []struct {
		word string
		want int
	}{{"", 2}, {"+", 3}, {"+", 4}, {"-", 3}, {"--", 1}, {"-", 0}, {"+", 1}} {
		if step.word != "" {
			r.order(p, step.word)
		}
		until(t, step.word, func() bool {
			n := 0
			for _, w := range statistics(t, p.Stats).Workers {
				if w.Status != "cheap" {
					n++
				}
			}
			return n == step.want
		})
	}
	r.answers("/", "hello", uwsgi.DialectUWSGI)
}

// TestUWSGINeedsApp: a uWSGI without its app ends, with our socket as it was.
func TestUWSGINeedsApp(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"app.py": "import os\nif 'BREAK' in os.listdir('.'): 1/0\n" + wsgiApp}.write(t)
	socket := filepath.Join(shortDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := mustPlan(t, python.Request{App: "app", Dir: dir, Socket: socket, Processes: 2})
	add(t, filepath.Join(dir, "BREAK"), "")
	r := &running{t: t, socket: socket, said: filepath.Join(shortDir(t), "said"), ended: make(chan struct{})}
	r.start(l, p)
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it has not ended")
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 22 {
		t.Errorf("status %d", code)
	}
	contains(t, "log", r.log(), "ZeroDivisionError")
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
}

func TestUWSGICallables(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"app.py": pidApp + "def make(a=1):\n    return application\nclass O:\n    x = staticmethod(application)\n"}.write(t)
	for _, app := range []string{"app:make()", "app:make('b')", "app:O.x"} {
		r, p := run(t, python.Request{App: app, Dir: dir, Server: python.UWSGI})
		r.answers("/", "hello", uwsgi.DialectUWSGI)
		r.stop(p)
	}
}

func TestBuiltin(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"src/app.py": pidApp, "data": "x"}.write(t)
	r, p := run(t, python.Request{App: "app", Dir: dir, Server: python.Builtin, Processes: 2})
	if p.Server != python.Builtin || p.Fifo != "" || !p.Scales || p.Slots != 2 {
		t.Errorf("%+v", p)
	}
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	r.stop(p)
}

// gunicorn returns the Python with the gunicorn that HEADGATE_TEST_GUNICORN names, and
// the variables that it needs.
func gunicorn(t *testing.T) map[string]string {
	t.Helper()
	command := strings.Fields(os.Getenv("HEADGATE_TEST_GUNICORN"))
	if len(command) == 0 {
		t.Skip("HEADGATE_TEST_GUNICORN names no gunicorn")
	}
	env := map[string]string{}
	for _, word := range command {
		if name, value, ok := strings.Cut(word, "="); ok {
			env[name] = value
		}
	}
	return env
}

func TestGunicorn(t *testing.T) {
	t.Parallel()
	env := gunicorn(t)
	dir := files{"app.py": pidApp}.write(t)
	r, p := run(t, python.Request{App: "app", Dir: dir, Server: python.Gunicorn, Env: env, Processes: 2, Threads: 2, MaxRequests: 100})
	if p.Server != python.Gunicorn || p.Dialect != "gunicorn" || !p.Scales || p.Slots != 4 {
		t.Errorf("%+v", p)
	}
	r.answers("/", "hello", uwsgi.DialectGunicorn)
	p.Fifo = ""
	r.stop(p) // and the path is still there
}

func TestCommandGunicorn(t *testing.T) {
	t.Parallel()
	env := gunicorn(t)
	dir := files{"app.py": pidApp}.write(t)
	r, p := run(t, python.Request{Command: []string{"python3", "-m", "gunicorn", "app"}, Dir: dir, Env: env})
	if p.Server != python.Gunicorn || !p.Command || p.Slots != 0 {
		t.Errorf("%+v", p)
	}
	r.answers("/", "hello", uwsgi.DialectGunicorn)
	r.stop(p)
}

func TestCommandUWSGI(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"app.py": pidApp}.write(t)
	for _, more := range [][]string{nil, {"--socket", "{socket}"}, {"--socket={socket}"}} {
		command := append([]string{"uwsgi", "--plugin", "python3", "--master", "--module", "app"}, more...)
		r, p := run(t, python.Request{Command: command, Dir: dir})
		if p.Server != python.UWSGI || !p.Command || p.Fifo == "" {
			t.Errorf("%+v", p)
		}
		r.answers("/", "hello", uwsgi.DialectUWSGI)
		if strings.Contains(r.log(), "bound to UNIX address "+r.socket) {
			t.Errorf("%q: bound once more", more)
		}
		r.stop(p)
	}
}

// listens is a server of systemd's protocol, which answers with what it was told.
const listens = `
import os, socket, sys
pid, fds = int(os.environ["LISTEN_PID"]), os.environ["LISTEN_FDS"]
said = ",".join([str(pid == os.getpid()), fds, os.environ["HEADGATE_FD"], str(os.environ["HEADGATE_SOCKET"] == sys.argv[1]), str(sys.argv[2:])])
c, _ = socket.socket(fileno=3).accept()
c.sendall(said.encode())
`

func TestCommandListens(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"x.py": listens}.write(t)
	r, p := run(t, python.Request{Command: []string{"python3", "x.py", "{socket}", "a b", "fd {fd}"}, Dir: dir, Flags: []string{"$x"}})
	if !p.Command || p.Dialect != "" || p.Slots != 0 {
		t.Errorf("%+v", p)
	}
	c, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "True,1,3,True,['a b', 'fd 3', '$x']" {
		t.Errorf("%s, %v", b, err)
	}
}

// vassal is a file as people have it for uWSGI's Emperor.
const vassal = `
; a vassal
[uwsgi]
socket = %down.sock
chmod-socket = 666
master = false
processes = 2
threads = 3
module = app
buffer-size = 8192
vacuum = true
ini = more.txt
[headgate]
hosts = a.example
`

func TestIni(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"v.ini": vassal, "more.txt": "[uwsgi]\nstats = %downstats\n", "app.py": pidApp}.write(t)
	r, p := run(t, python.Request{Ini: filepath.Join(dir, "v.ini")})
	if p.Slots != 6 || p.Stats != "" || p.Server != python.UWSGI || p.Command || p.Dir != dir {
		t.Errorf("%+v", p)
	}
	r.answers("/", "hello", uwsgi.DialectUWSGI)
	contains(t, "log", r.log(), "inherited UNIX address "+r.socket, "bound to UNIX address "+dir+"/own.sock")
	r.stop(p)
	if _, err := os.Stat(dir + "/own.sock"); err == nil {
		t.Error("its own socket is left")
	}
}

func TestIniRefused(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{
		"a.ini": "[uwsgi]\nmodule = app\ndaemonize = /tmp/x.log\n",
		"b.ini": "[uwsgi]\nini = a.ini\n",
		"c.ini": "[other]\nx = y\n",
		"d.ini": "[uwsgi]\nini = missing.ini\n",
		"e.ini": "[uwsgi]\nexec-asap = echo\ndaemonize2 = x\n",
		"f.ini": "[uwsgi]\nemperor = /etc/vassals\n",
	}.write(t)
	for name, want := range map[string]string{
		"a.ini": "has daemonize", "b.ini": "has daemonize", "c.ini": "has no section [uwsgi]", "d.ini": "uWSGI cannot read", "e.ini": "has daemonize2",
		"f.ini": "starts an Emperor", "g.ini": "no such file",
	} {
		if _, err := plan(t, python.Request{Ini: filepath.Join(dir, name)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIniOfOthers: a configuration that gives up its rights makes no files of ours.
func TestIniOfOthers(t *testing.T) {
	t.Parallel()
	needsUWSGI(t)
	dir := files{"v.ini": "[uwsgi]\nuid = nobody\nprocesses = %(x)\nx = 2\nasync = 10\n"}.write(t)
	p := mustPlan(t, python.Request{Ini: filepath.Join(dir, "v.ini"), Fifo: "/run/x/fifo", Stats: "/run/x/stats"})
	if p.Fifo != "" || p.Stats != "" || slices.Contains(p.Args, "--master-fifo") || p.Slots != 20 {
		t.Errorf("%+v", p)
	}
}

type stats struct {
	Workers []struct {
		Status string
		Cores  []struct{ ID int }
	}
}

func statistics(t testing.TB, path string) (doc stats) {
	t.Helper()
	until(t, "statistics", func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		defer c.Close()
		doc = stats{}
		return json.NewDecoder(c).Decode(&doc) == nil
	})
	return doc
}

// TestDjangoStaticFiles: with DEBUG the files of the admin are there as in runserver, with
// nothing collected.
func TestDjangoStaticFiles(t *testing.T) {
	t.Parallel()
	dir := startProject(t)
	for _, server := range []python.Server{python.Builtin, python.UWSGI} {
		t.Run(server.String(), func(t *testing.T) {
			t.Parallel()
			if server == python.UWSGI {
				needsUWSGI(t)
			}
			r, p := run(t, python.Request{App: ".", Dir: dir, Server: server, Env: map[string]string{"DJANGO_SETTINGS_MODULE": "shop.settings"}})
			var got string
			until(t, "an answer", func() (ok bool) {
				var err error
				got, err = r.get("/static/admin/css/base.css", uwsgi.DialectUWSGI)
				return err == nil
			})
			if !strings.Contains(got, "body {") || !strings.Contains(got, "DJANGO") {
				t.Errorf("the style of the admin: %.200q\n%s", got, r.log())
			}
			r.stop(p)
		})
	}
}
