package files_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headgate/gateway/files"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

func TestFileIsAnswered(t *testing.T) {
	dir := tree(t, map[string]string{"css/site.css": "body{}"})
	for _, memory := range []notation.Size{0, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory})
		for range 2 { // the second is from memory
			a := ask(t, s, "GET", "css/site.css")
			want := wire.Fields{
				{Name: "Content-Type", Value: "text/css; charset=utf-8"},
				{Name: "Last-Modified", Value: "Wed, 04 Mar 1998 05:06:07 GMT"},
				{Name: "ETag", Value: fmt.Sprintf(`"%x-%x"`, old().Unix(), 6)},
				{Name: "Accept-Ranges", Value: "bytes"},
			}
			if a.Status != 200 || a.body.String() != "body{}" || fmt.Sprint(a.fields) != fmt.Sprint(want) {
				t.Errorf("got %d %q %v, want 200 %v", a.Status, a.body.String(), a.fields, want)
			}
		}
		if a := ask(t, s, "HEAD", "css/site.css"); a.Status != 200 || a.length != 6 {
			t.Errorf("HEAD: got %d and length %d, want 200 and 6", a.Status, a.length)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "get", "PROPFIND"} {
			if a := ask(t, s, method, "css/site.css"); a.Outcome != files.NotAllowed {
				t.Errorf("%s: got %v, want not_allowed", method, a.Outcome)
			}
		}
	}
}

func TestEmptyFile(t *testing.T) {
	dir := tree(t, map[string]string{"empty.txt": ""})
	for _, memory := range []notation.Size{0, notation.Off} {
		s := open(t, files.Options{Root: dir, Memory: memory})
		if a := ask(t, s, "GET", "empty.txt"); a.Status != 200 || a.length != 0 || a.writes != 0 {
			t.Errorf("got %d, length %d, %d writes; want 200, 0, 0", a.Status, a.length, a.writes)
		}
		if a := ask(t, s, "GET", "empty.txt", "Range: bytes=0-0"); a.Status != 200 || a.length != 0 { // as nginx
			t.Errorf("range: got %d %q, want 200", a.Status, a.get("Content-Range"))
		}
	}
}

func TestDirectories(t *testing.T) {
	dir := tree(t, map[string]string{
		"index.html": "root", "docs/index.html": "docs", "old/index.htm": "old", "bare/file.txt": "x",
		"odd/index.html/file": "x",
	})
	s := open(t, files.Options{Root: dir, Index: []string{"index.html", "index.htm"}})
	for _, row := range []struct {
		name string
		want files.Outcome
		body string
	}{
		{"", files.Answered, "root"},
		{"docs/", files.Answered, "docs"},
		{"docs", files.Redirect, ""},
		{"old/", files.Answered, "old"},
		{"old", files.Redirect, ""},
		{"bare/", files.Forbidden, ""},
		{"bare", files.Forbidden, ""},
		{"odd/", files.Forbidden, ""},
		{"docs/index.html", files.Answered, "docs"},
		{"docs/index.html/", files.NotFound, ""},
		{"docs/index.html/x", files.NotFound, ""},
		{"nothing", files.NotFound, ""},
		{"nothing/", files.NotFound, ""},
		{"/", files.NotFound, ""},
	} {
		for range 2 {
			if a := ask(t, s, "GET", row.name); a.Outcome != row.want || a.body.String() != row.body || a.Err != nil {
				t.Errorf("%q: got %v %q %v, want %v %q", row.name, a.Outcome, a.body.String(), a.Err, row.want, row.body)
			}
		}
	}
	if a := ask(t, s, "GET", "docs/"); a.get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the type of an index is %q", a.get("Content-Type"))
	}
	none := open(t, files.Options{Root: dir, Index: []string{}})
	if a := ask(t, none, "GET", "docs/"); a.Outcome != files.Forbidden {
		t.Errorf("without index files: got %v, want forbidden", a.Outcome)
	}
}

