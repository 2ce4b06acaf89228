package files_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headgate/gateway/files"
	"headgate/gateway/wire"
)

// recorder is an answer that is kept.
type recorder struct {
	status  int
	fields  wire.Fields
	length  int64
	body    bytes.Buffer
	heads   int
	writes  int
	onWrite func(p []byte) error // or nil
}

func (a *recorder) WriteHead(status int, f wire.Fields, length int64) {
	a.status, a.fields, a.length = status, slices.Clone(f), length
	a.heads++
	for i := range f { // as a filter that stands in front may do it
		f[i].Value = "spoilt"
	}
}

func (a *recorder) Write(p []byte) (int, error) {
	a.writes++
	if a.onWrite != nil {
		if err := a.onWrite(p); err != nil {
			return 0, err
		}
	}
	return a.body.Write(p)
}

func (a *recorder) Flush() error { return nil }

// sender is a recorder that takes files.
type sender struct {
	recorder
	sent int
}

func (a *sender) SendFile(f *os.File, offset, n int64) (int64, error) {
	a.sent++
	return io.Copy(&a.body, io.NewSectionReader(f, offset, n))
}

// served is what became of a request.
type served struct {
	files.Result
	*recorder
}

func (s served) get(name string) string { return s.fields.Get(name) }

// ask asks s for name. fields are "Name: value".
func ask(t testing.TB, s *files.Server, method, name string, fields ...string) served {
	t.Helper()
	a := &recorder{}
	res := s.Serve(a, request(method, fields...), name)
	check(t, method, res, a)
	return served{res, a}
}

// check checks what holds for every answer.
func check(t testing.TB, method string, res files.Result, a *recorder) {
	t.Helper()
	switch res.Outcome {
	case files.Answered:
		if a.heads != 1 || a.status != res.Status {
			t.Errorf("%d heads were written, status %d, and the result says %d", a.heads, a.status, res.Status)
		}
		if method == "HEAD" || a.status == 304 {
			if a.writes > 0 {
				t.Errorf("%s: a body was written with status %d", method, a.status)
			}
		} else if int64(a.body.Len()) != a.length {
			t.Errorf("%d bytes were written, and %d declared", a.body.Len(), a.length)
		}
	case files.Cut:
		if res.Err == nil || a.heads != 1 {
			t.Errorf("cut with error %v and %d heads", res.Err, a.heads)
		}
	default:
		if a.heads != 0 || a.writes != 0 {
			t.Errorf("%v, but %d heads and %d parts were written", res.Outcome, a.heads, a.writes)
		}
	}
}

func request(method string, fields ...string) *wire.Request {
	r := &wire.Request{Method: method, Target: "/", Host: "example.com", Major: 1, Minor: 1}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Fields.Add(name, value)
	}
	return r
}

// tree writes files, whose names may have directories, into a new directory. They
// were changed at old.
func tree(t testing.TB, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range contents {
		write(t, dir, name, content)
	}
	return dir
}

// old is when the files of tests were changed, unless they say otherwise.
func old() time.Time { return time.Date(1998, 3, 4, 5, 6, 7, 890, time.UTC) }

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o644))
	must(t, os.Chtimes(path, old(), old()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open returns a Server that is closed at the end of the test.
func open(t testing.TB, o files.Options) *files.Server {
	t.Helper()
	s, err := files.New(o, nil)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}
