package storage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// asNobody runs f on a thread whose file accesses are those of another user.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := syscall.Setfsuid(65534)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Skipf("cannot be another user: %v", err)
	}
}

func TestFileOfAnotherUser(t *testing.T) {
	dir, s := inDir(t)
	store(t, s, "a/b")
	key := filepath.Join(dir, "a", "b")
	for p := filepath.Dir(dir); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() != 0 { // the owner without rights
		if err := errors.Join(os.Chmod(key, 0), os.Chmod(filepath.Join(dir, "a"), 0o500)); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(dir, "a"), 0o700)
	} else if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var errs []error
	asNobody(t, func() {
		_, load := s.Load(t.Context(), "a/b")
		errs = []error{load, s.Store(t.Context(), "a/c", nil)}
	})
	for _, err := range errs {
		wantErr(t, err, "permission denied", "give it to uid", dir)
		if errors.Is(err, fs.ErrNotExist) {
			t.Error("what may not be read looks like what is not there")
		}
	}
}

// mounted mounts a small file system of its own.
func mounted(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("cannot mount a file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestFileOnAFullDisk(t *testing.T) {
	dir := mounted(t, "128k")
	s := open(t, "file:"+dir, nil)
	store(t, s, "a/b")
	wantErr(t, s.Store(t.Context(), "a/b", make([]byte, 1<<20)), "no space left", "free some space", filepath.Join(dir, "a", "b"))
	if got, err := s.Load(t.Context(), "a/b"); string(got) != "value of a/b" || err != nil {
		t.Errorf("the old value is %q, %v", got, err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "a")); len(left) != 1 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := s.Store(t.Context(), "a/b", bytes.Repeat([]byte("x"), 1000)); err != nil {
		t.Errorf("what fits: %v", err)
	}
}

func TestFileOnAReadOnlyDisk(t *testing.T) {
	dir := mounted(t, "128k")
	s := open(t, "file:"+dir, nil)
	store(t, s, "a/b")
	if err := syscall.Mount("tmpfs", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("cannot make it read-only: %v", err)
	}
	for _, err := range []error{s.Store(t.Context(), "a/b", nil), s.Store(t.Context(), "c/d", nil), s.Delete(t.Context(), "a/b"), s.Lock(t.Context(), "a")} {
		wantErr(t, err, "read-only file system", "mount a writable volume")
	}
	if got, err := s.Load(t.Context(), "a/b"); string(got) != "value of a/b" || err != nil {
		t.Errorf("Load = %q, %v", got, err)
	}
}
