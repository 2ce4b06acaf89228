//go:build linux

package process_test

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/worker/process"
)

func TestLinesOfBothStreams(t *testing.T) {
	p, n := start(t, `printf 'one\r\ntwo\n\n\377\376\n'; echo oops >&2; printf last`)
	if e := wait(t, p); e.Code != 0 || e.Signal != nil || e.Cause != "exited with status 0" {
		t.Errorf("exit %+v, want status 0", e)
	}
	var out, errs []string
	for _, line := range n.all() {
		if rest, ok := strings.CutPrefix(line, "! "); ok {
			errs = append(errs, rest)
		} else {
			out = append(out, line)
		}
	}
	if want := []string{"one", "two", "", "\xff\xfe", "last"}; !cmp.Equal(out, want) {
		t.Errorf("stdout %q, want %q", out, want)
	}
	if want := []string{"oops"}; !cmp.Equal(errs, want) {
		t.Errorf("stderr %q, want %q", errs, want)
	}
	if got := p.Tail(); !cmp.Equal(got, errs) {
		t.Errorf("tail %q, want stderr %q", got, errs)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	for _, test := range []struct {
		name, unit string
		size, want int
	}{
		{"just fits", "a", 8192, 8192},
		{"one too long", "a", 8193, 8192},
		{"far too long", "a", 300_000, 8192},
		{"characters stay whole", "ä", 20_000, 8191},
	} {
		t.Run(test.name, func(t *testing.T) {
			script := `import sys; sys.stdout.buffer.write(("` + test.unit + `" * ` + strconv.Itoa(test.size/len(test.unit)) + `).encode() + b"\r\nnext")`
			p, n := start(t, "", func(s *process.Spec) { s.Path, s.Args = "python3", []string{"-X", "utf8", "-c", script} })
			wait(t, p)
			lines := n.all()
			if len(lines) != 2 || lines[1] != "next" {
				t.Fatalf("%d lines, want 2: the rest of a long line is dropped", len(lines))
			}
			if got := len(lines[0]); got != test.want || !utf8.ValidString(lines[0]) {
				t.Errorf("line of %d bytes, valid %v; want %d", got, utf8.ValidString(lines[0]), test.want)
			}
			if cut := strings.HasSuffix(lines[0], "…"); cut != (test.size > 8192) {
				t.Errorf("line ends %q, of %d bytes", lines[0][len(lines[0])-4:], test.size)
			}
		})
	}
}

func TestTailIsShort(t *testing.T) {
	p, _ := start(t, `i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo line $i; done`)
	wait(t, p)
	if got := p.Tail(); len(got) != 40 || got[0] != "line 61" || got[39] != "line 100" {
		t.Errorf("tail %q, want lines 61 to 100 of stdout", got)
	}
	p, _ = start(t, `i=0; while [ $i -lt 30 ]; do i=$((i+1)); printf '%01000d\n' $i >&2; done`)
	wait(t, p)
	if got := p.Tail(); len(got) != 8 {
		t.Errorf("tail of %d lines of 1000 bytes, want 8", len(got))
	}
}

func TestASlowListenerHoldsTheWriterBack(t *testing.T) {
	goOn := make(chan struct{})
	lines := 0
	p, _ := start(t, `i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf '%0100d\n' $i; done; echo written >&2`, func(s *process.Spec) {
		s.Line = func(stderr bool, line []byte) {
			<-goOn
			if !stderr {
				lines++
			}
		}
	})
	select {
	case <-p.Ended():
		t.Error("300 kB are written though nobody reads")
	case <-time.After(300 * time.Millisecond):
	}
	close(goOn)
	wait(t, p)
	if lines != 3000 {
		t.Errorf("%d lines, want 3000", lines)
	}
}

func TestWhatWasWrittenBeforeTheEndIsReadByASlowListener(t *testing.T) {
	t.Parallel()
	goOn, lines := make(chan struct{}), 0
	p, _ := start(t, `(sleep 1000 &); i=0; while [ $i -lt 300 ]; do i=$((i+1)); printf '%0100d\n' $i; done`, func(s *process.Spec) {
		s.Line = func(bool, []byte) {
			<-goOn
			lines++
		}
	})
	<-p.Ended()
	time.AfterFunc(2500*time.Millisecond, func() { close(goOn) }) // later than the two seconds
	wait(t, p)
	if lines != 300 {
		t.Errorf("%d lines, want 300", lines)
	}
}

func TestDescriptorsStdinAndGroup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	script := `
import os, sys
os.write(3, b"through 3")
print(os.getpid() == os.getpgid(0), os.getpgid(0) != os.getpgid(os.getppid()))
print(repr(sys.stdin.read()), os.get_blocking(1), os.get_blocking(2), os.get_blocking(3))
print(sorted(os.environ), os.getcwd())
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:4])
`
	p, n := start(t, "", func(s *process.Spec) {
		s.Path, s.Args, s.FDs = "python3", []string{"-c", script}, []*os.File{w}
		s.Env, s.Dir = []string{path, "A=1", "A=2", "LC_ALL=C.UTF-8"}, "/usr"
	})
	w.Close()
	wait(t, p)
	got := make([]byte, 20)
	k, _ := r.Read(got)
	if string(got[:k]) != "through 3" {
		t.Errorf("descriptor 3 got %q", got[:k])
	}
	want := []string{"True True", "'' True True True", "['A', 'LC_ALL', 'PATH'] /usr", "[0, 1, 2, 3]"}
	if diff := cmp.Diff(want, n.all()); diff != "" {
		t.Error(diff)
	}
}

