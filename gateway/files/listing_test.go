package files_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"headgate/gateway/files"
)

func TestListing(t *testing.T) {
	const evil = `<script>alert(1)</script>&"'`
	evilName := strings.ReplaceAll(evil, "/", "\u2215")
	dir := tree(t, map[string]string{
		"d/b.txt": "12345", "d/a.txt": strings.Repeat("x", 3000), "d/z/x": "", "d/m/x": "", "d/" + evilName: "", "d/.hidden": "", "d/java:x": "", "d/50%?#": "",
		"other/index.html": "index", "e/x": "",
	})
	must(t, os.Symlink("a.txt", filepath.Join(dir, "d/link")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "d/out")))
	must(t, os.Symlink("gone", filepath.Join(dir, "d/broken")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "d/fifo"), 0o644))
	s := open(t, files.Options{Root: dir, Listing: true})
	a := ask(t, s, "GET", "d/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
	page := a.body.String()
	if a.Status != 200 || a.get("Content-Type") != "text/html; charset=utf-8" || a.get("Vary") != "Accept" {
		t.Errorf("got %d %v", a.Status, a.fields)
	}
	last := -1
	for _, want := range []string{`href="../"`, `href="./m/">m/<`, `href="./z/">z/<`, `href="./50%25%3F%23">`, `href="./a.txt">a.txt</a></td><td>1998-03-04 05:06</td><td>2.9 KiB`, `href="./b.txt">b.txt</a></td><td>1998-03-04 05:06</td><td>5 B`, `href="./java:x"`, `href="./link"`} {
		at := strings.Index(page, want)
		if at < last || at < 0 {
			t.Errorf("%s is at %d, behind %d", want, at, last)
		}
		last = at
	}
	for _, not := range []string{"<script", "hidden", "out<", "broken", "fifo"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q: %s", not, page)
		}
	}
	a = ask(t, s, "GET", "d/", "Accept: application/json")
	var names []struct {
		Name, Type, MTime string
		Size              *int64
	}
	if err := json.Unmarshal(a.body.Bytes(), &names); err != nil || len(names) != 8 || names[0].Name != "m" || names[0].Type != "directory" || names[0].Size != nil ||
		names[4].Name != "a.txt" || *names[4].Size != 3000 || names[4].Type != "file" || names[4].MTime != "Wed, 04 Mar 1998 05:06:07 GMT" {
		t.Errorf("JSON: %v %s", err, a.body.String())
	}
	if a := ask(t, s, "HEAD", "d/"); a.Status != 200 || a.length != int64(len(page)) {
		t.Errorf("HEAD: %d, length %d, want %d", a.Status, a.length, len(page))
	}
	if a := ask(t, s, "GET", ""); !strings.Contains(a.body.String(), `href="./d/"`) || strings.Contains(a.body.String(), "../") {
		t.Errorf("the root: %s", a.body.String())
	}
	if a := ask(t, s, "GET", "d"); a.Outcome != files.Redirect {
		t.Errorf("without the slash: %v", a.Outcome)
	}
	if a := ask(t, s, "GET", "other/"); a.body.String() != "index" {
		t.Errorf("a directory with an index: %s", a.body.String())
	}
}

func TestListingPrefers(t *testing.T) {
	s := open(t, files.Options{Root: tree(t, map[string]string{"a": ""}), Listing: true})
	for accept, want := range map[string]string{
		"": "text/html; charset=utf-8", "*/*": "text/html; charset=utf-8", "application/json": "application/json", "application/*": "application/json",
		"text/html;q=0.5, application/json;q=0.9": "application/json", "text/html, application/json": "text/html; charset=utf-8", "*/*;q=0.1, Application/JSON": "application/json",
		"application/json;q=x": "application/json", "text/html;q=0, */*": "application/json",
	} {
		if a := ask(t, s, "GET", "", "Accept: "+accept); a.get("Content-Type") != want {
			t.Errorf("%q: got %s, want %s", accept, a.get("Content-Type"), want)
		}
	}
}

func TestListingIsBounded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "f", "")
	for i := range 10_050 {
		must(t, os.Link(filepath.Join(dir, "f"), filepath.Join(dir, fmt.Sprintf("f%05d", i))))
	}
	s := open(t, files.Options{Root: dir, Listing: true})
	a := ask(t, s, "GET", "")
	if n := strings.Count(a.body.String(), "<tr>"); n != 10_000 || !strings.Contains(a.body.String(), "There is more") {
		t.Errorf("%d names are listed", n)
	}
}
