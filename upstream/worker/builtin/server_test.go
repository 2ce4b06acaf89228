package builtin_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/worker/builtin"
)

// server is a running server, started as a supervisor does it.
type server struct {
	t       testing.TB
	path    string // of its socket, which the test holds open too
	cmd     *exec.Cmd
	said    *output
	ended   chan struct{} // closed after the master has ended
	replace []string      // of the script
	env     []string
}

// output is a file in which processes write: what they have written is there at once.
type output struct{ f *os.File }

func newOutput(t testing.TB) *output {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(shortDir(t), "output"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &output{f}
}

func (o *output) String() string {
	b, _ := os.ReadFile(o.f.Name())
	return string(b)
}

func pythonPath(t testing.TB) string {
	t.Helper()
	path := "/usr/bin/python3"
	if named := os.Getenv("HEADGATE_TEST_PYTHON"); named != "" {
		path = named
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, path)
	}
	return path
}

// missing skips the test, where nobody has promised that all is there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hgb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func testdata(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs the server and returns when a worker answers. The end of the test ends it.
func start(t testing.TB, o builtin.Options) *server {
	t.Helper()
	s := prepare(t)
	s.run(o)
	s.ready()
	return s
}

// prepare binds a socket.
func prepare(t testing.TB) *server {
	t.Helper()
	return &server{t: t, path: filepath.Join(shortDir(t), "s")}
}

func (s *server) run(o builtin.Options) {
	s.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = l.Close() })
	s.runOn(l, o)
}

// runOn starts the server with a socket that listens.
func (s *server) runOn(l interface{ File() (*os.File, error) }, o builtin.Options) {
	t := s.t
	t.Helper()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	script := s.script()
	defer script.Close()
	o.FD = 3
	if o.Chdir == "" {
		o.Chdir = testdata(t)
	}
	if o.Stop == 0 {
		o.Stop = 5 * time.Second
	}
	s.said, s.ended = newOutput(t), make(chan struct{})
	s.cmd = exec.Command(pythonPath(t), builtin.Command(4, o)...)
	s.cmd.Env = append([]string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}, s.env...)
	s.cmd.Dir = "/"
	s.cmd.Stdout, s.cmd.Stderr = s.said.f, s.said.f
	s.cmd.ExtraFiles = []*os.File{socket, script}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, cmd, said := s.ended, s.cmd, s.said
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the status is asked for where it matters
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			t.Logf("the server said:\n%s", said)
		}
	})
}

// script is a file without a name.
func (s *server) script() *os.File {
	s.t.Helper()
	f, err := os.CreateTemp("", "hgb")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = os.Remove(f.Name())
	text := strings.NewReplacer(s.replace...).Replace(string(builtin.Script()))
	if len(s.replace) > 0 && text == string(builtin.Script()) {
		s.t.Fatalf("the script has no %q", s.replace[0])
	}
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
	return f
}

// ready waits until a worker answers a ping.
func (s *server) ready() {
	s.t.Helper()
	if got := s.raw(packet(100)); got != "\x64\x00\x00\x01" {
		s.t.Fatalf("a ping is answered with %q; the server said:\n%s", got, s.said)
	}
}

func (s *server) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// raw sends bytes and returns everything that is answered.
func (s *server) raw(send []byte) string {
	s.t.Helper()
	c := s.dial()
	defer c.Close()
	_, _ = c.Write(send) // a server that does not want it has closed
	got, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		s.t.Fatalf("%v after %q; the server said:\n%s", err, got, s.said)
	}
	return string(got)
}

// packet is a whole packet with these variables, names and values in turns.
func packet(modifier1 byte, vars ...string) []byte {
	var block []byte
	for i := 0; i < len(vars); i += 2 {
		block = uwsgi.AppendVar(block, vars[i], vars[i+1])
	}
	return append(uwsgi.AppendHeader(nil, modifier1, len(block), 0), block...)
}

// request is a packet for a path, with more variables.
func request(method, target string, more ...string) []byte {
	path, query, _ := strings.Cut(target, "?")
	return packet(0, append([]string{
		"REQUEST_METHOD", method, "PATH_INFO", path, "QUERY_STRING", query, "SCRIPT_NAME", "", "SERVER_NAME", "x", "SERVER_PORT", "80",
		"SERVER_PROTOCOL", "HTTP/1.1", "REMOTE_ADDR", "192.0.2.1", "HTTP_HOST", "x",
	}, more...)...)
}

// answer is a parsed one.
type answer struct {
	*http.Response
	Body string
	Cut  error // why the body is not whole
}

func (s *server) get(target string, more ...string) answer {
	s.t.Helper()
	return s.ask("GET", target, "", more...)
}

func (s *server) ask(method, target, body string, more ...string) answer {
	s.t.Helper()
	if body != "" {
		more = append(more, "CONTENT_LENGTH", strconv.Itoa(len(body)))
	}
	return parse(s.t, method, s.raw(append(request(method, target, more...), body...)))
}

func parse(t testing.TB, method, text string) answer {
	t.Helper()
	a, err := read(method, strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return a
}

func read(method string, r io.Reader) (answer, error) {
	b := bufio.NewReader(r)
	resp, err := http.ReadResponse(b, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	body, cut := io.ReadAll(resp.Body)
	if rest, _ := io.ReadAll(b); len(rest) > 0 {
		return answer{}, fmt.Errorf("%q behind the response", rest)
	}
	return answer{resp, string(body), cut}, nil
}

func (s *server) transport() *uwsgi.Transport {
	s.t.Helper()
	tr, err := uwsgi.NewTransport(uwsgi.Address{Network: "unix", Addr: s.path}, uwsgi.Options{ResponseTimeout: 10 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(tr.CloseIdle)
	return tr
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// status waits for the end of the master.
func (s *server) status(within time.Duration) int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(within):
		s.t.Fatalf("it has not ended within %v; it said:\n%s", within, s.said)
	}
	return s.cmd.ProcessState.ExitCode()
}

// until waits for something to become true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// workers are the processes of a master, dead ones that nobody has waited for included.
func (s *server) workers() []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.cmd.Process.Pid))
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(b)) {
		pid, _ := strconv.Atoi(field)
		pids = append(pids, pid)
	}
	return pids
}

// gone reports whether a process has ended.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}
