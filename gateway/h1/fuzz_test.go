package h1_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"headgate/gateway/h1"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// script is a connection on which b comes in pieces, and then the end.
type script struct {
	net.Conn
	b    []byte
	step int
	out  bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)    { return s.out.Write(p) }
func (*script) Close() error                     { return nil }
func (*script) SetReadDeadline(time.Time) error  { return nil }
func (*script) SetWriteDeadline(time.Time) error { return nil }
func (*script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*script) LocalAddr() net.Addr              { return &net.TCPAddr{} }

// heard is what an engine has understood of one request.
type heard struct {
	method, target, host string
	minor                int
	length               int64
	fields               []wire.Field
	refused              bool
	body                 []byte
	err                  error
}

// hear gives b to an engine, in pieces.
func hear(b []byte, step int) (all []heard, answers []byte) {
	s := h1.NewServer(nil)
	s.Configure(h1.Settings{HeadBytes: 1 << 20, Fields: 1000})
	c := &script{b: b, step: step}
	sock := socket.New(c, nil)
	s.ServeConn(sock, sock, nil, handler(func(s wire.Stream, r *wire.Request) {
		h := heard{method: r.Method, target: r.Target, host: r.Host, minor: r.Minor, length: r.ContentLength, refused: r.Refusal != nil}
		h.fields = append(h.fields, r.Fields...)
		if r.Refusal == nil {
			h.body, h.err = io.ReadAll(s)
		}
		all = append(all, h)
		say(s, 200, "")
	}))
	return all, c.out.Bytes()
}

// FuzzHead holds the parser against that of net/http: what we serve it takes for
// the same request. (Not compared: percent-encoding, which the gateway judges;
// the host of a CONNECT; Expect.)
func FuzzHead(f *testing.F) {
	f.Add([]byte(request), 1)
	f.Add([]byte(get("/a%20b?c=d")), 5)
	f.Add([]byte("POST http://a:80/x HTTP/1.1\r\nHost: a:80\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n"), 7)
	f.Add([]byte("\r\n\r\nPOST / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n"), 100)
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: \xc3\xa4\r\nConnection: a, close\r\nX:\t y \t\r\n\r\n"), 3)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n"), 1000)
	f.Add([]byte("GET / HTTP/1.1\nHost: a\n\n"), 1000)
	f.Add([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 1)
	f.Add([]byte("PRI * HTTP/2.0\r\n0"), 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if len(b) > 8<<10 {
			t.Skip()
		}
		all, _ := hear(b, max(step, 1))
		whole, _ := hear(b, 1<<20)
		if len(all) != len(whole) {
			t.Fatalf("%d requests in pieces of %d, %d at once", len(all), step, len(whole))
		}
		r := bufio.NewReader(bytes.NewReader(b))
		for i, h := range all {
			if w := whole[i]; w.refused != h.refused || !bytes.Equal(w.body, h.body) || (w.err == nil) != (h.err == nil) || !h.refused && w.target != h.target {
				t.Fatalf("in pieces %+v, at once %+v", h, w)
			}
			for next, err := r.Peek(2); err == nil && string(next) == "\r\n"; next, err = r.Peek(2) {
				_, _ = r.Discard(2)
			}
			if h.refused || h.method == http.MethodConnect {
				return
			}
			req, err := http.ReadRequest(r)
			if err != nil {
				if strings.Contains(err.Error(), "invalid URL escape") || strings.Contains(err.Error(), "parse ") {
					return
				}
				t.Fatalf("net/http refuses %+v: %v", h, err)
			}
			compare(t, h, req)
			if h.err != nil {
				return
			}
		}
	})
}