func TestHowItEnded(t *testing.T) {
	for _, test := range []struct {
		script, cause string
		code          int
		signal        os.Signal
	}{
		{"exit 3", "exited with status 3", 3, nil},
		{"nosuchcommand", "exited with status 127: a command of it was not found", 127, nil},
		{"/etc/passwd", "exited with status 126: a command of it may not be executed", 126, nil},
		{"sh -c 'kill -TERM $$'; exit $?", "exited with status 143: its command was killed by SIGTERM", 143, nil},
		{"exit 255", "exited with status 255", 255, nil},
		{"kill -USR1 $$", "was killed by SIGUSR1", -1, syscall.SIGUSR1},
		{"ulimit -c 0; kill -SEGV $$", "was killed by SIGSEGV: a crash in native code, of an extension module or of the interpreter", -1, syscall.SIGSEGV},
		{"kill -KILL $$", "was killed by SIGKILL, which the gateway has not sent", -1, syscall.SIGKILL},
		{"kill -42 $$", "was killed by signal 42", -1, syscall.Signal(42)},
	} {
		begun := time.Now()
		p, _ := start(t, test.script)
		e := wait(t, p)
		if e.Code != test.code || e.Signal != test.signal || e.OOM || !strings.HasPrefix(e.Cause, test.cause) {
			t.Errorf("%s: %+v, want %d, %v, %q", test.script, e, test.code, test.signal, test.cause)
		}
		if e.At.Before(begun) || e.At.After(time.Now()) {
			t.Errorf("%s: ended at %v, not between then and now", test.script, e.At)
		}
	}
}

func TestSignal(t *testing.T) {
	p, n := start(t, `trap 'echo got it' USR2; echo ready; while :; do sleep 0.05; done`) // not HUP, which below nohup no shell can trap
	eventually(t, "ready", func() bool { return len(n.all()) > 0 })
	if err := p.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the trap", func() bool { return len(n.all()) > 1 })
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got, want := wait(t, p).Cause, "was killed by SIGTERM, which the gateway has sent"; got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal after the end: %v", err)
	}
	p.Kill() // does nothing
}

func TestKillEndsAllOfIt(t *testing.T) {
	// A child in the group, one in a session of its own with a child, and one that
	// ignores what it can ignore.
	p, n := start(t, `
		sleep 1000 & echo $!
		setsid sh -c 'sleep 1000 & echo $! $$ >&2; wait' 2>&1 &
		sh -c 'trap "" TERM INT HUP; echo $$; sleep 1000' &
		wait`)
	eventually(t, "three lines", func() bool { return len(n.all()) == 3 })
	var pids []int
	for _, f := range strings.Fields(strings.Join(n.all(), " ")) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 4 {
		t.Fatalf("processes %v, want 4", pids)
	}
	p.Kill()
	if got, want := wait(t, p).Cause, "was killed by SIGKILL, which the gateway has sent"; got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
	for _, pid := range pids {
		eventually(t, "the end of "+strconv.Itoa(pid), func() bool { return !running(pid) })
	}
}

