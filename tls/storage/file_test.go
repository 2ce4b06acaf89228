package storage_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/tls/storage"
)

// inDir opens a storage in a directory of its own.
func inDir(t *testing.T) (string, storage.Storage) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	return dir, open(t, "file:"+dir, nil)
}

func put(t *testing.T, file string, data []byte, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, data, 0o600), os.Chmod(file, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestFileModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir, s := inDir(t)
	store(t, s, "ca/root.crt", "ca/root.key", "a/b/c")
	if err := s.Lock(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if err == nil && fi.Mode().Perm() != want {
			t.Errorf("%s: mode %04o, want %04o", path, fi.Mode().Perm(), want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestFileReadsTheLayoutOfBefore(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "ca", "root.crt"), []byte("cert"), 0o644)
	put(t, filepath.Join(dir, "ca", "root.key"), []byte("key"), 0o600)
	put(t, filepath.Join(dir, "ca", ".lock"), nil, 0o600)
	s := open(t, "file:"+dir, nil)
	for key, want := range map[string]string{"ca/root.crt": "cert", "ca/root.key": "key"} {
		if got, err := s.Load(t.Context(), key); string(got) != want || err != nil {
			t.Errorf("Load(%q) = %q, %v, want %q", key, got, err, want)
		}
	}
	if diff := cmp.Diff([]string{"ca/root.crt", "ca/root.key"}, list(t, s, "ca", false)); diff != "" {
		t.Error(diff)
	}
}

func TestFileRefusesWhatOthersCanReach(t *testing.T) {
	for _, c := range []struct {
		name, path string
		mode       fs.FileMode
		want       string // "" when it is accepted
	}{
		{"root for everybody", "", 0o777, "chmod o-w"},
		{"root like tmp", "", 0o777 | fs.ModeSticky, ""},
		{"root of a Kubernetes volume", "", 0o775 | fs.ModeSetgid, ""},
		{"directory for the group", "ca", 0o750, "chmod 700"},
		{"directory for others", "ca", 0o701, "chmod 700"},
		{"key for the group", "ca/root.key", 0o640, "chmod 600"},
		{"key for others", "ca/root.key", 0o604, "chmod 600"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, s := inDir(t)
			store(t, s, "ca/root.key")
			if err := os.Chmod(filepath.Join(dir, c.path), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := s.Load(t.Context(), "ca/root.key")
			if c.want == "" {
				if err != nil {
					t.Errorf("Load = %v", err)
				}
				return
			}
			wantErr(t, err, filepath.Join(dir, c.path)+" ", c.want)
		})
	}
}

func TestFileRefusesADirectoryThatSomebodyElseMadeInTmp(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a directory away")
	}
	dir, s := inDir(t)
	store(t, s, "ca/root.key")
	if err := errors.Join(os.Chmod(dir, 0o777|fs.ModeSticky), os.Chown(filepath.Join(dir, "ca"), 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Store(t.Context(), "ca/root.key", nil), "belongs to uid 65534")
}

func TestFileLoadIsBounded(t *testing.T) {
	dir, s := inDir(t)
	put(t, filepath.Join(dir, "a", "big"), make([]byte, 1<<20+1), 0o600)
	_, err := s.Load(t.Context(), "a/big")
	wantErr(t, err, "a/big is larger than 1048576 bytes")
	if err := syscall.Mkfifo(filepath.Join(dir, "a", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(t.Context(), "a/pipe") // would wait for a writer
	wantErr(t, err, "not a regular file")
}

func TestFileLeavesNoLink(t *testing.T) {
	dir, s := inDir(t)
	outside := t.TempDir()
	put(t, filepath.Join(outside, "secret"), []byte("secret"), 0o600)
	store(t, s, "a/b")
	for link, to := range map[string]string{"up": "../../..", "out": outside, "a/file": filepath.Join(outside, "secret"), "a/loop": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"out/secret", "a/file", "up/etc/passwd"} {
		got, err := s.Load(t.Context(), key)
		if err == nil || len(got) > 0 {
			t.Errorf("Load(%q) = %q, %v", key, got, err)
		}
	}
	for _, key := range []string{"out/new", "up/new"} {
		if err := s.Store(t.Context(), key, nil); err == nil {
			t.Errorf("Store(%q) wrote outside", key)
		}
	}
	for _, key := range []string{"out/secret", "out", "a/file"} { // the link may go, not what it means
		_ = s.Delete(t.Context(), key)
	}
	if got, err := os.ReadFile(filepath.Join(outside, "secret")); string(got) != "secret" {
		t.Errorf("outside: %q, %v", got, err)
	}
	if diff := cmp.Diff([]string{"a/b"}, list(t, s, "", true)); diff != "" {
		t.Error(diff)
	}
}

func TestFileLeftoversAreSweptWhenOld(t *testing.T) {
	dir, s := inDir(t)
	store(t, s, "a/b")
	fresh, stale := filepath.Join(dir, "a", ".new-fresh"), filepath.Join(dir, "a", ".new-stale")
	for _, f := range []string{fresh, stale} {
		put(t, f, []byte("half"), 0o600)
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(stale, long, long); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a/b"}, list(t, s, "a", false)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("what somebody may be writing is gone: %v", err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a dead process left stays: %v", err)
	}
}

func TestFileLocksLeaveNoFiles(t *testing.T) {
	dir, s := inDir(t)
	for range 3 {
		if err := errors.Join(s.Lock(t.Context(), "a"), s.Unlock(t.Context(), "a")); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "locks")); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestFileLockAfterItsFileWasRemoved: whoever removes lock files by hand breaks the
// exclusion for now, not for ever.
func TestFileLockAfterItsFileWasRemoved(t *testing.T) {
	dir, s := inDir(t)
	other := open(t, "file:"+dir, nil)
	if err := errors.Join(s.Lock(t.Context(), "a"), os.RemoveAll(filepath.Join(dir, "locks"))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(other.Lock(t.Context(), "a"), s.Unlock(t.Context(), "a")); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.TryLock(t.Context(), "a"); ok || err != nil {
		t.Errorf("TryLock = %v, %v: the first holder gave back the lock of the second", ok, err)
	}
}

// TestFileGoneIsNotEmpty: a volume that is not mounted must not look like one that
// never had a key, or a new account would be made.
func TestFileGoneIsNotEmpty(t *testing.T) {
	dir, s := inDir(t)
	store(t, s, "a/b")
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Load(t.Context(), "a/b")
	wantErr(t, err, "the storage is gone")
	if errors.Is(err, fs.ErrNotExist) {
		t.Error("a storage that is gone looks like a key that is not there")
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "a/b"); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

func TestFileOpenErrors(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), nil, 0o600)
	for _, c := range []struct{ url, want string }{
		{"file:" + filepath.Join(dir, "file"), "set storage to a directory"},
		{"file:" + filepath.Join(dir, "file", "below"), "set storage to a directory"},
		{"file:relative", "not an absolute path"},
		{"file:", "not an absolute path"},
		{"file://host/path", "another machine"},
		{"file:/a\x00b", "NUL"},
	} {
		_, err := storage.Open(t.Context(), c.url, nil)
		wantErr(t, err, c.want)
	}
	for _, url := range []string{"file://" + dir, "file:" + dir + "/", "file:" + dir + "/x/../y"} {
		open(t, url, nil)
	}
}

// TestFileSurvivesKills kills processes that write, and looks at what they left.
func TestFileSurvivesKills(t *testing.T) {
	dir, s := inDir(t)
	for range 5 {
		cmd := command("count", "file:"+dir, "x", "1000000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, _ := s.Load(t.Context(), "counter")
		eventually(t, "it counts", func() bool {
			now, _ := s.Load(t.Context(), "counter")
			return !bytes.Equal(now, before)
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if n, err := s.Load(t.Context(), "counter"); len(n) == 0 || err != nil {
			t.Fatalf("counter is %q, %v", n, err)
		}
		if err := errors.Join(s.Lock(t.Context(), "x"), s.Delete(t.Context(), "inside"), s.Unlock(t.Context(), "x")); err != nil {
			t.Fatal(err)
		}
		for _, key := range list(t, s, "", true) {
			if strings.Contains(key, ".new") {
				t.Errorf("%q is listed", key)
			}
		}
	}
}

// TestFileLockFilesComeAndGo: who locks a file that its holder just removed must
// not believe that it holds the lock.
func TestFileLockFilesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	var inside atomic.Int32
	var wg sync.WaitGroup
	end := time.Now().Add(time.Second)
	for range 8 {
		s := open(t, "file:"+dir, nil)
		wg.Go(func() {
			for time.Now().Before(end) {
				ok, err := s.TryLock(t.Context(), "x")
				if err != nil {
					t.Error(err)
					return
				}
				if !ok {
					continue
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				runtime.Gosched()
				inside.Add(-1)
				if err := s.Unlock(t.Context(), "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
