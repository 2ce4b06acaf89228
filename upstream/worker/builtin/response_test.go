package builtin_test

import (
	"net/http"
	"strings"
	"testing"

	"headgate/upstream/worker/builtin"
)

func TestResponses(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	long := "onetwo" + strings.Repeat("x", 100000)
	for _, c := range []struct {
		method, path string
		status       int
		body, length string // length "": chunked, or without a body
		cut          bool
		said         string
	}{
		{method: "GET", path: "/", status: 200, body: "hello", length: "5"},
		{method: "HEAD", path: "/", status: 200, length: "5"},
		{method: "GET", path: "/list", status: 200, body: "one", length: "3"},
		{method: "HEAD", path: "/list", status: 200},
		{method: "GET", path: "/empty", status: 200, length: "0"},
		{method: "GET", path: "/parts", status: 200, body: long},
		{method: "HEAD", path: "/parts", status: 200},
		{method: "GET", path: "/generator", status: 200, body: "ab"},
		{method: "HEAD", path: "/generator", status: 200},
		{method: "GET", path: "/204", status: 204},
		{method: "GET", path: "/304", status: 304, length: "14"},
		{method: "GET", path: "/write", status: 200, body: "by write, by return"},
		{method: "GET", path: "/more", status: 200, body: "12345", length: "5", said: "more than its Content-Length"},
		{method: "GET", path: "/less", status: 200, body: "123456", length: "9", cut: true, said: "3 bytes less than its Content-Length"},
		{method: "GET", path: "/raise", status: 500, body: "Internal Server Error\n", length: "22", said: "RuntimeError: raised \u2603 at once"},
		{method: "HEAD", path: "/raise", status: 500, length: "22"},
		{method: "GET", path: "/raise-late", status: 200, body: "begun", cut: true, said: "RuntimeError: raised late"},
		{method: "GET", path: "/raise-counted", status: 200, body: "begun", length: "10", cut: true, said: "RuntimeError: raised counted"},
		{method: "GET", path: "/raise-started", status: 500, body: "Internal Server Error\n", length: "22"},
		{method: "GET", path: "/close-raises", status: 200, body: "whole", said: "raised by close"},
		{method: "GET", path: "/exit", status: 500, body: "Internal Server Error\n", length: "22", said: "an app that exits"},
		{method: "GET", path: "/interrupt", status: 500, body: "Internal Server Error\n", length: "22", said: "KeyboardInterrupt"},
		{method: "GET", path: "/exc-info", status: 503, body: "sorry", length: "5"},
		{method: "GET", path: "/exc-info-late", status: 200, body: "begun", cut: true, said: "too late for another head"},
		{method: "GET", path: "/text", status: 500, body: "Internal Server Error\n", length: "22", said: "expected a bytes-like object, str found"},
		{method: "GET", path: "/text-late", status: 200, body: "bytes", cut: true, said: "the app gives a str for its body: give bytes"},
		{method: "GET", path: "/no-start", status: 500, body: "Internal Server Error\n", length: "22", said: "has not called start_response"},
		{method: "GET", path: "/none", status: 500, body: "Internal Server Error\n", length: "22", said: "'NoneType' object is not iterable"},
	} {
		a := s.ask(c.method, c.path, "", "HTTP_X_REQUEST_ID", "id-of"+c.path)
		if a.StatusCode != c.status || a.Body != c.body || a.Header.Get("Content-Length") != c.length || (a.Cut != nil) != c.cut {
			t.Errorf("%s %s: %d %.50q, length %q, cut %v; want %d %.50q, %q, cut %v",
				c.method, c.path, a.StatusCode, a.Body, a.Header.Get("Content-Length"), a.Cut, c.status, c.body, c.length, c.cut)
		}
		chunked := len(a.TransferEncoding) > 0
		if want := c.method == "GET" && c.length == "" && c.status != 204; chunked != want {
			t.Errorf("%s %s: chunked %v, want %v", c.method, c.path, chunked, want)
		}
		if c.said != "" && (!strings.Contains(s.said.String(), c.said) || !strings.Contains(s.said.String(), "request id-of"+c.path+": GET "+c.path)) {
			t.Errorf("%s: it said nothing of %q", c.path, c.said)
		}
	}
}

// TestTraceback: in one piece, of the app's frames alone, with the source.
func TestTraceback(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	s.get("/raise", "HTTP_X_REQUEST_ID", "01HX\x1b[31m\n")
	want := `headgate-builtin: request 01HX\x1b[31m\n: GET /raise: the app has raised RuntimeError
Traceback (most recent call last):
  File "` + testdata(t) + `/app.py", line `
	said := s.said.String()
	if !strings.HasPrefix(said, want) || !strings.Contains(said, "\n    raise RuntimeError(") || strings.Contains(said, "server.py") {
		t.Errorf("it said %q, want %q", said, want)
	}
}

