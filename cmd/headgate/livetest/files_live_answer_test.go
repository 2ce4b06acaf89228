package livetest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// fileAsker asks one server, over a connection that it keeps.
type fileAsker struct {
	name, http, https string
	client            *http.Client // over HTTP/2, if it is not nil

	conn  net.Conn
	r     *bufio.Reader
	etags map[string]string
}

func newFileAsker(t *testing.T, name, addr string) *fileAsker {
	a := &fileAsker{name: name, http: addr, etags: map[string]string{}}
	t.Cleanup(func() {
		if a.conn != nil {
			_ = a.conn.Close()
		}
	})
	return a
}

// fileAnswer is what is compared of an answer.
type fileAnswer struct {
	status int
	header http.Header
	body   []byte
	parts  []filePart // of multipart/byteranges
}

type filePart struct{ contentType, contentRange, body string }

// etag returns the validator of a target, plain or compressed.
func (a *fileAsker) etag(t testing.TB, target, coding string) string {
	key := target + " " + coding
	if _, ok := a.etags[key]; !ok {
		a.etags[key] = `"none"` // of what is missing
		answer := a.ask(t, fileCase{"HEAD", target, nil}.with("Accept-Encoding", coding))
		if e := answer.header.Get("Etag"); e != "" {
			a.etags[key] = e
		}
	}
	return a.etags[key]
}

// ask sends the case and reads the answer.
func (a *fileAsker) ask(t testing.TB, c fileCase) fileAnswer {
	t.Helper()
	lines := make([]string, len(c.header))
	for i, line := range c.header {
		if strings.Contains(line, "{etag}") {
			line = strings.ReplaceAll(line, "{etag}", a.etag(t, c.target, ""))
		}
		if strings.Contains(line, "{ETAG}") {
			line = strings.ReplaceAll(line, "{ETAG}", a.etag(t, c.target, "gzip"))
		}
		lines[i] = line
	}
	c.header = lines
	resp, err := a.roundTrip(t, c)
	if err != nil {
		t.Fatalf("%s: %s: %v", a.name, c, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %s: %v", a.name, c, err)
	}
	answer := fileAnswer{status: resp.StatusCode, header: resp.Header, body: body}
	answer.readParts(t, a.name, c)
	return answer
}

func (a *fileAsker) roundTrip(t testing.TB, c fileCase) (*http.Response, error) {
	if a.client != nil {
		u, err := url.Parse("https://" + host + c.target)
		if err != nil {
			return nil, err
		}
		r := (&http.Request{Method: c.method, URL: u, Header: http.Header{}, Host: host}).WithContext(t.Context())
		for _, line := range c.header {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Add(name, value)
		}
		return a.client.Transport.RoundTrip(r)
	}
	var resp *http.Response
	err := errors.New("no connection")
	for range 2 { // a connection that was kept may be over
		if resp, err = a.raw(c); err == nil {
			return resp, nil
		}
		if a.conn != nil {
			_ = a.conn.Close()
			a.conn = nil
		}
	}
	return nil, err
}

// raw sends exactly the bytes of the case.
func (a *fileAsker) raw(c fileCase) (*http.Response, error) {
	if a.conn == nil {
		conn, err := net.Dial("tcp", a.http)
		if err != nil {
			return nil, err
		}
		a.conn, a.r = conn, bufio.NewReader(conn)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", c.method, c.target, host)
	for _, line := range c.header {
		b.WriteString(line + "\r\n")
	}
	if c.method == "POST" || c.method == "PUT" || c.method == "PATCH" {
		b.WriteString("Content-Length: 0\r\n")
	}
	b.WriteString("\r\n")
	if err := a.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := a.conn.Write(b.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(a.r, &http.Request{Method: c.method})
	if err == nil && resp.Close {
		whole, err := io.ReadAll(resp.Body)
		_ = a.conn.Close()
		a.conn = nil
		resp.Body = io.NopCloser(bytes.NewReader(whole))
		return resp, err
	}
	return resp, err
}

func (f *fileAnswer) readParts(t testing.TB, name string, c fileCase) {
	kind, params, _ := mime.ParseMediaType(f.header.Get("Content-Type"))
	if kind != "multipart/byteranges" || c.method == "HEAD" {
		return
	}
	r := multipart.NewReader(bytes.NewReader(f.body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Errorf("%s: %s: part %d: %v", name, c, len(f.parts), err)
			return
		}
		body, err := io.ReadAll(p)
		if err != nil {
			t.Errorf("%s: %s: part %d: %v", name, c, len(f.parts), err)
			return
		}
		f.parts = append(f.parts, filePart{mediaType(p.Header.Get("Content-Type")), p.Header.Get("Content-Range"), string(body)})
	}
}

// mediaType is a Content-Type apart from its parameters.
func mediaType(s string) string {
	kind, _, _ := strings.Cut(s, ";")
	return strings.TrimSpace(kind)
}

// aspects are what is compared, as text, by name. What is not compared of an answer
// is not in it: an error's page is each server's own.
func (f fileAnswer) aspects() map[string]string {
	out := map[string]string{"status": fmt.Sprint(f.status)}
	say := func(names ...string) {
		for _, name := range names {
			out[name] = strings.Join(f.header.Values(name), ", ")
		}
	}
	switch f.status {
	case 200, 206, 304:
		say("Last-Modified", "Accept-Ranges", "Content-Encoding", "Vary", "Content-Range", "Cache-Control")
		out["Etag"] = f.etagKind()
	case 416:
		say("Content-Range")
	case 301, 302, 307, 308:
		if u, err := url.Parse(f.header.Get("Location")); err == nil {
			out["Location"] = u.RequestURI()
		}
	}
	if f.status != 200 && f.status != 206 {
		return out
	}
	kind := mediaType(f.header.Get("Content-Type"))
	out["Content-Type"] = kind
	if kind == "multipart/byteranges" {
		out["parts"] = fmt.Sprintf("%q", f.parts) // boundaries, and so lengths, differ
		return out
	}
	say("Content-Length")
	out["body"] = string(f.body)
	return out
}

func (f fileAnswer) etagKind() string {
	e := f.header.Get("Etag")
	switch {
	case e == "":
		return ""
	case strings.HasPrefix(e, "W/"):
		return "weak"
	}
	return "strong"
}
