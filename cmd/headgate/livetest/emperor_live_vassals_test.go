package livetest_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// emperorVassals are files as uWSGI's documentation and those who use its Emperor have them.
// CODE is where the app is, RUN a directory that nobody may write to, PORT a free port.
var emperorVassals = map[string]string{
	"plain": `[uwsgi]
chdir = CODE
module = app:application
env = HG_APP=%n
master = true
processes = 2
threads = 2
socket = RUN/%n.sock
chmod-socket = 664
vacuum = true
harakiri = 20
`,
	"ports": `[uwsgi]
; an app that has been behind nginx
plugin = python3
base = CODE
chdir = %(base)
wsgi-file = %(base)/app.py
env = HG_APP=%n
socket = 127.0.0.1:PORT
stats = RUN/%n.stats
master = 1
workers = 1
max-requests = 1000
die-on-term = true
pidfile = RUN/%n.pid
`,
	"stats": `[uwsgi]
plugins = python3
chdir = CODE
module = app
env = HG_APP=%n
stats = 127.0.0.1:PORT
enable-threads = true
thunder-lock = true
procname-prefix-spaced = %n
logformat = %(method) %(uri) %(status)
log-x-forwarded-for = true
buffer-size = 32768
post-buffering = 8192
`,
	"include": `[uwsgi]
ini = RUN/shared.ini
chdir = CODE
module = app
env = HG_APP=%n
`,
	"venv": `[uwsgi]
home = RUN/venv
chdir = CODE
module = app
env = HG_APP=%n
processes = 1
`,
	"threads": `[uwsgi]
strict = true
plugin = python3
pythonpath = CODE
module = app
env = HG_APP=%n
processes = 4
cheaper = 1
cheaper-initial = 1
threads = 2
lazy-apps = true
single-interpreter = true
uid = 65534
gid = 65534
logto2 = RUN/%n.log
`,
	"map": `[uwsgi]
chdir = CODE
module = app
env = HG_APP=%n
static-map = /static=RUN/static
processes = 1
`,
}

// startVassals runs an Emperor with a directory for what its vassals make.
func startVassals(t *testing.T) (e *emperor, dir string) {
	t.Helper()
	need(t, "uwsgi")
	e = startEmperor(t, "")
	dir = filepath.Join(filepath.Dir(e.apps), "run")
	if err := os.MkdirAll(filepath.Join(dir, "static"), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, emperorUser, emperorUser); err != nil {
			t.Fatal(err)
		}
	}
	e.put(t, filepath.Join(dir, "shared.ini"), "[uwsgi]\nplugin = python3\nmaster = true\nprocesses = 2\n")
	e.put(t, filepath.Join(dir, "static", "a.txt"), "a file")
	return e, dir
}

