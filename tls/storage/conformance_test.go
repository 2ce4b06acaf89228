package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/go-cmp/cmp"

	"headgate/tls/certs"
	"headgate/tls/storage"
)

var _ certs.Storage = storage.Storage(nil)

var _ certmagic.LockLeaseRenewer = (*storage.Redis)(nil)

// each runs one body over every kind of storage. All that is opened by url is one.
func each(t *testing.T, body func(t *testing.T, url string)) {
	t.Run("file", func(t *testing.T) { body(t, "file:"+filepath.Join(t.TempDir(), "state")) })
	t.Run("redis", func(t *testing.T) { body(t, newServer(t).url("?lease=1s")) })
}

func store(t *testing.T, s storage.Storage, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if err := s.Store(t.Context(), k, []byte("value of "+k)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s, other := open(t, url, nil), open(t, url, nil)
		all := make([]byte, 1<<20)
		for i := range all {
			all[i] = byte(rand.Uint32())
		}
		for key, value := range map[string][]byte{
			"a": {}, "b/c": []byte("x"), "ca/root.key": all, "certificates/acme-v02/wildcard_.example.com/ä b+c@d.json": {0, 255, '\r', '\n'},
		} {
			for _, v := range [][]byte{[]byte("first"), value} {
				if err := s.Store(t.Context(), key, v); err != nil {
					t.Fatal(err)
				}
			}
			for _, r := range []storage.Storage{s, other} {
				if got, err := r.Load(t.Context(), key); err != nil || !bytes.Equal(got, value) {
					t.Errorf("Load(%q) = %d bytes, %v, want %d bytes", key, len(got), err, len(value))
				}
			}
		}
		wantErr(t, s.Store(t.Context(), "big", make([]byte, 1<<20+1)), "1048576")
	})
}

