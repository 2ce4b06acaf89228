package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headgate/gateway/files"
	"headgate/gateway/notation"
)

func TestPrecompressed(t *testing.T) {
	dir := tree(t, map[string]string{
		"app.js": strings.Repeat("x", 100), "app.js.br": "br-coded", "app.js.gz": "gzip-coded", "app.js.zst": "zstd",
		"one.css": "one", "one.css.gz": "one-zip", "none.css": "none",
	})
	for _, memory := range []notation.Size{0, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory})
		for _, row := range []struct{ name, accept, coding, body string }{
			{"app.js", "gzip, deflate, br, zstd", "br", "br-coded"},
			{"app.js", "gzip, zstd", "zstd", "zstd"},
			{"app.js", "gzip", "gzip", "gzip-coded"},
			{"app.js", "br;q=0.1, gzip;q=0.2", "gzip", "gzip-coded"},
			{"app.js", "br;q=0", "", strings.Repeat("x", 100)},
			{"app.js", "", "", strings.Repeat("x", 100)},
			{"one.css", "br, gzip", "gzip", "one-zip"},
			{"one.css", "br", "", "one"},
		} {
			for range 2 {
				a := ask(t, s, "GET", row.name, "Accept-Encoding: "+row.accept)
				if a.body.String() != row.body || a.get("Content-Encoding") != row.coding || a.get("Vary") != "Accept-Encoding" {
					t.Errorf("%s with %q: got %q %v, want %q", row.name, row.accept, a.body.String(), a.fields, row.coding)
				}
				if a.get("ETag") != fmt.Sprintf(`"%x-%x"`, old().Unix(), len(row.body)) {
					t.Errorf("%s with %q: ETag is %s", row.name, row.accept, a.get("ETag"))
				}
				if want := ask(t, s, "GET", row.name).get("Content-Type"); a.get("Content-Type") != want {
					t.Errorf("%s with %q: Content-Type is %q, want %q", row.name, row.accept, a.get("Content-Type"), want)
				}
			}
		}
		if a := ask(t, s, "GET", "none.css", "Accept-Encoding: br"); a.fields.Has("Vary") || a.body.String() != "none" {
			t.Errorf("without forms: %v", a.fields)
		}
		a := ask(t, s, "GET", "app.js.gz", "Accept-Encoding: gzip, br")
		if a.body.String() != "gzip-coded" || a.get("Content-Type") != "application/gzip" || a.fields.Has("Content-Encoding") || a.fields.Has("Vary") {
			t.Errorf("a form that is asked for itself: %q %v", a.body.String(), a.fields)
		}
		a = ask(t, s, "GET", "app.js", "Accept-Encoding: br", "Range: bytes=0-1")
		if a.Status != 206 || a.body.String() != "br" || a.get("Content-Range") != "bytes 0-1/8" || a.get("Content-Encoding") != "br" || a.get("Vary") == "" {
			t.Errorf("a part: %d %q %v", a.Status, a.body.String(), a.fields)
		}
		a = ask(t, s, "GET", "app.js", "Accept-Encoding: br", "If-None-Match: "+a.get("ETag"))
		if a.Status != 304 || a.get("Vary") == "" || a.fields.Has("Content-Encoding") {
			t.Errorf("not modified: %d %v", a.Status, a.fields)
		}
		if a = ask(t, s, "GET", "app.js", "Accept-Encoding: br", "Range: bytes=50-"); a.Status != 416 || a.get("Content-Range") != "bytes */8" || a.get("Vary") == "" {
			t.Errorf("a part that the form does not have: %d %v", a.Status, a.fields)
		}
	}
	off := open(t, files.Options{Root: dir, Precompressed: []string{}})
	if a := ask(t, off, "GET", "app.js", "Accept-Encoding: br"); a.fields.Has("Vary") || a.body.Len() != 100 {
		t.Errorf("switched off: %v", a.fields)
	}
	preferred := open(t, files.Options{Root: dir, Precompressed: []string{"gzip", "br"}})
	if a := ask(t, preferred, "GET", "app.js", "Accept-Encoding: br, gzip, zstd"); a.get("Content-Encoding") != "gzip" {
		t.Errorf("in another order: %v", a.fields)
	}
}

func TestFormThatIsOlderIsNotUsed(t *testing.T) {
	dir := tree(t, map[string]string{"app.js": "new", "app.js.gz": "old form", "app.js.br": "form"})
	must(t, os.Chtimes(filepath.Join(dir, "app.js.gz"), old(), old().Add(-time.Hour)))
	s := open(t, files.Options{Root: dir})
	if a := ask(t, s, "GET", "app.js", "Accept-Encoding: gzip"); a.body.String() != "new" || a.get("Vary") == "" {
		t.Errorf("got %q %v", a.body.String(), a.fields)
	}
	if a := ask(t, s, "GET", "app.js", "Accept-Encoding: gzip, br"); a.body.String() != "form" {
		t.Errorf("got %q %v", a.body.String(), a.fields)
	}
	gzipFirst := open(t, files.Options{Root: dir, Precompressed: []string{"gzip", "br"}})
	if a := ask(t, gzipFirst, "GET", "app.js", "Accept-Encoding: gzip, br"); a.body.String() != "form" {
		t.Errorf("one that is older is chosen before one that is not: got %q %v", a.body.String(), a.fields)
	}
}

// TestTagsOfCodingsDiffer is about RFC 9110, 8.8.3.3: nginx gives forms of one size
// and time one tag.
func TestTagsOfCodingsDiffer(t *testing.T) {
	dir := tree(t, map[string]string{"app.js": "12345", "app.js.gz": "abcde", "app.js.br": "ABCDE", "app.js.zst": "ABCDEF"})
	s := open(t, files.Options{Root: dir})
	seen := make(map[string]string)
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		tag := ask(t, s, "GET", "app.js", "Accept-Encoding: "+coding).get("ETag")
		if other, ok := seen[tag]; ok {
			t.Errorf("%q and %q have the tag %s", coding, other, tag)
		}
		seen[tag] = coding
		if a := ask(t, s, "GET", "app.js", "Accept-Encoding: "+coding, "If-None-Match: "+tag); a.Status != 304 {
			t.Errorf("%q: got %d, want 304", coding, a.Status)
		}
	}
}

func TestLinkOfAFormDoesNotLeadOut(t *testing.T) {
	outside := tree(t, map[string]string{"canary": "canary"})
	dir := tree(t, map[string]string{"app.js": "app"})
	must(t, os.Symlink(filepath.Join(outside, "canary"), filepath.Join(dir, "app.js.gz")))
	s := open(t, files.Options{Root: dir})
	if a := ask(t, s, "GET", "app.js", "Accept-Encoding: gzip"); a.body.String() != "app" {
		t.Errorf("got %q", a.body.String())
	}
}
