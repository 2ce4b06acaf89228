package builtin_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/upstream/worker/builtin"
)

func listen(t testing.TB, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestSlots: processes x threads requests run at once, and not one more.
func TestSlots(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 3})
	until(t, "both processes serve", func() bool { return len(s.spread(10)) == 2 })
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	pids := map[string]int{}
	for range 7 {
		all.Go(func() {
			a := s.get("/sleep?0.4")
			mu.Lock()
			defer mu.Unlock()
			pids[a.Body]++
			if took := time.Since(began); took < 400*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < 800*time.Millisecond || took > 2600*time.Millisecond {
		t.Errorf("7 requests with 6 threads took %v", took)
	}
	if len(pids) != 2 {
		t.Errorf("processes and their requests: %v", pids)
	}
}

// TestSpread: with little to do no process has all of it.
func TestSpread(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 4})
	until(t, "both processes serve", func() bool { return len(s.spread(10)) == 2 })
	for pid, n := range s.spread(100) {
		if n < 5 || n > 95 {
			t.Errorf("process %s has served %d requests of 100", pid, n)
		}
	}
}

// spread asks n times, one after the other, and counts the answers of each process.
func (s *server) spread(n int) map[string]int {
	s.t.Helper()
	pids := map[string]int{}
	for range n {
		pids[s.get("/pid").Body]++
	}
	return pids
}

// TestMainThread: one thread is the main one, where an app may use signals.
func TestMainThread(t *testing.T) {
	t.Parallel()
	for threads, want := range map[int]string{1: "True", 2: "False"} {
		if a := start(t, builtin.Options{App: "app", Threads: threads}).get("/thread"); a.Body != want {
			t.Errorf("%d threads: %s", threads, a.Body)
		}
	}
}

func TestIdleCostsNothing(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2, Threads: 8})
	until(t, "two workers", func() bool { return len(s.workers()) == 2 })
	for range 20 {
		s.get("/")
	}
	pids := append(s.workers(), s.cmd.Process.Pid)
	switches := func() (n int) {
		for _, pid := range pids {
			n += wakeups(t, pid)
		}
		return n
	}
	until(t, "a second without a wake-up", func() bool {
		before := switches()
		<-time.After(time.Second)
		return switches() == before
	})
}

// wakeups counts how often threads of a process have waited.
func wakeups(t *testing.T, pid int) (n int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, thread.Name()))
		_, after, _ := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(after, "\n")
		one, _ := strconv.Atoi(strings.TrimSpace(line))
		n += one
	}
	return n
}

// TestInheritance: programs that the app runs have no socket of the server's, and treat
// signals as usual; forks have none but the connection.
func TestInheritance(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		s := start(t, builtin.Options{App: "app", Processes: 2, Threads: threads})
		if a := s.get("/descriptors"); strings.Contains(a.Body, "socket") {
			t.Errorf("a program has %s", a.Body)
		}
		if a := s.get("/fork"); a.Body != "2" {
			t.Errorf("a fork has lost %s descriptors, want 2", a.Body)
		}
		if a := s.get("/terminate"); a.Body != "15" {
			t.Errorf("a fork that gets SIGTERM has the status %s", a.Body)
		}
		checkSignals(t, s.get("/signals").Body)
		if a := s.get("/"); a.Body != "hello" {
			t.Errorf("got %q", a.Body)
		}
	}
}

// checkSignals wants none of the server's signals blocked or ignored.
func checkSignals(t *testing.T, status string) {
	t.Helper()
	for line := range strings.Lines(status) {
		name, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		n, err := strconv.ParseUint(mask, 16, 64)
		const kept = 1<<0 | 1<<1 | 1<<2 | 1<<9 | 1<<14 | 1<<16 | 1<<20 | 1<<21 // HUP INT QUIT USR1 TERM CHLD TTIN TTOU
		if err != nil || n&kept != 0 {
			t.Errorf("a program has %s %s, %v", name, mask, err)
		}
	}
}

// TestMainModule: the app is alone, in its directory; ps tells what it is.
func TestMainModule(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Processes: 2})
	dir := testdata(t)
	a := s.get("/main")
	if want := fmt.Sprintf("(['headgate-builtin'], '%s', '%[1]s', False, [", dir); !strings.HasPrefix(a.Body, want) {
		t.Errorf("got %s, want %s", a.Body, want)
	}
	if n := strings.Count(a.Body, "'"); n > 30 {
		t.Errorf("the process has many descriptors: %s", a.Body)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.workers()[0]))
	if err != nil || !strings.Contains(string(b), "-c\x00\"headgate-builtin\";") {
		t.Errorf("ps shows %q, %v", b, err)
	}
}

// TestOldSyntax: nothing that Python 3.8 does not know.
func TestOldSyntax(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(pythonPath(t), "-c", "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 8))")
	cmd.Stdin = strings.NewReader(string(builtin.Script()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