func TestReadersSeeWholeValues(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		value := func(b byte) []byte { return bytes.Repeat([]byte{'a' + b}, 1000+2000*int(b)) }
		if err := s.Store(t.Context(), "d/v", value(0)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for w := range byte(4) {
			wg.Go(func() {
				for range 50 {
					if err := s.Store(t.Context(), "d/v", value(w)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			wg.Go(func() {
				for range 200 {
					got, err := s.Load(t.Context(), "d/v")
					if err != nil || len(got) == 0 || !bytes.Equal(got, value(got[0]-'a')) {
						t.Errorf("torn: %d bytes, %v", len(got), err)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := list(t, s, "", true); !cmp.Equal(got, []string{"d/v"}) {
			t.Errorf("left behind: %q", got)
		}
	})
}

func list(t *testing.T, s storage.Storage, prefix string, recursive bool) []string {
	t.Helper()
	keys, err := s.List(t.Context(), prefix, recursive)
	if err != nil {
		t.Fatalf("List(%q, %v) = %v", prefix, recursive, err)
	}
	return keys
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		if got := list(t, s, "", true); len(got) != 0 {
			t.Errorf("an empty storage lists %q", got)
		}
		if err := s.Lock(t.Context(), "a lock is no key"); err != nil {
			t.Fatal(err)
		}
		store(t, s, "a/b/c", "a/b/d/e", "a/b-x", "a/b.crt", "ab/c", "a/ba", "z")
		for _, c := range []struct {
			prefix    string
			recursive bool
			want      []string
		}{
			{"", false, []string{"a", "ab", "z"}},
			{"", true, []string{"a/b-x", "a/b.crt", "a/b/c", "a/b/d/e", "a/ba", "ab/c", "z"}},
			{"a", false, []string{"a/b", "a/b-x", "a/b.crt", "a/ba"}},
			{"a", true, []string{"a/b-x", "a/b.crt", "a/b/c", "a/b/d/e", "a/ba"}},
			{"a/b", false, []string{"a/b/c", "a/b/d"}},
			{"a/b", true, []string{"a/b/c", "a/b/d/e"}},
			{"z", true, nil},
		} {
			if diff := cmp.Diff(c.want, list(t, s, c.prefix, c.recursive)); diff != "" {
				t.Errorf("List(%q, %v): %s", c.prefix, c.recursive, diff)
			}
		}
	})
}

func TestListIsComplete(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		n := 30
		if _, ok := s.(*storage.Redis); ok {
			n = 1001 // several pages of the index
		}
		var keys, dirs []string
		for i := range n {
			dirs = append(dirs, fmt.Sprintf("d/%04d", i))
			keys = append(keys, dirs[i]+"/x", dirs[i]+"/y")
		}
		store(t, s, keys...)
		if diff := cmp.Diff(keys, list(t, s, "d", true)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(dirs, list(t, s, "d", false)); diff != "" {
			t.Error(diff)
		}
		if err := s.Delete(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
		if got := list(t, s, "", true); len(got) != 0 {
			t.Errorf("%d keys outlive their directory", len(got))
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		store(t, s, "a/b/c", "a/b/d/e", "a/bc", "ab", "x")
		for _, key := range []string{"x", "a/b", "none", "none/at/all", "ab/below/a/value"} {
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("Delete(%q) = %v", key, err)
			}
		}
		if diff := cmp.Diff([]string{"a/bc", "ab"}, list(t, s, "", true)); diff != "" {
			t.Error(diff)
		}
		store(t, s, "a/b", "x/y") // a value where a directory was, and the other way round
		if got, err := s.Load(t.Context(), "a/b"); string(got) != "value of a/b" {
			t.Errorf("Load = %q, %v", got, err)
		}
	})
}

func TestMissing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		store(t, s, "a/b")
		for _, key := range []string{"none", "none/x", "a/none", "a/b/c"} {
			_, load := s.Load(t.Context(), key)
			_, stat := s.Stat(t.Context(), key)
			_, list := s.List(t.Context(), key, true)
			for _, err := range []error{load, stat, list} {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: got %v, want %v", key, err, fs.ErrNotExist)
				}
			}
			if s.Exists(t.Context(), key) {
				t.Errorf("%s exists", key)
			}
		}
		if _, err := s.Load(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load of a directory = %v, want %v", err, fs.ErrNotExist)
		}
	})
}

func TestStat(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		store(t, s, "a/b")
		got, err := s.Stat(t.Context(), "a/b")
		if age := time.Since(got.Modified); err != nil || age < -time.Second || age > time.Minute {
			t.Errorf("modified %v ago, %v", age, err)
		}
		got.Modified = time.Time{}
		if want := (certmagic.KeyInfo{Key: "a/b", Size: int64(len("value of a/b")), IsTerminal: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		dir, err := s.Stat(t.Context(), "a")
		if err != nil || dir.Key != "a" || dir.IsTerminal || dir.Size != 0 {
			t.Errorf("of a directory: %+v, %v", dir, err)
		}
		if !s.Exists(t.Context(), "a") || !s.Exists(t.Context(), "a/b") {
			t.Error("what was stored does not exist")
		}
	})
}

func TestValuesAndDirectoriesExclude(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		store(t, s, "a/b/c")
		for _, key := range []string{"a", "a/b", "a/b/c/d", "a/b/c/d/e"} {
			wantErr(t, s.Store(t.Context(), key, nil), "both a value and keys")
		}
		if diff := cmp.Diff([]string{"a/b/c"}, list(t, s, "", true)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBadKeys(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		for _, key := range []string{"", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\x00b", "locks/x", ".new-1", strings.Repeat("a", 256)} {
			_, load := s.Load(t.Context(), key)
			_, stat := s.Stat(t.Context(), key)
			for _, err := range []error{load, stat, s.Store(t.Context(), key, nil), s.Delete(t.Context(), key)} {
				wantErr(t, err, "key ")
			}
		}
	})
}

func TestEndedContext(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, load := s.Load(ctx, "a")
		_, stat := s.Stat(ctx, "a")
		_, list := s.List(ctx, "a", true)
		_, try := s.TryLock(ctx, "a")
		for i, err := range []error{load, stat, list, try, s.Store(ctx, "a", nil), s.Delete(ctx, "a"), s.Lock(ctx, "a")} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%d: got %v, want %v", i, err, context.Canceled)
			}
		}
	})
}

func TestLocksExcludeGoroutines(t *testing.T) {
	body := func(t *testing.T, s, other storage.Storage, n int) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				if err := count(t.Context(), []storage.Storage{s, other}[i%2], "*.example.com"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got, err := s.Load(t.Context(), "counter"); string(got) != strconv.Itoa(n) {
			t.Errorf("counted to %q, %v, want %d", got, err, n)
		}
	}
	each(t, func(t *testing.T, url string) { body(t, open(t, url, nil), open(t, url, nil), 50) })
	t.Run("lock files that stay", func(t *testing.T) {
		url := "file:" + t.TempDir()
		s, other := open(t, url, nil), open(t, url, nil)
		storage.KeepLockFiles(s)
		storage.KeepLockFiles(other)
		body(t, s, other, 50)
	})
}

