package admin_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"headgate/gateway/admin"
)

func TestSocketIsForItsOwner(t *testing.T) {
	path := socketPath(t)
	old := syscall.Umask(0) // the most that a socket could let in
	defer syscall.Umask(old)
	ln := listen(t, path)
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there after Close: %v", err)
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	path := socketPath(t)
	stop := serveAPI(t, &gateway{}, path)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if err := os.Chmod(dir, 0o755); err != nil { // so that only the socket's mode is in the way
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(path), "ask")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), askEnv+"="+path)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "may not be opened") || !strings.Contains(string(out), "sudo") {
		t.Errorf("another user is told %q", out)
	}
}

// stale leaves a socket at path that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocketIsReplacedOnce(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	const racers = 8
	var wg sync.WaitGroup
	listeners, errs := make([]net.Listener, racers), make([]error, racers)
	for i := range racers {
		wg.Go(func() { listeners[i], errs[i] = admin.ListenSocket(path) })
	}
	wg.Wait()
	won := 0
	for i, ln := range listeners {
		if ln != nil {
			won++
			defer ln.Close()
		} else if !errors.Is(errs[i], admin.ErrRunning) {
			t.Errorf("a loser got %v, want ErrRunning", errs[i])
		}
	}
	if won != 1 {
		t.Errorf("%d got the socket, want 1", won)
	}
}

func TestSecondInstanceLeavesTheFirstAlone(t *testing.T) {
	path := socketPath(t)
	stop := serveAPI(t, &gateway{}, path)
	_, err := admin.ListenSocket(path)
	if !errors.Is(err, admin.ErrRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("ListenSocket = %v, want ErrRunning with the path", err)
	}
	if _, err := admin.NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("the first does not answer any more: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestOtherFilesAreNotRemoved(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("ListenSocket = %v", err)
	}
	target := filepath.Join(filepath.Dir(path), "target")
	stale(t, target)
	link := filepath.Join(filepath.Dir(path), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ListenSocket(link); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("ListenSocket at a symbolic link = %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the file has %q, %v", got, err)
	}
}

func TestPathTooLong(t *testing.T) {
	_, err := admin.ListenSocket("/tmp/" + strings.Repeat("x", 200))
	if err == nil || !strings.Contains(err.Error(), "choose a shorter one") {
		t.Errorf("ListenSocket = %v", err)
	}
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a directory away")
	}
	path := socketPath(t)
	if err := os.Mkdir(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(path), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "belongs to another user (id 65534)") {
		t.Errorf("ListenSocket = %v", err)
	}
}

func TestDefaultSocket(t *testing.T) {
	t.Setenv("TMPDIR", "/tmp")
	for _, row := range []struct {
		uid       int
		dir, want string
	}{
		{0, "/run/user/0", "/run/headgate/admin.sock"},
		{1000, "/run/user/1000", "/run/user/1000/headgate.sock"},
		{1000, "", "/tmp/headgate-1000/admin.sock"},
		{1000, "relative", "/tmp/headgate-1000/admin.sock"},
	} {
		got := admin.DefaultSocket(row.uid, func(string) (string, bool) { return row.dir, row.dir != "" })
		if got != row.want {
			t.Errorf("DefaultSocket(%d, %q) = %s, want %s", row.uid, row.dir, got, row.want)
		}
	}
}