func TestRefusedHeads(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for _, name := range []string{
		"twice", "bytes", "short", "interim", "line", "tuple", "name", "no-name", "colon", "value", "lf", "nul", "wide", "number",
		"name-bytes", "three", "encoding", "length", "lengths",
	} {
		before := len(s.said.String())
		if a := s.get("/refused?" + name); a.StatusCode != 500 || a.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %q", name, a.StatusCode, a.Header)
		}
		if said := s.said.String()[before:]; !strings.Contains(said, "the app has raised") || strings.Contains(said, "KeyError") {
			t.Errorf("%s: it said %q", name, said)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for range 2 {
		a := s.get("/hop")
		if a.Header.Get("X-Latin") != "caf\xe9" || len(a.Header["Set-Cookie"]) != 2 || a.Header.Get("Connection") != "" || a.Body != "ok" {
			t.Errorf("got %q %q", a.Header, a.Body)
		}
	}
	if n := strings.Count(s.said.String(), "the app sends Connection"); n != 1 {
		t.Errorf("it said %d times that Connection is left out", n)
	}
}

func TestEarlyHints(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	const want = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nafter"
	if got := s.raw(request("GET", "/hints")); got != want {
		t.Errorf("got %q", got)
	}
}

func TestFileWrapper(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	part := make([]byte, 1000)
	for i := range part {
		part[i] = byte(i % 251)
	}
	for path, want := range map[string]struct {
		body, length string
		cut          bool
	}{
		"/file":         {body: strings.Repeat(string(part), 2999), length: "2999000"},
		"/file-counted": {body: string(part[10:15]), length: "5"},
		"/file-short":   {body: strings.Repeat(string(part), 3), length: "5000", cut: true},
		"/file-memory":  {body: "in memory"},
		"/file-gzip":    {body: "decompressed"},
		"/file-pipe":    {body: "through a pipe"},
	} {
		a := s.get(path)
		if a.Body != want.body || a.Header.Get("Content-Length") != want.length || (a.Cut != nil) != want.cut {
			t.Errorf("%s: %d bytes %.20q, length %q, cut %v", path, len(a.Body), a.Body, a.Header.Get("Content-Length"), a.Cut)
		}
		if a := s.ask("HEAD", path, ""); a.StatusCode != 200 || a.Body != "" {
			t.Errorf("HEAD %s: %d %q", path, a.StatusCode, a.Body)
		}
	}
}

// TestCloseOnce: close is called once, whatever becomes of the answer.
func TestCloseOnce(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app", Debug: true})
	for _, path := range []string{"/parts", "/304", "/more", "/less", "/raise-late", "/raise-started", "/close-raises", "/text-late"} {
		for _, method := range []string{"GET", "HEAD"} {
			s.ask(method, path, "")
			if a := s.get("/closed"); a.Body != "1" {
				t.Errorf("%s %s: closed %s times", method, path, a.Body)
			}
		}
	}
	said := s.said.String()
	c := s.dial()
	if _, err := c.Write(request("GET", "/big")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if a := s.get("/closed"); a.Body != "1" {
		t.Errorf("after the client has gone: closed %s times", a.Body)
	}
	if more := strings.TrimPrefix(s.said.String(), said); strings.Count(more, "\n") != 1 || !strings.Contains(more, "Broken pipe") {
		t.Errorf("it said %q", more)
	}
}

// TestOneWrite: the head and the first part of the body come together.
func TestOneWrite(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for _, path := range []string{"/", "/list", "/generator"} {
		c := s.dial()
		if _, err := c.Write(request("GET", path)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if _, body, _ := strings.Cut(string(b[:n]), "\r\n\r\n"); body == "" {
			t.Errorf("%s: %q comes alone, %v", path, b[:n], err)
		}
		c.Close()
	}
}

// TestPrinted: at once, whatever is printed.
func TestPrinted(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	if a := s.get("/print"); a.StatusCode != http.StatusOK {
		t.Error(a.StatusCode)
	}
	if got, want := s.said.String(), "printed \u2603 \\udcff\nto errors\nhalf a line\n"; got != want {
		until(t, "what was printed: "+got, func() bool { return s.said.String() == want })
	}
}

func TestMemoryError(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	was := s.get("/pid").Body
	if a := s.get("/memory"); a.StatusCode != 500 {
		t.Error(a.StatusCode)
	}
	until(t, "another worker", func() bool { return s.get("/pid").Body != was })
}
