package h1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/gateway/h1"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// handler is a function that is a wire.Handler.
type handler func(wire.Stream, *wire.Request)

func (f handler) Serve(s wire.Stream, r *wire.Request) { f(s, r) }

// say answers with a body.
func say(s wire.Stream, status int, body string, fields ...wire.Field) {
	s.WriteHead(status, fields, int64(len(body)))
	_, _ = io.WriteString(s, body) // a client that has gone needs no answer
}

// echo reads the body and answers with what it has understood of the request.
func echo(s wire.Stream, r *wire.Request) {
	if r.Refusal != nil {
		say(s, r.Refusal.Status, r.Refusal.Kind+": "+r.Refusal.Cause)
		return
	}
	b, err := io.ReadAll(s)
	if err != nil {
		s.CloseAfter()
		say(s, 400, "body: "+err.Error())
		return
	}
	say(s, 200, fmt.Sprintf("%s %s %s %s %d %q", r.Method, r.Target, r.Host, r.Proto(), r.ContentLength, b))
}

// server serves connections over TCP until the test ends.
type server struct {
	*h1.Server
	t       testing.TB
	l       net.Listener
	wrap    func(net.Conn) net.Conn // TLS; or nil
	hangups socket.Hangups
	serving sync.WaitGroup
}

func defaults() h1.Settings {
	return h1.Settings{HeadBytes: 32 << 10, Fields: 50, HeaderTimeout: patience, IdleTimeout: patience}
}

func start(t testing.TB, h handler, with ...func(*server)) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: h1.NewServer(nil), t: t, l: l}
	s.Configure(defaults())
	for _, f := range with {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.serving.Go(func() {
		if err := s.hangups.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() { s.serve(c, h) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.Close()
		cancel()
		s.serving.Wait()
	})
	return s
}

func (s *server) serve(c net.Conn, h handler) {
	sock := socket.New(c, &s.hangups)
	top := net.Conn(sock)
	if s.wrap != nil {
		top = s.wrap(sock)
	}
	if p := s.ServeConn(top, sock, nil, h); p != nil {
		fmt.Fprintf(sock, "preface %q", p)
		sock.Close()
	}
}

// client is a raw connection with a deadline.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (s *server) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.l.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	return newClient(s.t, c)
}

func newClient(t testing.TB, c net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &client{c, t, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if s == "" { // which blocks on a net.Pipe
		return
	}
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

type response struct {
	*http.Response
	body string
	err  error // of the body
}

// next reads an answer, to a method.
func (c *client) next(method string) *response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	return &response{resp, string(b), err}
}

// want reads an answer to GET or POST and compares it.
func (c *client) want(status int, part string) *response {
	c.t.Helper()
	got := c.next("POST")
	if got.StatusCode != status || !strings.Contains(got.body, part) || got.err != nil {
		c.t.Fatalf("got %d %q (%v), want %d with %q", got.StatusCode, got.body, got.err, status, part)
	}
	return got
}

// wantEnd expects the end of the connection, with nothing before it.
func (c *client) wantEnd() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); len(b) > 0 || err != nil {
		c.t.Fatalf("got %q, %v, want the end", b, err)
	}
}

// all reads everything until the end.
func (c *client) all() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("got %v after %q", err, b)
	}
	return string(b)
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func (s *server) serveFirst(c net.Conn, first string, h handler) {
	sock := socket.New(c, &s.hangups)
	s.ServeConn(sock, sock, []byte(first), h)
}
