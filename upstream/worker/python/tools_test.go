package python_test

import (
	"os"
	"path/filepath"
	"testing"
)

// add writes more to a file.
func add(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// moved puts a project into a directory of another, and returns where it is now.
func moved(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(shortDir(t), "backend")
	if err := os.Rename(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}
