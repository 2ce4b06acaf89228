package h1_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headgate/gateway/wire"
)

// overTLS makes the server speak TLS.
func overTLS(t testing.TB) func(*server) {
	u := httptest.NewUnstartedServer(nil)
	u.StartTLS()
	t.Cleanup(u.Close)
	cert := u.TLS.Certificates
	return func(s *server) {
		s.wrap = func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: cert}) }
	}
}

func (s *server) dialTLS() *client {
	s.t.Helper()
	c := s.dial()
	return newClient(s.t, tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true}))
}

// each runs body over clear text and over TLS.
func each(t *testing.T, h handler, body func(t *testing.T, s *server, dial func() *client)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		s := start(t, h)
		body(t, s, s.dial)
	})
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		s := start(t, h, overTLS(t))
		body(t, s, s.dialTLS)
	})
}

func TestHeadOfAnAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, func(s wire.Stream, r *wire.Request) {
		switch r.Target {
		case "/counted":
			say(s, 200, "body", wire.Field{Name: "X-a", Value: "1"}, wire.Field{Name: "X-a", Value: "2"})
		case "/dated":
			say(s, 200, "", wire.Field{Name: "date", Value: "then"})
		case "/204":
			s.WriteHead(204, nil, 4)
			_, _ = io.WriteString(s, "body")
		case "/304":
			s.WriteHead(304, nil, 4)
			_, _ = io.WriteString(s, "body")
		case "/299":
			say(s, 299, "")
		case "/unknown":
			s.WriteHead(200, nil, -1)
			_, _ = io.WriteString(s, "one")
			_, _ = io.WriteString(s, "")
			_, _ = io.WriteString(s, "two")
		case "/split":
			say(s, 200, "", wire.Field{Name: "X-a", Value: "b\r\nX-Evil: c\x00\nd"}, wire.Field{Name: "X-b\r\nX-Evil", Value: "c"}, wire.Field{Name: "", Value: "x"}, wire.Field{Name: "X-c", Value: "kept"})
		case "/framing":
			say(s, 200, "", wire.Field{Name: "content-length", Value: "7"}, wire.Field{Name: "transfer-encoding", Value: "chunked"}, wire.Field{Name: "connection", Value: "x"})
		}
	})
	date := time.Now().UTC().Format("Mon, 02 Jan 2006")
	for _, row := range []struct{ method, target, version, more, want string }{
		{"GET", "/counted", "1.1", "", "HTTP/1.1 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4||body"},
		{"HEAD", "/counted", "1.1", "", "HTTP/1.1 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4||"},
		{"GET", "/counted", "1.1", "Connection: x, Close\r\n", "HTTP/1.1 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4|Connection: close||body"},
		{"GET", "/counted", "1.0", "", "HTTP/1.0 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4|Connection: close||body"},
		{"GET", "/counted", "1.0", "Connection: keep-alive\r\n", "HTTP/1.0 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4|Connection: keep-alive||body"},
		{"GET", "/dated", "1.1", "", "HTTP/1.1 200 OK|date: then|Content-Length: 0||"},
		{"GET", "/204", "1.1", "", "HTTP/1.1 204 No Content|DATE||"},
		{"GET", "/304", "1.1", "", "HTTP/1.1 304 Not Modified|DATE|Content-Length: 4||"},
		{"GET", "/299", "1.1", "", "HTTP/1.1 299 |DATE|Content-Length: 0||"},
		{"GET", "/unknown", "1.1", "", "HTTP/1.1 200 OK|DATE|Transfer-Encoding: chunked||3|one|3|two|0||"},
		{"HEAD", "/unknown", "1.1", "", "HTTP/1.1 200 OK|DATE||"},
		{"GET", "/unknown", "1.0", "Connection: keep-alive\r\n", "HTTP/1.0 200 OK|DATE|Connection: close||onetwo"},
		{"HEAD", "/unknown", "1.0", "Connection: keep-alive\r\n", "HTTP/1.0 200 OK|DATE|Connection: keep-alive||"},
		{"GET", "/split", "1.1", "", "HTTP/1.1 200 OK|X-a: b  X-Evil: c  d|X-c: kept|DATE|Content-Length: 0||"},
		{"GET", "/framing", "1.1", "", "HTTP/1.1 200 OK|DATE|Content-Length: 0||"},
	} {
		c := s.dial()
		c.send(fmt.Sprintf("%s %s HTTP/%s\r\nHost: a\r\n%s\r\n", row.method, row.target, row.version, row.more))
		if !strings.Contains(row.want, "Connection: close") {
			c.send("GET /counted HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			row.want += "HTTP/1.1 200 OK|X-a: 1|X-a: 2|DATE|Content-Length: 4|Connection: close||body"
		}
		lines := strings.Split(c.all(), "\r\n")
		for i := range lines {
			if strings.HasPrefix(lines[i], "Date: "+date) {
				lines[i] = "DATE"
			}
		}
		if got := strings.Join(lines, "|"); got != row.want {
			t.Errorf("%s %s %s %q:\ngot  %s\nwant %s", row.method, row.target, row.version, row.more, got, row.want)
		}
	}
}