// TestEmperorVassals: files of uWSGI work as they are; their hosts are the names of the
// files, or what they announce.
func TestEmperorVassals(t *testing.T) {
	t.Parallel()
	e, dir := startVassals(t)
	if out, said, code := run(t, "/usr/bin/python3", "-m", "venv", "--without-pip", filepath.Join(dir, "venv")); code != 0 {
		t.Fatalf("venv: %s%s", out, said)
	}
	hosts := map[string]string{}
	file := func(app string) string { return e.path(app+".localhost", ".ini") }
	for app, text := range emperorVassals {
		hosts[app] = e.host(app)
		e.put(t, file(app), strings.NewReplacer("CODE", e.code, "RUN", dir, "PORT", freePort(t)).Replace(text))
	}
	announced := strings.NewReplacer("CODE", e.code, "RUN", dir).Replace(emperorVassals["plain"]) +
		fmt.Sprintf("subscribe2 = server=127.0.0.1:%[1]s,key=%[2]s\nsubscribe-to = 127.0.0.1:%[1]s:%[3]s\n", freePort(t), e.host("key1"), e.host("key2"))
	e.put(t, e.path("announced", ".ini"), announced)
	linked := filepath.Join(dir, "linked.ini")
	e.put(t, linked, e.ini("linked", "env = HG_APP="+e.name+"linked"))
	if err := os.Symlink(linked, e.path("linked", ".ini")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(e.path("linked", ".ini"), emperorUser, emperorUser); err != nil {
			t.Fatal(err)
		}
	}
	hosts["linked"] = e.host("linked")
	for app, host := range hosts {
		body := strings.Fields(e.serves(t, host))
		if len(body) < 5 || !strings.HasPrefix(body[0], e.name+app) || body[1] != host || os.Geteuid() == 0 && body[2] != fmt.Sprint(emperorUser) {
			t.Errorf("%s answers %v", app, body)
			continue
		}
		if app == "venv" && body[4] != filepath.Join(dir, "venv") {
			t.Errorf("the virtual environment is %s", body[4])
		}
	}
	e.serves(t, e.host("key1"))
	e.serves(t, e.host("key2"))
	if code, body := e.get(t, e.client(t, h2), h2, e.host("map"), "/static/a.txt"); code != http.StatusOK || body != "a file" {
		t.Errorf("static-map: %d %s", code, body)
	}
	if !accepts("unix", filepath.Join(dir, e.name+"plain.localhost.sock"))() {
		t.Error("nobody listens on the socket that the file has")
	}
	s := e.status(t)
	if p := s.pool(e.name + "plain.localhost"); p == nil || p.Workers.Processes != 2 || p.Workers.Threads != 2 || p.Workers.Server != "uwsgi" {
		t.Errorf("plain is %+v", p)
	}
	for _, a := range s.Apps {
		if a.State != "ok" {
			t.Errorf("%s: %s %s", a.File, a.State, a.Error)
		}
	}

	var all []string
	for app := range hosts {
		if app == "linked" {
			all = append(all, app)
		} else {
			all = append(all, app+".localhost")
		}
	}
	for _, name := range all { // touched, those too that have a port of their own
		target, err := filepath.EvalSymlinks(e.path(name, ".ini"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		if err := os.Chtimes(target, now, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range all {
		var p *emperorPool
		if !eventually(30*time.Second, func() bool {
			s := e.status(t)
			p = s.pool(e.name + name)
			return p != nil && p.Workers.Reloads == 1 && p.Workers.State == "ready"
		}) {
			t.Errorf("%s was touched, and is %+v", name, p.Workers)
		}
	}
	for _, host := range hosts {
		e.serves(t, host)
	}
	for _, name := range append(all, "announced") {
		if err := os.Remove(e.path(name, ".ini")); err != nil {
			t.Fatal(err)
		}
	}
	e.wantGone(t, append(all, "announced")...)
	if left, _ := filepath.Glob(filepath.Join(dir, "*.sock")); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

// TestEmperorVassalReloads: a vassal is touched under load, and broken in both ways: for
// us and for uWSGI. No request fails.
func TestEmperorVassalReloads(t *testing.T) {
	t.Parallel()
	e, _ := startVassals(t)
	file, good := e.path("v", ".ini"), e.ini("v", "processes = 2\nstats = 127.0.0.1:"+freePort(t)+"\nharakiri = 20\nvacuum = true")
	e.put(t, file, good)
	first := e.waitReady(t, "v").Workers.Generation
	v := e.visit(t, 2, []string{"v"}, h1, h2)
	for i := range 3 {
		now := time.Now()
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
		var p *emperorPool
		if !eventually(20*time.Second, func() bool {
			s := e.status(t)
			p = s.pool(e.name + "v")
			return p.Workers.Reloads == i+1 && p.Workers.State == "ready"
		}) {
			t.Fatalf("touched %d times: %+v", i+1, p.Workers)
		}
	}
	if p := e.waitReady(t, "v"); p.Workers.Generation != first+3 {
		t.Errorf("generation %d, before it was touched three times %d", p.Workers.Generation, first)
	}
	e.put(t, file, strings.Replace(good, "[uwsgi]", "[usgi]", 1))
	e.waitState(t, e.name+"v.ini", "kept", "has no section [uwsgi]")
	e.put(t, file, good)
	e.waitState(t, e.name+"v.ini", "ok", "")
	if !eventually(20*time.Second, func() bool { s := e.status(t); return s.pool(e.name+"v").Workers.State == "ready" }) {
		t.Error("the file is as it was, and its workers are not ready")
	}
	e.put(t, file, strings.Replace(good, "module = app", "module = nowhere", 1))
	var p *emperorPool
	if !eventually(20*time.Second, func() bool {
		s := e.status(t)
		p = s.pool(e.name + "v")
		return p.Workers.Error != "" && p.Workers.State == "ready"
	}) {
		t.Errorf("uWSGI does not find the app, and status says %+v", p.Workers)
	}
	e.serves(t, e.host("v"))
	e.put(t, file, good)
	if !eventually(20*time.Second, func() bool {
		s := e.status(t)
		p = s.pool(e.name + "v")
		return p.Workers.Error == "" && p.Workers.State == "ready"
	}) {
		t.Errorf("mended, and status says %+v", p.Workers)
	}
	v.end(t, 100)
}

// TestEmperorTyrant: as root, apps run as the owners of their files.
func TestEmperorTyrant(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI runs this as root")
		}
		t.Skip("needs root")
	}
	t.Parallel()
	e, _ := startVassals(t)
	for _, ext := range []string{".yaml", ".ini"} {
		text := func(app, user string) string {
			if ext == ".yaml" && user != "" {
				return strings.Replace(e.yaml(app, emperorApp{}), "processes: 1", "processes: 1, user: "+user, 1)
			} else if ext == ".yaml" {
				return e.yaml(app, emperorApp{})
			} else if user != "" {
				return e.ini(app, "uid = "+user+"\ngid = nogroup")
			}
			return e.ini(app, "")
		}
		app := func(name string) string { return name + ext[1:] }
		e.put(t, e.path(app("owned"), ext), text(app("owned"), ""))
		e.put(t, e.path(app("said"), ext), text(app("said"), "nobody"))
		emperorAsRoot(t, e.path(app("said"), ext))
		e.put(t, e.path(app("root"), ext), text(app("root"), ""))
		emperorAsRoot(t, e.path(app("root"), ext))
		e.put(t, e.path(app("shared"), ext), text(app("shared"), ""))
		if err := os.Chmod(e.path(app("shared"), ext), 0o664); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"owned", "said"} {
			if body := strings.Fields(e.serves(t, e.host(app(name)))); len(body) < 3 || body[2] != fmt.Sprint(emperorUser) {
				t.Errorf("%s%s runs as %v", name, ext, body)
			}
		}
		e.waitState(t, e.name+app("root")+ext, "broken", "chown the file to the user")
		e.waitState(t, e.name+app("shared")+ext, "broken", "chmod go-w")
		if n := len(e.processes(app("root"))) + len(e.processes(app("shared"))); n > 0 {
			t.Errorf("%d processes of apps that are refused", n)
		}
	}
	_, said, code := run(t, headgate, "check", "-c", e.file)
	if code != 1 || strings.Count(said, "chmod go-w") != 2 || strings.Count(said, "no app runs as root") != 2 {
		t.Errorf("headgate check: %d %s", code, said)
	}
}