func TestADaemonDoesNotKeepDoneOpen(t *testing.T) {
	t.Parallel()
	p, n := start(t, `setsid sleep 1000 & echo $!; exit 5`)
	daemon := n.number(t, 0)
	t.Cleanup(func() { _ = syscall.Kill(daemon, syscall.SIGKILL) })
	begun := time.Now()
	if e := wait(t, p); e.Code != 5 {
		t.Errorf("exit %+v, want status 5", e)
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("done after %v, want 2 s", d)
	}
	if !running(daemon) {
		t.Error("the daemon was killed, but it is not ours any more")
	}
}

func TestTheRestOfTheGroupIsKilled(t *testing.T) {
	t.Parallel()
	p, n := start(t, `sleep 1000 & echo $!; sleep 1000 >/dev/null 2>&1 & echo $!`)
	<-p.Ended()
	wait(t, p)
	for i := range 2 {
		pid := n.number(t, i)
		eventually(t, "the end of the group", func() bool { return !running(pid) })
	}
}

func TestTheGroupMayWriteLastWords(t *testing.T) {
	t.Parallel()
	p, n := start(t, `(sleep 0.3; echo last words) & exit 0`)
	wait(t, p)
	if got := n.all(); len(got) != 1 || got[0] != "last words" {
		t.Errorf("lines %q, want the last words", got)
	}
}

func TestItDiesWithTheGateway(t *testing.T) {
	gateway := again(t, "gateway", "sleep", "1000")
	line, _ := firstLine(t, gateway)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	if !running(pid) {
		t.Fatalf("process %d does not run", pid)
	}
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of what the gateway has started", func() bool { return !running(pid) })
}

func TestWorkersOfUWSGIDieWithTheGateway(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("uwsgi"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// Without --no-orphans workers run for ever: they report that the log is closed,
	// to the log.
	gateway := again(t, "gateway", "uwsgi", "--master", "--no-orphans", "--processes", "3", "--socket", t.TempDir()+"/s")
	line, _ := firstLine(t, gateway)
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	var family []process.Relative
	eventually(t, "a master and three workers", func() bool {
		family = process.Families([]int{pid})[pid]
		return len(family) == 4
	})
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, r := range family {
		eventually(t, "the end of "+strconv.Itoa(r.PID), func() bool { return !running(r.PID) })
	}
}

func TestItOutlivesThreads(t *testing.T) {
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 8 { // threads end, and goroutines are moved from one to another
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					busy.Go(endThread)
					runtime.Gosched()
				}
			}
		})
	}
	var all []*process.Process
	for range 30 {
		p, _ := start(t, "sleep 1000")
		all = append(all, p)
	}
	end := time.After(300 * time.Millisecond)
	for _, p := range all {
		select {
		case <-p.Ended():
			<-p.Done()
			t.Errorf("it has ended with a thread: %s", p.Exit().Cause)
		case <-end:
			end = closed
		}
	}
	close(stop)
	busy.Wait()
}

// closed is a time that is over.
var closed = func() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}()

func TestManyAtOnce(t *testing.T) {
	var all []*process.Process
	for range 50 {
		p, _ := start(t, "echo hello; exit 4")
		all = append(all, p)
	}
	for _, p := range all {
		if e := wait(t, p); e.Code != 4 || len(p.Tail()) != 1 {
			t.Errorf("exit %+v, tail %q", e, p.Tail())
		}
	}
}

func TestRunAs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	u, err := process.LookUpUser("nobody:daemon")
	if err != nil {
		t.Fatal(err)
	}
	p, n := start(t, `id -un; id -gn; echo $HOME $USER $LOGNAME`, func(s *process.Spec) {
		s.User, s.Dir, s.Env = u, "/", append(s.Env, "HOME=/root", "USER=root")
	})
	wait(t, p)
	want := []string{"nobody", "daemon", u.Home + " nobody nobody"}
	if diff := cmp.Diff(want, n.all()); diff != "" {
		t.Error(diff)
	}
	// Changing the user takes back the signal for the parent's end, if in the wrong order.
	p, _ = start(t, "sleep 1000", func(s *process.Spec) { s.User, s.Dir = u, "/" })
	out, err := exec.Command("python3", "-c", "import sys; print(open('/proc/"+strconv.Itoa(p.PID())+"/status').read())").Output()
	if err != nil || !bytes.Contains(out, []byte("Uid:\t"+strconv.Itoa(int(u.UID)))) {
		t.Errorf("status %s, %v", out, err)
	}
}
