package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"headgate/upstream/worker/process"
)

// endThread ends the thread that it runs on: a goroutine that keeps it ends.
func endThread() {
	runtime.LockOSThread()
}

// adopt makes us the one who adopts orphans.
func adopt() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
	}
}

func TestFamily(t *testing.T) {
	begun := time.Now()
	p, n := start(t, `sh -c 'echo $$; sleep 1000 & setsid sleep 1000 & wait' & wait`)
	child := n.number(t, 0)
	eventually(t, "a family of four", func() bool { return len(p.Family()) == 4 })
	family := p.Family()
	if family[0].PID != p.PID() || family[0].Parent != os.Getpid() || family[1].PID != child || family[1].Parent != p.PID() {
		t.Errorf("family %+v: not the leader %d of %d and its child %d first", family, p.PID(), os.Getpid(), child)
	}
	for _, r := range family {
		if r.RSS <= 0 || r.PSS != 0 || r.Started.Before(begun.Add(-time.Second)) || r.Started.After(time.Now()) {
			t.Errorf("relative %+v, begun %v", r, begun)
		}
	}
	process.AddPSS(family)
	for _, r := range family {
		if r.PSS <= 0 || r.PSS > r.RSS {
			t.Errorf("relative %+v, want 0 < PSS <= RSS", r)
		}
	}
	all := process.Families([]int{p.PID(), child, 1 << 22})
	if len(all[p.PID()]) != 4 || len(all[child]) != 3 || len(all) != 2 {
		t.Errorf("families %+v, want of 4 and of 3", all)
	}
	p.Kill()
	wait(t, p)
	if got := p.Family(); got != nil {
		t.Errorf("family after the end: %+v", got)
	}
}

func TestFamilyKnowsMemory(t *testing.T) {
	p, n := start(t, "", func(s *process.Spec) {
		s.Path, s.Args = "python3", []string{"-u", "-c", "b = bytearray(64 << 20); print(1); import time; time.sleep(1000)"}
	})
	n.number(t, 0)
	if got := p.Family()[0].RSS; got < 64<<20 || got > 256<<20 {
		t.Errorf("RSS %d, want 64 MiB and an interpreter", got)
	}
}

func TestReapInASubreaper(t *testing.T) {
	t.Parallel()
	testReap(t, again(t, "grave", orphans))
}

func TestReapAsPID1(t *testing.T) {
	t.Parallel()
	self := again(t, "grave", orphans)
	unshare := []string{"--fork", "--pid", "--mount-proc", "--kill-child"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "--user", "--map-root-user")
	}
	if out, err := exec.Command("unshare", append(unshare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no PID namespaces here: %v: %s", err, out)
	}
	cmd := exec.Command("unshare", append(append(unshare, self.Path), self.Args[1:]...)...)
	cmd.Env = self.Env
	testReap(t, cmd)
}

// orphans leaves 20 orphans behind that end, and says so; another one in its group
// keeps its leader a zombie for two seconds, which is nobody's to bury but Start's.
const orphans = `sleep 1000 & i=0; while [ $i -lt 20 ]; do i=$((i+1)); (setsid sh -c 'sleep 0.1' >/dev/null 2>&1 &) ; done; echo begun; exit 9`

// testReap runs a gateway that adopts orphans, and waits until none of them is left,
// dead or alive.
func testReap(t *testing.T, cmd *exec.Cmd) {
	got, rest := firstLine(t, cmd)
	if got != "begun" {
		t.Fatalf("the gateway says %q", got)
	}
	gateway := cmd.Process.Pid
	if strings.HasSuffix(cmd.Path, "unshare") {
		gateway = onlyChild(t, gateway)
	}
	most := 0
	eventually(t, "no zombie", func() bool {
		n := len(children(gateway))
		most = max(most, n)
		return n == 0 && most > 0
	})
	if most < 2 {
		t.Errorf("%d children at most: no orphan has come", most)
	}
	if got := nextLine(t, rest); got != "exited with status 9" {
		t.Errorf("what was started %s, want status 9: it was stolen", got)
	}
	if err := unix.Kill(gateway, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := nextLine(t, rest); got != "reap: <nil>" {
		t.Errorf("%q at the end", got)
	}
}

// children returns the children of a process, dead or alive.
func children(pid int) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []int
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) > 1 && f[1] == strconv.Itoa(pid) {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			found = append(found, n)
		}
	}
	return found
}

// onlyChild returns the child of a process that has one.
func onlyChild(t *testing.T, pid int) int {
	t.Helper()
	all := children(pid)
	if len(all) != 1 {
		t.Fatalf("children of %d: %v, want one", pid, all)
	}
	return all[0]
}

func TestReapOfWhoIsNotPID1(t *testing.T) {
	if err := process.Reap(t.Context()); err != nil {
		t.Error(err)
	}
}

// playStarved starts a process that eats more memory than the cgroup in its argument
// has, and says how it ended.
func playStarved(args []string) {
	if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte("0"), 0); err != nil {
		fmt.Println(err)
		return
	}
	eat := "b = []\nfor i in range(1000): b.append(bytearray(b'x' * (1 << 20)))"
	p, err := process.Start(process.Spec{Path: "python3", Args: []string{"-c", eat}, Env: []string{path}})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-p.Done()
	e := p.Exit()
	fmt.Println(e.OOM, p.OOMKills() > 0, e.Cause)
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	dir := cgroup(t)
	limit := []byte(strconv.Itoa(128 << 20))
	_ = os.WriteFile(filepath.Join(dir, "memory.swap.max"), []byte("0"), 0)
	if os.WriteFile(filepath.Join(dir, "memory.max"), limit, 0) != nil {
		if err := os.WriteFile(filepath.Join(dir, "memory.limit_in_bytes"), limit, 0); err != nil {
			t.Skip(err)
		}
		_ = os.WriteFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), limit, 0)
	}
	cmd := again(t, "starved", dir)
	out, err := cmd.Output()
	if got, want := strings.TrimSpace(string(out)), "true true was killed by SIGKILL: out of memory (limit 128 MiB)"; got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// cgroup makes a cgroup below ours that counts memory, or skips the test.
func cgroup(t *testing.T) string {
	t.Helper()
	ours, err := process.OpenMemory(0)
	if err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(process.MemoryDir(ours), "headgate-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		eventually(t, "the removal of "+dir, func() bool { return os.Remove(dir) == nil })
	})
	return dir
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (a) b) (c) S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0"))
	f.Add([]byte("7 (sh) Z 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, _, ok := process.ParseStat(b)
		if ok && !strings.Contains(string(b), ")") {
			t.Errorf("%q was read", b)
		}
	})
}

func TestStatOfAStrangeName(t *testing.T) {
	parent, group, session, zombie, ok := process.ParseStat([]byte("7 (a) Z 9 (c)) S 1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 0 0"))
	if parent != 1 || group != 2 || session != 3 || zombie || !ok {
		t.Errorf("parent %d, group %d, session %d, zombie %v, %v", parent, group, session, zombie, ok)
	}
}
