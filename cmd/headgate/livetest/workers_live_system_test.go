package livetest_test

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileHas reports whether a file has so many lines, or more.
func fileHas(path string, lines int) bool {
	b, err := os.ReadFile(path)
	return err == nil && bytes.Count(b, []byte("\n")) >= lines
}

// TestWorkersUser: workers run as whom the configuration says, and are no more than
// that.
func TestWorkersUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root starts workers as somebody else")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	secret := filepath.Join(shortDir(t), "secret")
	write(t, secret, "root's own")
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			app, err := os.ReadFile("testdata/workers_live/duty.py")
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "duty.py"), string(app))
			for path, mode := range map[string]os.FileMode{dir: 0o755, filepath.Join(dir, "duty.py"): 0o644} {
				if err := os.Chmod(path, mode); err != nil {
					t.Fatal(err)
				}
			}
			w := startCrew(t, crewConf{app: "duty:application", chdir: dir, server: server, keys: "processes: 2\nuser: nobody\n"})
			w.awaitReady(t)
			got, err := w.get("/who?file=" + url.QueryEscape(secret))
			u, g := nobody.Uid, nobody.Gid
			want := fmt.Sprintf("%s/%[1]s/%[1]s/%[2]s/%[2]s/%[2]s [%[2]s] %s nobody PermissionError", u, g, nobody.HomeDir)
			if err != nil || got != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			for _, pid := range w.processes() {
				if is, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil && fmt.Sprint(is.Sys().(*syscall.Stat_t).Uid) != u {
					t.Errorf("process %d does not run as nobody", pid)
				}
			}
			if _, stderr, code := run(t, headgate, "reload", "--workers", "--socket", w.admin); code != 0 {
				t.Errorf("reload: exit code %d: %s", code, stderr)
			}
			if got, err := w.get("/who?file=" + url.QueryEscape(secret)); err != nil || got != want {
				t.Errorf("after a reload: got %q, %v, want %q", got, err, want)
			}
		})
	}
}

// TestWorkersInit: where the gateway is process 1 it buries whoever has no parent.
func TestWorkersInit(t *testing.T) {
	unshare := need(t, "unshare")
	if _, stderr, code := run(t, unshare, "-pf", "--mount-proc", "true"); code != 0 {
		t.Skipf("no namespace of processes: %s", stderr)
	}
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := newCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 2\n"})
			w.process = start(t, w.dir, accepts("unix", w.admin), unshare, "-pf", "--mount-proc", "--kill-child", headgate, "run", "-c", w.file)
			w.learn(t)
			init := children(w.cmd.Process.Pid)
			if len(init) != 1 {
				t.Fatalf("unshare has the children %v", init)
			}
			t.Cleanup(func() { // unshare does not pass it on
				_ = syscall.Kill(init[0], syscall.SIGTERM)
				<-w.ended
			})
			w.awaitReady(t)
			for range 20 {
				if page, err := w.get("/orphan"); err != nil || page != "left" {
					t.Errorf("%q, %v", page, err)
				}
			}
			adopted := len(children(init[0]))
			if adopted < 10 {
				t.Errorf("process 1 has %d children: the orphans are not its own", adopted)
			}
			if !eventually(3*time.Second, func() bool { return len(children(init[0])) == 1 }) {
				var states []string
				for _, pid := range children(init[0]) {
					b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // it may have ended
					states = append(states, strings.TrimSpace(string(b)))
				}
				t.Errorf("process 1 has, besides a leader: %s", strings.Join(states, "; "))
			}
			if s := w.status(t); s.State != "ready" || s.Restarts != 0 {
				t.Errorf("status %+v", s)
			}
		})
	}
}