// TestBodiesOfAllSizes arrive whole, however they are framed and written.
func TestBodiesOfAllSizes(t *testing.T) {
	t.Parallel()
	alphabet := strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 10<<10)
	each(t, func(s wire.Stream, r *wire.Request) {
		var size, piece, length int
		if _, err := fmt.Sscanf(r.Target, "/%d/%d/%d", &size, &piece, &length); err != nil {
			panic(err)
		}
		s.WriteHead(200, wire.Fields{{Name: "X-A", Value: "b"}}, int64(length))
		for i := 0; i < size; i += piece {
			p := alphabet[i:min(i+piece, size)]
			if n, err := io.WriteString(s, p); n != len(p) || err != nil {
				panic(fmt.Sprint(n, err))
			}
			if i/piece == 2 {
				if err := s.Flush(); err != nil {
					panic(err)
				}
			}
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		for _, size := range []int{0, 1, 3000, 3900, 3990, 4000, 4096, 5000, 16000, 16200, 16300, 16384, 17000, 33000, 100000, 300000} {
			for _, piece := range []int{7, 1000, 4096, 16384, 20000, 300000} {
				if size/piece > 3000 {
					continue
				}
				for _, length := range []int{size, -1} {
					c.send(get(fmt.Sprintf("/%d/%d/%d", size, piece, length)))
					got := c.next("GET")
					if got.body != alphabet[:size] || got.err != nil || got.ContentLength != int64(length) {
						t.Fatalf("%d in pieces of %d, length %d: got %d bytes (%v)", size, piece, length, len(got.body), got.err)
					}
				}
			}
		}
	})
}

// counts is a connection that counts writes.
type counts struct {
	net.Conn
	writes *int
}

func (c counts) Write(p []byte) (int, error) {
	*c.writes++
	return c.Conn.Write(p)
}

// TestOneWritePerAnswer: head and body, the coding's end too.
func TestOneWritePerAnswer(t *testing.T) {
	t.Parallel()
	for _, length := range []int64{1000, -1} {
		writes := 0
		done := make(chan struct{})
		s := start(t, echo)
		a, b := net.Pipe()
		go func() {
			defer close(done)
			s.serve(counts{a, &writes}, func(s wire.Stream, r *wire.Request) {
				s.WriteHead(200, nil, length)
				_, _ = s.Write(make([]byte, 400))
				_, _ = s.Write(make([]byte, 600))
			})
		}()
		c := newClient(t, b)
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if got := c.next("GET"); len(got.body) != 1000 {
			t.Errorf("got %d bytes", len(got.body))
		}
		<-done
		if writes != 1 {
			t.Errorf("length %d: %d writes, want 1", length, writes)
		}
	}
}

