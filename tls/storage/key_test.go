package storage_test

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"headgate/tls/storage"
)

func FuzzKey(f *testing.F) {
	for _, s := range []string{"a", "ca/root.key", "..", "a/../b", "/a", "a//b", "locks", "lock/s", ".x", "a/.", "\x00", "ä", "\xff", strings.Repeat("a/", 600)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if storage.CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || path.IsAbs(key) || !filepath.IsLocal(key) {
			t.Errorf("%q leaves its directory", key)
		}
		if key == "locks" || strings.HasPrefix(key, "locks/") || strings.Contains("/"+key, "/.") {
			t.Errorf("%q is reserved", key)
		}
		for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
			if err := storage.CheckKey(dir); err != nil {
				t.Errorf("above a key: %v", err)
			}
		}
	})
}

// FuzzFile stores what is a key and finds it again under that name alone.
func FuzzFile(f *testing.F) {
	for _, s := range []string{"a", "ca/root.key", "a b/c\\d", "ä/*", "locks.d/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if storage.CheckKey(key) != nil {
			return
		}
		s, err := storage.Open(t.Context(), "file:"+t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Store(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
		keys, err := s.List(t.Context(), "", true)
		if err != nil || len(keys) != 1 || keys[0] != key && key != "lost+found" {
			t.Errorf("List = %q, %v, want %q", keys, err, key)
		}
	})
}
