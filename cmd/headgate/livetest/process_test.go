package livetest_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
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
)

// process is a server that a test started. The end of the test stops it.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended

	mu  sync.Mutex // guards the field below
	out bytes.Buffer
}

// Write implements io.Writer for what the server says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// said returns what the server has written so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// need returns the path of a program of the system. Without it the test is
// skipped, or fails in CI.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// start runs a command until the end of the test and waits until ready.
func start(t testing.TB, dir string, ready func() bool, command ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(command[0]), cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1"}
	for _, name := range []string{"TMPDIR", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+v)
		}
	}
	p.cmd.WaitDelay = 2 * time.Second // children that were left hold the pipes
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.stop(syscall.SIGTERM)
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, tail(p.said(), 8000))
		}
	})
	if !eventually(20*time.Second, func() bool { return p.over() || ready() }) || p.over() {
		t.Fatalf("%v did not start:\n%s", command, p.said())
	}
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "...\n" + s[len(s)-n:]
	}
	return s
}

func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// sigterm asks a process to end.
const sigterm = syscall.SIGTERM

func (p *process) signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Errorf("signal to %s: %v", p.name, err)
	}
}

// stop ends the process, by force after a while.
func (p *process) stop(sig os.Signal) {
	_ = p.cmd.Process.Signal(sig) // an error is that it has ended
	select {
	case <-p.ended:
	case <-time.After(40 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// resident returns the memory of a process in MiB: now, and at its most.
func (p *process) resident(t testing.TB) (now, most int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.Atoi(f[1]) // lines without a number are not asked for
		switch f[0] {
		case "VmRSS:":
			now = kib >> 10
		case "VmHWM:":
			most = kib >> 10
		}
	}
	return now, most
}

// eventually polls until ok, and reports whether that was before the timeout.
func eventually(timeout time.Duration, ok func() bool) bool {
	deadline := time.After(timeout)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return ok()
		}
	}
}

// run executes a command that ends by itself and returns what it wrote.
func run(t testing.TB, command ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, time.Second
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// shortDir returns a directory whose path fits a unix socket's address.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// nextPort is tried next by freePort: below the ports that the kernel takes for
// outgoing connections, and somewhere else in each process.
var nextPort atomic.Uint32

func init() { nextPort.Store(10000 + rand.Uint32N(10000)) }

// freePort returns a port that is free on every address, and that nobody else is
// given.
func freePort(t testing.TB) string {
	t.Helper()
	for range 1000 {
		port := fmt.Sprint(nextPort.Add(1))
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func accepts(network, addr string) func() bool {
	return func() bool {
		c, err := net.Dial(network, addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
}