// TestAnswerThatIsNotWhole: the client must see it.
func TestAnswerThatIsNotWhole(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		var length int64 = 100
		if strings.Contains(r.Target, "chunked") {
			length = -1
		}
		if !strings.Contains(r.Target, "nothing") {
			s.WriteHead(200, nil, length)
			_, _ = io.WriteString(s, "half")
		}
		if strings.Contains(r.Target, "flushed") {
			_ = s.Flush()
		}
		if strings.Contains(r.Target, "abort") {
			s.Abort()
			if err := s.Context().Err(); err == nil {
				t.Error("the context goes on")
			}
			if _, err := io.WriteString(s, "more"); !errors.Is(err, wire.ErrAborted) {
				t.Errorf("Write: got %v", err)
			}
			if err := s.Flush(); !errors.Is(err, wire.ErrAborted) {
				t.Errorf("Flush: got %v", err)
			}
		}
	}, func(t *testing.T, s *server, dial func() *client) {
		for _, version := range []string{"1.1", "1.0"} {
			for _, path := range []string{"/short", "/short-flushed", "/abort", "/abort-flushed", "/abort-chunked", "/abort-chunked-flushed", "/nothing", "/abort-nothing"} {
				c := dial()
				c.send(fmt.Sprintf("GET %s HTTP/%s\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", path, version))
				b, err := io.ReadAll(c.r)
				got := string(b)
				nothing := strings.Contains(path, "nothing")
				if err == nil && !nothing && version == "1.0" { // crypto/tls takes the end without close_notify for one too
					t.Errorf("%s %s: a clean end behind %q", version, path, got)
				}
				if nothing != (got == "") && version == "1.1" {
					t.Errorf("%s %s: got %q", version, path, got)
				}
				if strings.HasSuffix(got, "0\r\n\r\n") {
					t.Errorf("%s %s: there is a last chunk in %q", version, path, got)
				}
			}
		}
	})
}

func TestMoreThanDeclared(t *testing.T) {
	t.Parallel()
	s := start(t, func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, nil, 4)
		if n, err := io.WriteString(s, "12345"); n != 0 || !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("got %d, %v", n, err)
		}
		if n, err := io.WriteString(s, "1234"); n != 4 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		if _, err := io.WriteString(s, "5"); !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("got %v", err)
		}
	})
	c := s.dial()
	c.send(get("/") + get("/"))
	c.want(200, "1234")
	c.want(200, "1234")
}

func TestInterim(t *testing.T) {
	t.Parallel()
	s := start(t, func(s wire.Stream, r *wire.Request) {
		if err := s.Interim(103, wire.Fields{{Name: "Link", Value: "</x>\r\nX: y"}}); err != nil {
			t.Errorf("got %v", err)
		}
		say(s, 200, "ok")
		if err := s.Interim(103, nil); err == nil && r.Minor > 0 {
			t.Error("an interim answer behind the final one")
		}
	})
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if got := c.all(); !strings.HasPrefix(got, "HTTP/1.1 103 Early Hints\r\nLink: </x>  X: y\r\n\r\nHTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
	c = s.dial()
	c.send("GET / HTTP/1.0\r\n\r\n")
	if got := c.all(); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") {
		t.Errorf("got %q", got) // RFC 9110, 15.2
	}
}

// TestCloseAfter: as long as nothing is out, the head says so.
func TestCloseAfter(t *testing.T) {
	t.Parallel()
	each(t, func(s wire.Stream, r *wire.Request) {
		if r.Target == "/before" {
			s.CloseAfter()
		}
		s.WriteHead(200, nil, 4)
		if r.Target == "/head" {
			s.CloseAfter()
		}
		_, _ = io.WriteString(s, "body")
		if r.Target == "/flushed" {
			_ = s.Flush()
		}
		s.CloseAfter()
	}, func(t *testing.T, s *server, dial func() *client) {
		for _, path := range []string{"/before", "/head", "/held", "/flushed"} {
			c := dial()
			c.send(get(path) + get(path))
			if got := c.want(200, "body"); got.Close != (path != "/flushed") {
				t.Errorf("%s: the answer says %v", path, got.Header)
			}
			c.wantEnd()
		}
	})
}

func TestWriteWithoutHead(t *testing.T) {
	t.Parallel()
	s := start(t, func(s wire.Stream, r *wire.Request) {
		if _, err := io.WriteString(s, "x"); err == nil {
			t.Error("a body without a head was taken")
		}
		if err := s.Flush(); err == nil {
			t.Error("nothing was flushed")
		}
		say(s, 200, "ok")
		s.WriteHead(500, nil, 0) // too late
	})
	c := s.dial()
	c.send(get("/") + get("/"))
	c.want(200, "ok")
	c.want(200, "ok")
}