func TestHiddenNamesAreNotThere(t *testing.T) {
	dir := tree(t, map[string]string{".env": "secret", ".git/config": "secret", "a/.b/c": "secret", ".well-known/security.txt": "open", "..x": "secret", ".well-known/.x": "secret", ".well-knownx/y": "secret"})
	s := open(t, files.Options{Root: dir})
	for _, name := range []string{".env", ".git/config", ".git", ".git/", "a/.b/c", "..x", ".well-known/.x", ".well-knownx/y"} {
		if a := ask(t, s, "GET", name); a.Outcome != files.NotFound {
			t.Errorf("%s: got %v, want not_found", name, a.Outcome)
		}
	}
	if a := ask(t, s, "GET", ".well-known/security.txt"); a.body.String() != "open" {
		t.Errorf(".well-known: got %v %q", a.Outcome, a.body.String())
	}
	all := open(t, files.Options{Root: dir, Hidden: true})
	for _, name := range []string{".env", ".git/config", "a/.b/c", "..x"} {
		if a := ask(t, all, "GET", name); a.body.String() != "secret" {
			t.Errorf("hidden: %s: got %v", name, a.Outcome)
		}
	}
}

func TestTry(t *testing.T) {
	dir := tree(t, map[string]string{"index.html": "app", "about.html": "about", "docs/index.html": "docs", "pages/x/index.html": "x", "app.js": "js", "bare/f": ""})
	for _, row := range []struct {
		try    []string
		name   string
		want   files.Outcome
		status int
		body   string
	}{
		{[]string{"$path", "/index.html"}, "app.js", files.Answered, 200, "js"},
		{[]string{"$path", "/index.html"}, "some/view", files.Answered, 200, "app"},
		{[]string{"$path", "/index.html"}, "some/view/", files.Answered, 200, "app"},
		{[]string{"$path", "/index.html"}, "bare/", files.Answered, 200, "app"},
		{[]string{"$path", "/index.html"}, "docs", files.Redirect, 0, ""},
		{[]string{"$path", "$path.html"}, "bare/", files.Forbidden, 0, ""},
		{[]string{"$path", "$path.html", "=404"}, "about", files.Answered, 200, "about"},
		{[]string{"$path", "$path.html", "=404"}, "none", files.NotFound, 404, ""},
		{[]string{"$path", "=410"}, "bare/", files.NotFound, 410, ""},
		{[]string{"$path"}, "none", files.NotFound, 0, ""},
		{[]string{"$path", "$path/"}, "docs", files.Redirect, 0, ""},
		{[]string{"$path", "$path/"}, "docs/", files.Answered, 200, "docs"},
		{[]string{"$path/index.html"}, "docs", files.Answered, 200, "docs"},
		{[]string{"$path/index.html"}, "docs/", files.Answered, 200, "docs"},
		{[]string{"$path/index.html"}, "", files.Answered, 200, "app"},
		{[]string{"pages/$path"}, "x", files.Answered, 200, "x"},
		{[]string{"pages/$path"}, "x/", files.Answered, 200, "x"},
		{[]string{"pages/$path", "$path"}, "../secret", files.NotFound, 0, ""},
	} {
		s := open(t, files.Options{Root: dir, Try: row.try})
		for range 2 {
			a := ask(t, s, "GET", row.name)
			if a.Outcome != row.want || a.Status != row.status || a.Result.Status != row.status || a.body.String() != row.body {
				t.Errorf("%v of %q: got %v %d %q, want %v %d %q", row.try, row.name, a.Outcome, a.Result.Status, a.body.String(), row.want, row.status, row.body)
			}
		}
	}
}

func TestTypes(t *testing.T) {
	want := map[string]string{
		"a.html": "text/html; charset=utf-8", "A.HTML": "text/html; charset=utf-8", "a.js": "text/javascript; charset=utf-8", "a.mjs": "text/javascript; charset=utf-8",
		"a.min.css": "text/css; charset=utf-8", "a.wasm": "application/wasm", "a.webp": "image/webp", "a.avif": "image/avif", "a.woff2": "font/woff2",
		"a.js.map": "application/json", "a.webmanifest": "application/manifest+json", "a.svg": "image/svg+xml", "a.txt": "text/plain; charset=utf-8",
		"a.tar.gz": "application/x-own", "b.gz": "application/gzip", "a.zst": "application/zstd", "a.br": "application/octet-stream", "a": "application/octet-stream",
		"a.": "application/octet-stream", "a.unknown": "application/octet-stream", "d.html/a": "application/octet-stream", "a.png": "image/x-own", "html": "application/octet-stream",
	}
	contents := make(map[string]string)
	for name := range want {
		contents[name] = "<html><script>" // not looked at
	}
	s := open(t, files.Options{Root: tree(t, contents), Types: map[string]string{".png": "image/x-own", ".TAR.gz": "application/x-own"}})
	for name, want := range want {
		if a := ask(t, s, "GET", name); a.get("Content-Type") != want {
			t.Errorf("%s: got %q, want %q", name, a.get("Content-Type"), want)
		}
	}
}

