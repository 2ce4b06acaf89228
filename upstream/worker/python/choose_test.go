package python_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
	"headgate/upstream/worker/python"
)

func newVenv(t *testing.T, dir string) {
	t.Helper()
	needs(t, "venv")
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// series is the version of python3, as directories have it.
func series(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2], end='')").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestVenv: what is only in the virtual environment beside the app can be imported, by
// each server.
func TestVenv(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"pyproject.toml": "", "web/app.py": "import only_here, os, sys\ndef application(e, s):\n    s('200 OK', [])\n    return [repr((sys.prefix, os.environ['VIRTUAL_ENV'], os.environ['PATH'].split(':')[0])).encode()]\n"}.write(t)
	venv := filepath.Join(dir, ".venv")
	newVenv(t, venv)
	add(t, filepath.Join(venv, "lib", "python"+series(t), "site-packages", "only_here.py"), "")
	want := fmt.Sprintf("('%s', '%[1]s', '%[1]s/bin')", venv)
	servers := []python.Server{python.Builtin}
	if exec.Command("uwsgi", "--plugin", "python3", "--python-version").Run() == nil {
		servers = append(servers, python.UWSGI, python.Auto)
	}
	for _, server := range servers {
		r, p := run(t, python.Request{App: "app", Dir: filepath.Join(dir, "web"), Server: server})
		if p.App.Venv != venv || p.App.Python != venv+"/bin/python" {
			t.Errorf("%+v", p.App)
		}
		contains(t, "chose", strings.Join(p.Chose, "\n"), "found the virtual environment "+venv)
		r.answers("/", want, uwsgi.DialectUWSGI)
		r.stop(p)
	}
	_, err := plan(t, python.Request{App: "app", Dir: filepath.Join(dir, "web"), Venv: "off"})
	if err == nil || !strings.Contains(err.Error(), "only_here") || !strings.Contains(err.Error(), "name the virtual environment that has it") {
		t.Error(err)
	}
}

func TestVenvRefused(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": wsgiApp, "empty/x": "", "venv/pyvenv.cfg": "home = /nowhere\n", "half/pyvenv.cfg": "", "bad/pyvenv.cfg": "", "bad/bin/python": "#!/bin/sh\necho broken >&2\nexit 1\n"}.write(t)
	if err := os.MkdirAll(filepath.Join(dir, "venv/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("/nowhere/python3.9", filepath.Join(dir, "venv/bin/python")), os.Chmod(filepath.Join(dir, "bad/bin/python"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for venv, want := range map[string]string{
		"":      "is gone (bin/python is a link to /nowhere/python3.9): make it anew",
		"empty": "has no pyvenv.cfg",
		"no":    "no such file or directory: name one",
		"half":  "has no bin/python",
		"bad":   "does not run (exit status 1: broken): make it anew",
	} {
		if _, err := plan(t, python.Request{App: "app", Dir: dir, Venv: venv}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", venv, err)
		}
	}
	if _, err := plan(t, python.Request{App: "app", Dir: dir, Venv: "off"}); err != nil {
		t.Error(err)
	}
	if _, err := plan(t, python.Request{App: "app", Dir: dir, Venv: "off", Env: map[string]string{"PATH": dir}}); err == nil || !strings.Contains(err.Error(), "no python3 in PATH") {
		t.Error(err)
	}
}

// script puts a program into a directory of its own, and returns a PATH with it.
func script(t *testing.T, name, text string) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir + ":" + os.Getenv("PATH")
}

