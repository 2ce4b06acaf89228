//go:build linux

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream/worker/process"
)

// role is the variable that makes the test binary play another program.
const role = "HEADGATE_PROCESS_TEST"

func TestMain(m *testing.M) {
	if play, ok := roles[os.Getenv(role)]; ok {
		play(os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// roles are the programs that the test binary plays.
var roles = map[string]func(args []string){
	"gateway": playGateway,
	"grave":   playGrave,
	"starved": playStarved,
	"user":    playUser,
}

// playGateway starts a process, says its number, and waits to be killed.
func playGateway(args []string) {
	p, err := process.Start(process.Spec{Path: args[0], Args: args[1:], Env: []string{path}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.PID())
	<-p.Done()
}

// again returns a command that runs the test binary in a role.
func again(t *testing.T, as string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stderr = os.Stderr
	return cmd
}

// firstLine starts a command and returns the first line that it writes, and the rest.
// The test kills it in the end.
func firstLine(t *testing.T, cmd *exec.Cmd) (string, *bufio.Reader) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(out)
	return nextLine(t, r), r
}

// nextLine reads a line.
func nextLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("line %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

// eventually waits until ok is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for end := time.After(20 * time.Second); !ok(); {
		select {
		case <-look.C:
		case <-end:
			t.Fatalf("not in 20 s: %s", what)
		}
	}
}

// running tells whether there is a process, and it is no zombie.
func running(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// notes are lines that a process has written.
type notes struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (n *notes) add(stderr bool, line []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if stderr {
		n.lines = append(n.lines, "! "+string(line))
	} else {
		n.lines = append(n.lines, string(line))
	}
}

// all returns the lines so far.
func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.lines...)
}

// number waits for line i and reads it as a number.
func (n *notes) number(t *testing.T, i int) int {
	t.Helper()
	eventually(t, fmt.Sprintf("line %d", i), func() bool { return len(n.all()) > i })
	v, err := strconv.Atoi(n.all()[i])
	if err != nil {
		t.Fatalf("line %d: %v", i, err)
	}
	return v
}

// path is the PATH of the processes that tests start.
const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start starts a shell with a script, which the test kills in the end.
func start(t *testing.T, script string, more ...func(*process.Spec)) (*process.Process, *notes) {
	t.Helper()
	n := new(notes)
	s := process.Spec{Path: "sh", Args: []string{"-c", script}, Env: []string{path}, Line: n.add}
	for _, m := range more {
		m(&s)
	}
	p, err := process.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		wait(t, p)
	})
	return p, n
}

// wait waits for the end of a process.
func wait(t *testing.T, p *process.Process) process.Exit {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatalf("process %d has not ended in 20 s", p.PID())
	}
	return p.Exit()
}

// playGrave is adopted by orphans and buries them. Its arguments are what is to be
// run; it writes what is left of zombies, once a second, until it is killed.
func playGrave(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if os.Getpid() != 1 {
		adopt()
	}
	done := make(chan error)
	go func() { done <- process.Reap(ctx) }()
	for range 5 { // somebody waits for these
		cmd := exec.Command("/bin/sh", "-c", "exit 7")
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
		if err := cmd.Wait(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
			fmt.Println("stolen:", err)
		}
	}
	p, err := process.Start(process.Spec{
		Path: "/bin/sh", Args: append([]string{"-c"}, args...), Env: []string{path},
		Line: func(_ bool, line []byte) { fmt.Println(string(line)) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-p.Done()
	fmt.Println(p.Exit().Cause)
	<-ctx.Done()
	fmt.Println("reap:", <-done)
}

// playUser starts a process as another user, and says what became of it.
func playUser(args []string) {
	u, err := process.LookUpUser(args[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := process.Start(process.Spec{Path: "/bin/true", User: u})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-p.Done()
	fmt.Println(p.Exit().Cause)
}