func TestFieldsOfTheAppCountMore(t *testing.T) {
	dir := tree(t, map[string]string{"report.pdf": "0123456789", "report.pdf.gz": "zipped"})
	s := open(t, files.Options{Root: dir, MaxAge: 3600e9})
	base := wire.Fields{
		{Name: "content-type", Value: "application/x-report"},
		{Name: "Content-Disposition", Value: "attachment"},
		{Name: "Set-Cookie", Value: "a=1"},
		{Name: "Set-Cookie", Value: "b=2"},
		{Name: "Cache-Control", Value: "private"},
	}
	serve := func(method string, fields ...string) *recorder {
		a := &recorder{}
		res := s.ServeWith(a, request(method, fields...), "report.pdf", base)
		check(t, method, res, a)
		if res.Outcome != files.Answered {
			t.Fatalf("%s: %v, %v", method, res.Outcome, res.Err)
		}
		return a
	}
	for _, method := range []string{"GET", "POST"} {
		a := serve(method)
		cookies := 0
		for range a.fields.Values("Set-Cookie") {
			cookies++
		}
		kind, one := a.fields.Only("Content-Type")
		control, once := a.fields.Only("Cache-Control")
		if a.body.String() != "0123456789" || cookies != 2 || kind != "application/x-report" || !one || control != "private" || !once || a.fields.Get("ETag") == "" {
			t.Errorf("%s: got %q %v", method, a.body.String(), a.fields)
		}
	}
	base = append(base, wire.Field{Name: "vary", Value: "Cookie"})
	if vary := slices.Collect(serve("GET").fields.Values("Vary")); !slices.Equal(vary, []string{"Accept-Encoding", "Cookie"}) {
		t.Errorf("got Vary %q, want that of the file and that of the app", vary)
	}
	if a := serve("HEAD"); a.length != 10 {
		t.Errorf("HEAD: length %d", a.length)
	}
	if a := serve("POST", "If-None-Match: *"); a.status != 304 || a.fields.Get("Set-Cookie") != "a=1" || a.fields.Has("Content-Disposition") {
		t.Errorf("POST is GET: got %d %v, want 304", a.status, a.fields)
	}
	if a := serve("GET", "Range: bytes=2-4"); a.status != 206 || a.body.String() != "234" {
		t.Errorf("range: got %d %q", a.status, a.body.String())
	}
	base[0] = wire.Field{Name: "Accept-Ranges", Value: "none"}
	if a := serve("GET", "Range: bytes=2-4"); a.status != 200 || a.body.Len() != 10 {
		t.Errorf("range of an app that wants none: got %d %q", a.status, a.body.String())
	}
}

// spool returns a directory with a file that is too large for memory.
func spool(t testing.TB) (dir, content string) {
	content = strings.Repeat("0123456789abcdef", 20_000) // 320 kB
	return tree(t, map[string]string{"large.bin": content}), content
}

func TestLargeFiles(t *testing.T) {
	dir, content := spool(t)
	s := open(t, files.Options{Root: dir})
	for range 2 {
		if a := ask(t, s, "GET", "large.bin"); a.body.String() != content {
			t.Errorf("copied: %v, %d bytes", a.Result, a.body.Len())
		}
		a := &sender{}
		if res := s.Serve(a, request("GET"), "large.bin"); res.Status != 200 || a.body.String() != content || a.sent != 1 || a.writes != 0 {
			t.Errorf("sent: %v, %d bytes in %d calls", res, a.body.Len(), a.sent)
		}
		if a := ask(t, s, "GET", "large.bin", "Range: bytes=100000-299999"); a.body.String() != content[100000:300000] {
			t.Errorf("part: %v, %d bytes", a.Result, a.body.Len())
		}
		a = &sender{}
		res := s.Serve(a, request("GET", "Range: bytes=0-9, 100000-299999, -5"), "large.bin")
		if res.Status != 206 || int64(a.body.Len()) != a.length || a.sent != 3 || !strings.Contains(a.body.String(), content[100000:300000]) {
			t.Errorf("parts: %v, %d bytes of %d", res, a.body.Len(), a.length)
		}
		if b := ask(t, s, "GET", "large.bin", "Range: bytes=0-9, 100000-299999, -5"); b.body.Len() != a.body.Len() {
			t.Errorf("parts copied: %d bytes, want %d", b.body.Len(), a.body.Len())
		}
	}
}