// TestUnfit: a uWSGI of another Python, and a gunicorn that is too old, are not taken,
// and it is said why.
func TestUnfit(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": wsgiApp}.write(t)
	newVenv(t, filepath.Join(dir, "venv")) // or the uWSGI beside Python would be found
	old := files{"gunicorn/__init__.py": "", "gunicorn/__main__.py": "print('gunicorn (version 20.1.0)')"}.write(t)
	for _, c := range []struct{ uwsgi, want string }{
		{fmt.Sprintf(`echo '{"series":"%s","prefix":"/opt/other","python":"%[1]s.99","version":"2.0.30"}' >&3`, series(t)), "has Python " + series(t) + ".99 of /opt/other"},
		{`echo '{"series":"3.1","prefix":"/usr","python":"3.1.1","version":"2.0.30"}' >&3`, "uWSGI 2.0.30"},
		{"exit 1", "runs no Python"},
	} {
		env := map[string]string{"PATH": script(t, "uwsgi", c.uwsgi), "PYTHONPATH": old}
		p := mustPlan(t, python.Request{App: "app", Dir: dir, Env: env})
		if p.Server != python.Builtin {
			t.Errorf("%s: %v", c.uwsgi, p.Server)
		}
		contains(t, "chose", strings.Join(p.Chose, "\n"), "chose Headgate's own server: ", c.want, "gunicorn 20.1.0 is older than 25.2")
		_, err := plan(t, python.Request{App: "app", Dir: dir, Env: env, Server: python.UWSGI})
		if err == nil || !strings.Contains(err.Error(), "server uwsgi: ") || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "-m pip install uwsgi") {
			t.Error(err)
		}
		_, err = plan(t, python.Request{App: "app", Dir: dir, Env: env, Server: python.Gunicorn})
		if err == nil || !strings.Contains(err.Error(), "server gunicorn: gunicorn 20.1.0 is older") {
			t.Error(err)
		}
		_, err = plan(t, python.Request{Command: []string{"python3", "-m", "gunicorn", "app"}, Dir: dir, Env: env})
		if err == nil || !strings.Contains(err.Error(), "or set protocol: http") {
			t.Error(err)
		}
	}
}

func TestChoosesGunicorn(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": wsgiApp + "class O: x = application"}.write(t)
	newVenv(t, filepath.Join(dir, "venv"))
	module := files{"gunicorn/__init__.py": "", "gunicorn/__main__.py": "print('gunicorn (version 25.2.0)')"}.write(t)
	env := map[string]string{"PATH": script(t, "uwsgi", "exit 1"), "PYTHONPATH": module}
	p := mustPlan(t, python.Request{App: "app", Dir: dir, Env: env, Processes: 3, Threads: 2, MaxRequests: 50})
	contains(t, "chose", strings.Join(p.Chose, "\n"), "chose gunicorn 25.2.0: ")
	contains(t, "arguments", strings.Join(p.Args, " "), "--protocol uwsgi", "--workers 3", "--worker-class gthread --threads 2", "--max-requests 50 --max-requests-jitter 5", "--graceful-timeout 5", "app:application")
	p = mustPlan(t, python.Request{App: "app:O.x", Dir: dir, Env: env})
	if p.Server != python.Builtin || !strings.Contains(strings.Join(p.Chose, "\n"), "a dot in its name") {
		t.Errorf("%+v", p)
	}
}

