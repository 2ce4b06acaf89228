package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"headgate/gateway/files"
	"headgate/gateway/notation"
)

// as runs f with the rights of an ordinary user on files.
func as(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
			t.Error(errno)
			return
		}
		f()
	}()
	<-done
}

func TestFileThatMayNotBeRead(t *testing.T) {
	dir := tree(t, map[string]string{"shut.txt": "x", "large.bin": strings.Repeat("x", 100_000), "shut/a.txt": "x", "open.txt": "open"})
	must(t, os.Chmod(filepath.Join(dir, "shut.txt"), 0))
	must(t, os.Chmod(filepath.Join(dir, "large.bin"), 0))
	must(t, os.Chmod(filepath.Join(dir, "shut"), 0))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "shut"), 0o755) })
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		os.Chmod(up, 0o755)
	}
	for _, memory := range []notation.Size{0, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory, Listing: true})
		as(t, func() {
			for _, name := range []string{"shut.txt", "large.bin", "shut/a.txt", "shut/", "shut/none"} {
				for _, method := range []string{"GET", "HEAD"} {
					a := ask(t, s, method, name)
					if a.Outcome != files.Forbidden || !errors.Is(a.Err, fs.ErrPermission) || !strings.Contains(a.Err.Error(), dir) || !strings.Contains(a.Err.Error(), "give the user") {
						t.Errorf("%s %s: got %v %v, want forbidden", method, name, a.Outcome, a.Err)
					}
				}
			}
			if a := ask(t, s, "GET", "open.txt"); a.body.String() != "open" {
				t.Errorf("got %v", a.Result)
			}
		})
	}
}

func TestTooManyOpenFiles(t *testing.T) {
	dir, content := spool(t)
	write(t, dir, "a.txt", "a")
	write(t, dir, "sub/b.txt", "b")
	s := open(t, files.Options{Root: dir})
	ask(t, s, "GET", "a.txt")
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	failed := ask(t, s, "GET", "large.bin")
	nested := ask(t, s, "GET", "sub/b.txt")
	cached := ask(t, s, "GET", "a.txt")
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	for _, a := range []served{failed, nested} {
		if a.Outcome != files.Failed || !errors.Is(a.Err, syscall.EMFILE) || !strings.Contains(a.Err.Error(), "LimitNOFILE") {
			t.Errorf("got %v %v, want failed with the cure", a.Outcome, a.Err)
		}
	}
	if cached.body.String() != "a" {
		t.Errorf("what is in memory: %v %v", cached.Outcome, cached.Err)
	}
	if a := ask(t, s, "GET", "large.bin"); a.body.String() != content {
		t.Errorf("afterwards: %v %v", a.Outcome, a.Err)
	}
}

// TestFileThatIsNotAsLongAsItSays takes files that the kernel makes up.
func TestFileThatIsNotAsLongAsItSays(t *testing.T) {
	const dir, name = "/sys/kernel/mm/transparent_hugepage", "enabled"
	if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
		t.Skip("this machine has no such file")
	}
	for _, memory := range []notation.Size{0, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory})
		if a := ask(t, s, "GET", name); a.Outcome != files.Failed || !strings.Contains(a.Err.Error(), name+" below "+dir) {
			t.Errorf("got %v %v %q", a.Outcome, a.Err, a.body.String())
		}
	}
}

func TestNoFileStaysOpen(t *testing.T) {
	dir, _ := spool(t)
	write(t, dir, "a.txt", "a")
	write(t, dir, "d/x", "")
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(names)
	}
	before := count()
	s, err := files.New(files.Options{Root: dir, Listing: true}, nil)
	must(t, err)
	for _, name := range []string{"large.bin", "a.txt", "d/", "d", "none", "large.bin/x"} {
		for _, field := range []string{"A: b", "Range: bytes=0-0", "Range: bytes=0-1,5-6", "If-Match: \"x\"", "Range: bytes=9999999-", "If-None-Match: *"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				ask(t, s, method, name, field)
			}
			s.Serve(&recorder{onWrite: func([]byte) error { return errors.New("gone") }}, request("GET", field), name)
		}
	}
	must(t, s.Close())
	if after := count(); after != before {
		t.Errorf("%d files were open, and %d are", before, after)
	}
}
