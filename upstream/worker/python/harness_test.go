package python_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream/uwsgi"
	"headgate/upstream/worker/python"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "FLASK_APP", "DJANGO_SETTINGS_MODULE"} {
		os.Unsetenv(name)
	}
	os.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
	os.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	goleak.VerifyTestMain(m)
}

// missing skips the test, where nobody has promised that all is there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// needs skips the test without a Python that can import modules.
func needs(t testing.TB, modules ...string) {
	t.Helper()
	for _, module := range append(modules, "sys") {
		if err := exec.Command("python3", "-c", "import "+module).Run(); err != nil {
			missing(t, "Python's "+module)
		}
	}
}

func needsUWSGI(t testing.TB) {
	t.Helper()
	needs(t)
	if err := exec.Command("uwsgi", "--plugin", "python3", "--python-version").Run(); err != nil {
		missing(t, "uwsgi with its plugin python3")
	}
}

func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// files is a project: contents by path. "" makes an empty file.
type files map[string]string

func (f files) write(t testing.TB) string {
	t.Helper()
	dir := shortDir(t)
	for name, text := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plan plans with what a supervisor would say.
func plan(t testing.TB, r python.Request) (*python.Plan, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if r.Socket == "" {
		r.Socket = "/run/x/s"
	}
	r.FD, r.Script = 3, 4
	if r.Stop == 0 {
		r.Stop = 5 * time.Second
	}
	return python.NewPlan(ctx, r)
}

func mustPlan(t testing.TB, r python.Request) *python.Plan {
	t.Helper()
	p, err := plan(t, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// running is a plan that was carried out.
type running struct {
	t      testing.TB
	socket string
	cmd    *exec.Cmd
	said   string // path of what it says
	ended  chan struct{}
}

// run binds a socket, plans with it, and starts what is planned.
func run(t testing.TB, r python.Request) (*running, *python.Plan) {
	t.Helper()
	dir := shortDir(t)
	r.Socket = filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(r.Socket, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r.Fifo, r.Stats = filepath.Join(dir, "fifo"), filepath.Join(dir, "stats")
	p := mustPlan(t, r)
	one := &running{t: t, socket: r.Socket, said: filepath.Join(dir, "said"), ended: make(chan struct{})}
	one.start(l, p)
	return one, p
}

func (r *running) start(l *net.UnixListener, p *python.Plan) {
	t := r.t
	t.Helper()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	out, err := os.Create(r.said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.cmd = exec.Command(p.Path, p.Args...)
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr, r.cmd.ExtraFiles = p.Dir, p.Env, out, out, []*os.File{socket}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.Script != nil {
		script, err := os.CreateTemp(filepath.Dir(r.said), "script")
		if err != nil {
			t.Fatal(err)
		}
		defer script.Close()
		if _, err := script.Write(p.Script); err != nil {
			t.Fatal(err)
		}
		r.cmd.ExtraFiles = append(r.cmd.ExtraFiles, script)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, cmd := r.ended, r.cmd
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			t.Logf("%s %q said:\n%s", p.Path, p.Args, r.log())
		}
	})
}

func (r *running) log() string {
	b, _ := os.ReadFile(r.said)
	return string(b)
}

// get asks the app for a path.
func (r *running) get(path string, dialect uwsgi.Dialect) (string, error) {
	tr, err := uwsgi.NewTransport(uwsgi.Address{Network: "unix", Addr: r.socket}, uwsgi.Options{ResponseTimeout: 20 * time.Second, Dialect: dialect})
	if err != nil {
		return "", err
	}
	defer tr.CloseIdle()
	resp, err := tr.Do(r.t.Context(), &uwsgi.Request{
		Method: "GET", Proto: "HTTP/1.1", Scheme: "http", Host: "localhost", ServerName: "localhost", ServerPort: "80",
		URI: path, PathInfo: path, Remote: netip.MustParseAddrPort("192.0.2.7:1234"), Header: uwsgi.HeaderFields{},
	})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// answers waits until the app answers a path with text.
func (r *running) answers(path, text string, dialect uwsgi.Dialect) {
	r.t.Helper()
	var got string
	var err error
	until(r.t, "the answer to "+path, func() bool {
		select {
		case <-r.ended:
			r.t.Fatalf("it has ended: %v", r.cmd.ProcessState)
		default:
		}
		got, err = r.get(path, dialect)
		return err == nil
	})
	if got != text {
		r.t.Errorf("%s: got %q, want %q", path, got, text)
	}
}

// stop ends it gracefully, as the plan says, and waits.
func (r *running) stop(p *python.Plan) {
	r.t.Helper()
	if p.Fifo == "" {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
	} else {
		r.order(p, "q")
	}
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		r.t.Fatal("it does not end")
	}
	is, err := os.Stat(r.socket)
	if err != nil || is.Mode().Perm() != 0o600 {
		r.t.Errorf("the path of the socket: %v, %v", is, err)
	}
}

// order writes to a FIFO, once somebody reads it.
func (r *running) order(p *python.Plan, word string) {
	r.t.Helper()
	until(r.t, "FIFO", func() bool {
		f, err := os.OpenFile(p.Fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if errors.Is(err, syscall.ENXIO) || errors.Is(err, os.ErrNotExist) {
			return false
		}
		if err != nil {
			r.t.Fatal(err)
		}
		defer f.Close()
		_, err = f.WriteString(word)
		return err == nil
	})
}

// until waits for something to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: no %q in %s", what, part, text)
		}
	}
}