func TestCommandRefused(t *testing.T) {
	t.Parallel()
	dir := files{"app.py": wsgiApp, "plain": ""}.write(t)
	for command, want := range map[string]string{
		"nosuchprogram": "is not in PATH (", "./plain": "or cannot be run", "cd /srv": "is for a shell", "app:application": "write it as app", "": "begins with nothing",
	} {
		if _, err := plan(t, python.Request{Command: strings.Split(command, " "), Dir: dir}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", command, err)
		}
	}
	for _, r := range []python.Request{{Dir: dir}, {Dir: dir, App: "app", Ini: "x.ini"}, {Dir: dir + "/no", App: "app"}, {Dir: dir + "/app.py", App: "app"}} {
		if _, err := plan(t, r); err == nil || !strings.Contains(err.Error(), ": write ") {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestCommandFlags: what is added to uWSGI's and gunicorn's own arguments.
func TestCommandFlags(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := script(t, "gunicorn", "echo 'gunicorn (version 26.1.0)'")
	uwsgi, _, _ := strings.Cut(script(t, "uwsgi", ""), ":")
	path = uwsgi + ":" + path
	for _, c := range []struct {
		command  string
		http     bool
		has, not string
	}{
		{"uwsgi --ini x.ini", false, "--socket fd://3", "LISTEN_PID"},
		{"uwsgi --ini x.ini", true, "--http-socket fd://3", "--socket fd://3 --"},
		{"uwsgi -s /x", false, "--die-on-term", "fd://"},
		{"env A=b uwsgi --http-socket {socket}", true, "--http-socket fd://3", "{socket}"},
		{"gunicorn app", false, "--protocol uwsgi", "--bind"},
		{"gunicorn app", true, "--backlog 4096", "--protocol"},
		{"gunicorn -b:80 app", false, "-b:80 app", "--protocol"},
		{"gunicorn --bind=fd://{fd} app", true, "--bind=fd://3 app", "--backlog"},
	} {
		p := mustPlan(t, python.Request{Command: strings.Split(c.command, " "), Dir: dir, HTTP: c.http, Socket: "/run/x/s", Env: map[string]string{"PATH": path}})
		got := strings.Join(p.Args, " ")
		if !strings.Contains(got, c.has) || strings.Contains(got, c.not) {
			t.Errorf("%s: %s", c.command, got)
		}
		if c.http != (p.Dialect == "") {
			t.Errorf("%s: dialect %q", c.command, p.Dialect)
		}
	}
}

// TestCanceled: an app whose import takes too long.
func TestCanceled(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": "import os, subprocess, sys\nprint('waits', file=sys.stderr)\nsys.stderr.flush()\nchild = subprocess.Popen(['sleep', '1000'])\nopen('started.tmp', 'w').write(str(child.pid))\nos.rename('started.tmp', 'started')\nchild.wait()"}.write(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	failed := make(chan error, 1)
	go func() {
		_, err := python.NewPlan(ctx, python.Request{App: "app", Dir: dir, FD: 3, Script: 4})
		failed <- err
	}()
	started := filepath.Join(dir, "started")
	until(t, "the import", func() bool { _, err := os.Stat(started); return err == nil })
	pid, _ := os.ReadFile(started)
	cancel(errors.New("too slow"))
	err := <-failed
	if err == nil || !strings.Contains(err.Error(), "app is still being imported") || !strings.Contains(err.Error(), "waits") || !strings.Contains(err.Error(), "too slow") {
		t.Error(err)
	}
	until(t, "the end of its child", func() bool {
		b, err := os.ReadFile("/proc/" + string(pid) + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

// TestUser: an app is never imported as somebody else than the workers will be.
func TestUser(t *testing.T) {
	t.Parallel()
	needs(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	dir := files{"app.py": "import os\nraise ValueError('as %d %d %s %s' % (os.getuid(), os.getgid(), os.getgroups(), os.environ['HOME']))"}.write(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := plan(t, python.Request{App: "app", Dir: dir, User: &python.User{UID: 65534, GID: 65533, Groups: []uint32{65532}, Name: "nobody", Home: "/nonexistent"}})
	if err == nil || !strings.Contains(err.Error(), "as 65534 65533 [65532] /nonexistent") {
		t.Error(err)
	}
}

// TestImportThatServes: an app that calls app.run() when it is imported never ends that.
func TestImportThatServes(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": "import sys, time\nprint(' * Running on http://127.0.0.1:5000', file=sys.stderr)\nsys.stderr.flush()\nopen('started', 'w').close()\ntime.sleep(1000)\n"}.write(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		_, err := python.NewPlan(ctx, python.Request{App: "app", Dir: dir, FD: 3, Script: 4})
		failed <- err
	}()
	until(t, "the import", func() bool { _, err := os.Stat(filepath.Join(dir, "started")); return err == nil })
	cancel()
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "app starts a server of its own while it is imported: put that, such as app.run(), below if __name__") {
		t.Error(err)
	}
}

// TestSyntaxErrorHasItsPlace: headgate up waits for an app to be mended when it is told
// where, in lines as Python writes them.
func TestSyntaxErrorHasItsPlace(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": "def app(e, s)\n    pass\n"}.write(t)
	if _, err := plan(t, python.Request{App: "app", Dir: dir}); err == nil || !strings.Contains(err.Error(), "\n  File \"") || !strings.Contains(err.Error(), "app.py:1") {
		t.Error(err)
	}
}