func TestHugeFile(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "huge.bin"))
	must(t, err)
	const size = 5 << 30
	must(t, f.Truncate(size))
	_, err = f.WriteAt([]byte("end"), size-3)
	must(t, err)
	must(t, f.Close())
	s := open(t, files.Options{Root: dir})
	if a := ask(t, s, "HEAD", "huge.bin"); a.length != size {
		t.Errorf("HEAD: length %d, want %d", a.length, int64(size))
	}
	if a := ask(t, s, "GET", "huge.bin", "Range: bytes=-4"); a.body.String() != "\x00end" || a.get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", int64(size)-4, int64(size)-1, int64(size)) {
		t.Errorf("got %q %q", a.body.String(), a.get("Content-Range"))
	}
}

// TestFileThatGetsShorterCutsTheAnswer is about an answer that has begun.
func TestFileThatGetsShorterCutsTheAnswer(t *testing.T) {
	for _, name := range []string{"copied", "sent"} {
		t.Run(name, func(t *testing.T) {
			dir, _ := spool(t)
			path := filepath.Join(dir, "large.bin")
			s := open(t, files.Options{Root: dir})
			a := &shrinking{path: path}
			var to wire.Answer = &a.recorder
			if name == "sent" {
				to = a
			} else {
				a.onWrite = func([]byte) error { return os.Truncate(path, 70_000) }
			}
			res := s.Serve(to, request("GET"), "large.bin")
			if res.Outcome != files.Cut || !errors.Is(res.Err, files.ErrShort) || res.Status != 200 {
				t.Errorf("got %v %v, want cut, ErrShort", res.Outcome, res.Err)
			}
			if int64(a.body.Len()) >= a.length {
				t.Errorf("%d bytes were sent of %d", a.body.Len(), a.length)
			}
		})
	}
}

// shrinking takes files, which get shorter at that moment.
type shrinking struct {
	recorder
	path string
}

func (a *shrinking) SendFile(f *os.File, offset, n int64) (int64, error) {
	if err := os.Truncate(a.path, 70_000); err != nil {
		return 0, err
	}
	return io.Copy(&a.body, io.NewSectionReader(f, offset, n))
}

func TestFileThatIsReplacedOrRemovedIsSentWhole(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"renamed": func(path string) error {
			if err := os.WriteFile(path+".new", []byte("new"), 0o644); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"removed": os.Remove,
	} {
		dir, content := spool(t)
		s := open(t, files.Options{Root: dir})
		a := &recorder{}
		a.onWrite = func([]byte) error {
			a.onWrite = nil
			return change(filepath.Join(dir, "large.bin"))
		}
		if res := s.Serve(a, request("GET"), "large.bin"); res.Outcome != files.Answered || a.body.String() != content {
			t.Errorf("%s: got %v %v, %d bytes", name, res.Outcome, res.Err, a.body.Len())
		}
	}
}

func TestFaultOfTheClientCutsTheAnswer(t *testing.T) {
	dir, _ := spool(t)
	write(t, dir, "small.txt", "small")
	s := open(t, files.Options{Root: dir})
	gone := errors.New("the client has gone")
	for _, name := range []string{"large.bin", "small.txt"} {
		for _, fields := range [][]string{nil, {"Range: bytes=0-1,3-4"}, {"Range: bytes=1-2"}} {
			a := &recorder{onWrite: func([]byte) error { return gone }}
			res := s.Serve(a, request("GET", fields...), name)
			if res.Outcome != files.Cut || !errors.Is(res.Err, gone) || res.Status != a.status {
				t.Errorf("%s %v: got %v, want cut by the client", name, fields, res)
			}
		}
	}
	if ask(t, s, "GET", "small.txt").body.String() != "small" {
		t.Error("the next request does not get its answer")
	}
}
