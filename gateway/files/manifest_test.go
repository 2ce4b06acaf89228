package files_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/files"
)

const forever = "public, max-age=31536000, immutable"

func TestManifests(t *testing.T) {
	for _, row := range []struct {
		name, path, text string
		immutable, not   []string
	}{
		{
			"django", "staticfiles.json",
			`{"paths": {"css/a.css": "css/a.0123456789ab.css", "js/plain.js": "js/plain.js"}, "version": "1.1", "hash": "abc"}`,
			[]string{"css/a.0123456789ab.css"},
			[]string{"css/a.css", "js/plain.js", "a.0123456789ab.css", "staticfiles.json", "1.1"},
		},
		{
			"webpack", "manifest.json",
			`{"main.js": "/static/main.3f2a.js", "main.css": "https://cdn.example.com/static/css/main.77.css?v=1", "index.html": "/index.html", "logo.png": "logo.png"}`,
			[]string{"main.3f2a.js", "css/main.77.css"},
			[]string{"main.js", "index.html", "logo.png", "77.css"},
		},
		{
			"webpack with hashes", "manifest.json",
			`{"main.js": {"src": "main.1.js", "integrity": "sha"}, "entrypoints": {"main": {"assets": {"js": ["x.js"]}}}, "n": 1, "l": []}`,
			[]string{"main.1.js"},
			[]string{"main.js", "x.js"},
		},
		{
			"vite", "dist/.vite/manifest.json",
			`{"src/main.ts": {"file": "assets/main-BRBmoGS9.js", "css": ["assets/main-5UjPuW-k.css"], "assets": ["assets/logo-DEfx4.svg"], "isEntry": true}, "index.html": {"file": "index.html"}}`,
			[]string{"dist/assets/main-BRBmoGS9.js", "dist/assets/main-5UjPuW-k.css", "dist/assets/logo-DEfx4.svg"},
			[]string{"dist/index.html", "dist/assets/main.js"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			contents := map[string]string{row.path: row.text}
			for _, name := range append(row.immutable, row.not...) {
				if name != row.path {
					contents[name] = name
				}
			}
			dir := tree(t, contents)
			s := open(t, files.Options{Root: dir, Manifest: row.path, MaxAge: time.Minute})
			for _, name := range row.immutable {
				if a := ask(t, s, "GET", name); a.get("Cache-Control") != forever {
					t.Errorf("%s: got %v %q", name, a.Outcome, a.get("Cache-Control"))
				}
			}
			for _, name := range row.not {
				if a := ask(t, s, "GET", name); a.get("Cache-Control") != "max-age=60" {
					t.Errorf("%s: got %v %q", name, a.Outcome, a.get("Cache-Control"))
				}
			}
			none := open(t, files.Options{Root: dir, Manifest: row.path, Immutable: -1})
			if a := ask(t, none, "GET", row.immutable[0]); a.fields.Has("Cache-Control") {
				t.Errorf("switched off: got %q", a.get("Cache-Control"))
			}
		})
	}
}

func TestFormOfAnImmutableFileIsImmutable(t *testing.T) {
	dir := tree(t, map[string]string{"m.json": `{"a.js": "a.77.js"}`, "a.77.js": "a", "a.77.js.br": "br"})
	s := open(t, files.Options{Root: dir, Manifest: "m.json", Immutable: time.Hour})
	if a := ask(t, s, "GET", "a.77.js", "Accept-Encoding: br"); a.body.String() != "br" || a.get("Cache-Control") != "public, max-age=3600, immutable" {
		t.Errorf("got %q %v", a.body.String(), a.fields)
	}
}

func TestManifestIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tree(t, map[string]string{"m.json": `{"a.js": "a.1.js"}`, "a.1.js": "1", "a.2.js": "2"})
		var log bytes.Buffer
		s, err := files.New(files.Options{Root: dir, Manifest: "m.json"}, slog.New(slog.NewTextHandler(&log, nil)))
		must(t, err)
		defer s.Close()
		control := func(name string) string { return ask(t, s, "GET", name).get("Cache-Control") }
		if control("a.1.js") != forever || control("a.2.js") != "" {
			t.Errorf("at first: %q, %q", control("a.1.js"), control("a.2.js"))
		}
		write(t, dir, "m.json", `{"a.js": "a.2.js", "b.js": "b.3.js"}`)
		if control("a.2.js") != "" {
			t.Error("it is looked at more often than once a second")
		}
		time.Sleep(1100 * time.Millisecond)
		if control("a.1.js") != "" || control("a.2.js") != forever {
			t.Errorf("after it has changed: %q, %q", control("a.1.js"), control("a.2.js"))
		}
		for _, broken := range []string{`{"a.js": `, `[]`, `null`, ``} {
			write(t, dir, "m.json", broken)
			time.Sleep(1100 * time.Millisecond)
			if control("a.2.js") != forever {
				t.Errorf("the last good one does not hold after %q", broken)
			}
		}
		must(t, os.Remove(filepath.Join(dir, "m.json")))
		time.Sleep(1100 * time.Millisecond)
		if control("a.2.js") != forever {
			t.Error("the last good one does not hold when there is none")
		}
		if n := strings.Count(log.String(), "manifest cannot be read"); n < 2 || n > 5 || !strings.Contains(log.String(), dir) {
			t.Errorf("%d warnings: %s", n, log.String())
		}
		before := log.Len()
		for range 3 {
			time.Sleep(1100 * time.Millisecond)
			control("a.2.js")
		}
		if log.Len() != before {
			t.Errorf("the same is said again: %s", log.String()[before:])
		}
		write(t, dir, "m.json", `{}`)
		time.Sleep(1100 * time.Millisecond)
		if control("a.2.js") != "" {
			t.Error("the repaired one does not count")
		}
	})
}

func TestManifestThatIsNoneAtTheStart(t *testing.T) {
	dir := tree(t, map[string]string{"list.json": "[]", "bad.json": "{", "dir/x": ""})
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644)) // opening it must not wait
	for manifest, want := range map[string]string{
		"list.json": "not an object of JSON: name the file", "bad.json": "not an object of JSON: name the file", "none.json": "no such file or directory: build the files first", "dir": "not a regular file: name", "fifo": "not a regular file: name",
	} {
		s, err := files.New(files.Options{Root: dir, Manifest: manifest}, nil)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", manifest)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), manifest) {
			t.Errorf("%s: %v", manifest, err)
		}
	}
}