func TestLocksExcludeProcesses(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		const processes, times = 4, 5
		var wg sync.WaitGroup
		for range processes {
			wg.Go(func() {
				if out, err := command("count", url, "x", strconv.Itoa(times)).Output(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		wg.Wait()
		if got, err := open(t, url, nil).Load(t.Context(), "counter"); string(got) != strconv.Itoa(processes*times) {
			t.Errorf("counted to %q, %v, want %d", got, err, processes*times)
		}
	})
}

func TestTryLock(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s, other := open(t, url, nil), open(t, url, nil)
		try := func(s storage.Storage, name string, want bool) {
			t.Helper()
			if ok, err := s.TryLock(t.Context(), name); ok != want || err != nil {
				t.Fatalf("TryLock = %v, %v, want %v", ok, err, want)
			}
		}
		try(s, "a", true)
		try(s, "a", false)
		try(other, "a", false)
		try(other, "A", true) // every name is a lock of its own
		if err := s.Unlock(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		try(other, "a", true)
		wantErr(t, s.Unlock(t.Context(), "a"), "not held here")
		for _, name := range []string{"", strings.Repeat("x", 1025)} {
			_, err := s.TryLock(t.Context(), name)
			wantErr(t, err, "name")
		}
		try(s, "../../"+strings.Repeat("ä", 400), true)
	})
}

func TestWaitingForALockEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s, other := open(t, url, nil), open(t, url, nil)
		if err := s.Lock(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		for _, waiter := range []storage.Storage{s, other} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			start := time.Now()
			err := waiter.Lock(ctx, "a")
			cancel()
			if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d > 2*time.Second {
				t.Errorf("after %v: %v", d, err)
			}
		}
		if err := s.Unlock(t.Context(), "a"); err != nil { // nobody who gave up is in the way
			t.Fatal(err)
		}
		for _, next := range []storage.Storage{s, other} {
			if err := errors.Join(next.Lock(t.Context(), "a"), next.Unlock(t.Context(), "a")); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLockOutlivesTheContextItCameFrom(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s, other := open(t, url, nil), open(t, url, nil)
		ctx, cancel := context.WithCancel(t.Context())
		if err := s.Lock(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		cancel()
		wait, stop := context.WithTimeout(t.Context(), 2500*time.Millisecond) // 2.5 leases
		defer stop()
		if err := other.Lock(wait, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a lock that is held was given to another one: %v", err)
		}
		if err := s.Unlock(ctx, "a"); err != nil {
			t.Error(err)
		}
	})
}

func TestKilledHolderIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s := open(t, url, nil)
		kill := holder(t, url, "a")
		if ok, err := s.TryLock(t.Context(), "a"); ok || err != nil {
			t.Fatalf("TryLock = %v, %v while another process holds it", ok, err)
		}
		kill()
		within := 2 * time.Second // a lease of one second, and a poll
		if _, ok := s.(*storage.File); ok {
			within = 500 * time.Millisecond
		}
		start := time.Now()
		if err := s.Lock(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > within {
			t.Errorf("replaced after %v, want %v", d, within)
		}
		if err := s.Unlock(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	})
}

func TestClose(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		s, other := open(t, url, nil), open(t, url, nil)
		if err := s.Lock(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		var waiting atomic.Int32
		waits := make(chan error, 1)
		go func() { waiting.Add(1); waits <- s.Lock(context.Background(), "a") }()
		eventually(t, "somebody waits", func() bool { return waiting.Load() == 1 })
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-waits; !errors.Is(err, fs.ErrClosed) {
			t.Errorf("who waited got %v, want %v", err, fs.ErrClosed)
		}
		if ok, err := other.TryLock(t.Context(), "a"); !ok || err != nil {
			t.Errorf("TryLock = %v, %v after the holder was closed", ok, err)
		}
		_, load := s.Load(t.Context(), "a")
		_, list := s.List(t.Context(), "", true)
		_, try := s.TryLock(t.Context(), "b")
		for i, err := range []error{load, list, try, s.Store(t.Context(), "a", nil), s.Delete(t.Context(), "a"), s.Lock(t.Context(), "b"), s.Unlock(t.Context(), "a")} {
			if !errors.Is(err, fs.ErrClosed) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%d: got %v, want %v", i, err, fs.ErrClosed)
			}
		}
	})
}