func compare(t *testing.T, h heard, req *http.Request) {
	t.Helper()
	if h.method != req.Method || h.host != req.Host || h.minor != min(req.ProtoMinor, 1) || h.length != req.ContentLength || !strings.HasSuffix(req.RequestURI, strings.TrimPrefix(h.target, "/")) {
		t.Fatalf("we have %+v, net/http %+v", h, req)
	}
	n := make(map[string]int)
	for _, f := range h.fields {
		name := http.CanonicalHeaderKey(f.Name)
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		}
		if values := req.Header[name]; len(values) <= n[name] || values[n[name]] != f.Value {
			t.Fatalf("we have %q: %q, net/http %q", f.Name, f.Value, values)
		}
		n[name]++
	}
	body, err := io.ReadAll(req.Body)
	if h.err == nil && (err != nil || !bytes.Equal(body, h.body)) {
		t.Fatalf("we have the body %q, net/http %q, %v", h.body, body, err)
	}
}

// FuzzChunks holds the decoder against that of net/http, whatever the sizes of
// what is read at once.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\n"), 1)
	f.Add([]byte("a;x=\"y\"\r\n0123456789\r\n00\r\nX-A: b\r\n\r\nGET"), 4)
	f.Add([]byte("3\nabc\r\n0\r\n\r\n"), 3)
	f.Add([]byte("FFFFFFFFFFFFFFFF\r\nabc"), 3)
	f.Add([]byte("1;"+strings.Repeat("x", 30)+"\r\na\r\n0\r\n\r\n"), 100)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if len(b) > 32<<10 {
			t.Skip()
		}
		raw := append([]byte(chunkedHead), b...)
		all, answers := hear(raw, max(step, 1))
		if len(all) == 0 || bytes.Count(answers, []byte("HTTP/1.1 200")) != len(all) {
			t.Fatalf("%d requests, answers %q", len(all), answers)
		}
		if h := all[0]; h.err == nil {
			if body, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b))); err != nil || !bytes.Equal(body, h.body) {
				t.Fatalf("we have %q, net/http %q, %v", h.body, body, err)
			}
		} else if errors.Is(h.err, io.EOF) {
			t.Fatal("an error that is the end")
		}
	})
}

// FuzzAnswerFields: no field of an answer makes another field, or an answer.
func FuzzAnswerFields(f *testing.F) {
	f.Add("X-A", "b", int64(3))
	f.Add("X-A\r\nX-Evil", "b\r\nX-Evil: c\r\n\r\nHTTP/1.1 200 OK", int64(-1))
	f.Add("content-length", "0", int64(5))
	f.Add("date", "\x00", int64(0))
	f.Fuzz(func(t *testing.T, name, value string, length int64) {
		length = min(max(length, -1), 1<<16)
		control := func(r rune) bool { return r < ' ' && !strings.ContainsRune("\r\n\x00\t", r) || r == 0x7f }
		if strings.EqualFold(name, "Trailer") || strings.ContainsFunc(value, control) { // ReadResponse takes it at its word, or not at all
			t.Skip()
		}
		s := h1.NewServer(nil)
		c := &script{b: []byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), step: 1000}
		sock := socket.New(c, nil)
		s.ServeConn(sock, sock, nil, handler(func(s wire.Stream, r *wire.Request) {
			s.WriteHead(200, wire.Fields{{Name: name, Value: value}, {Name: "X-Last", Value: "y"}}, length)
			if _, err := s.Write(make([]byte, max(length, 10))); length >= 10 && err != nil {
				t.Error(err)
			}
		}))
		r := bufio.NewReader(&c.out)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if length >= 10 && (err != nil || int64(len(b)) != length) || length < 0 && (err != nil || len(b) != 10) {
			t.Errorf("got %d bytes, %v", len(b), err)
		}
		if n, _ := io.Copy(io.Discard, r); n > 0 {
			t.Errorf("%d bytes behind the answer", n)
		}
		if len(resp.Header["X-Last"]) == 0 {
			t.Error("a field is missing")
		}
		for key := range resp.Header {
			switch key {
			case "Date", "Connection", "Content-Length", "Cache-Control", "X-Last", http.CanonicalHeaderKey(name): // Pragma becomes Cache-Control
			default:
				t.Errorf("there is a field %q", key)
			}
		}
	})
}
