package h1_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway/h1"
	"headgate/gateway/wire"
)

func TestPipelining(t *testing.T) {
	t.Parallel()
	each(t, echo, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		var b strings.Builder
		for i := range 500 {
			switch i % 3 {
			case 0:
				b.WriteString(get(fmt.Sprint("/", i)))
			case 1:
				fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n%05d", i, i)
			case 2:
				fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%05d\r\n0\r\n\r\n\r\n", i, i)
			}
		}
		go c.send(b.String())
		for i := range 500 {
			c.want(200, fmt.Sprintf("/%d a", i))
		}
	})
}

func TestHalfClosedClientGetsItsAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	c := s.dial()
	c.send(get("/1") + get("/2"))
	if err := closeWrite(c); err != nil {
		t.Fatal(err)
	}
	c.want(200, "/1")
	c.want(200, "/2")
	c.wantEnd()
}

// TestContextEndsWithTheClient, and with Serve.
func TestContextEndsWithTheClient(t *testing.T) {
	t.Parallel()
	contexts, waiting := make(chan context.Context, 10), make(chan struct{}, 10)
	each(t, func(s wire.Stream, r *wire.Request) {
		ctx := s.Context()
		if ctx.Err() != nil || s.Context() != ctx {
			t.Errorf("got %v", ctx.Err())
		}
		if r.Target == "/wait" {
			waiting <- struct{}{}
			select {
			case <-ctx.Done():
			case <-time.After(patience):
				t.Error("the context goes on")
			}
			return
		}
		contexts <- ctx
		say(s, 200, "ok")
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		for range 3 {
			c.send(get("/"))
			c.want(200, "ok")
			ctx := <-contexts
			<-ctx.Done() // ends before the next request
		}
		c.send(get("/wait"))
		<-waiting
		c.Close()
		s.l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var mu sync.Mutex
	s := start(t, func(s wire.Stream, r *wire.Request) {
		if strings.Contains(r.Target, "begun") {
			s.WriteHead(200, nil, -1)
			_, _ = io.WriteString(s, "half")
		}
		if strings.Contains(r.Target, "abort") {
			panic(http.ErrAbortHandler)
		}
		if strings.Contains(r.Target, "exit") {
			runtime.Goexit()
		}
		panic("for " + r.Target)
	}, func(s *server) { s.Server = h1.NewServer(slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))) })
	for _, path := range []string{"/", "/begun", "/abort", "/begun-abort", "/exit"} {
		c := s.dial()
		c.send(get(path) + get("/next"))
		b, _ := io.ReadAll(c.r) // it may be reset
		if strings.HasSuffix(string(b), "0\r\n\r\n") || strings.Count(string(b), "HTTP/1.1") > 1 || strings.Contains(path, "begun") != strings.Contains(string(b), "half") {
			t.Errorf("%s: got %q", path, b)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if got := log.String(); !strings.Contains(got, `panic="for /"`) || !strings.Contains(got, `panic="for /begun"`) || !strings.Contains(got, "lifecycle_test.go") || strings.Contains(got, "abort") {
		t.Errorf("the log has %s", got)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func TestHijack(t *testing.T) {
	t.Parallel()
	free := make(chan net.Conn, 1)
	each(t, func(s wire.Stream, r *wire.Request) {
		if r.Target == "/late" {
			s.WriteHead(200, nil, 0)
			if _, _, err := s.Hijack(); err != wire.ErrNoHijack {
				t.Errorf("behind the head: got %v", err)
			}
			return
		}
		s.SetWriteTimeout(time.Nanosecond)
		ctx := s.Context()
		ctx.Done()
		c, early, err := s.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, _, err := s.Hijack(); err != wire.ErrNoHijack {
			t.Errorf("the second time: got %v", err)
		}
		if _, err := io.WriteString(s, "x"); err == nil {
			t.Error("Write goes on")
		}
		if ctx.Err() != nil {
			t.Error("the context has ended")
		}
		if r.Target == "/keep" {
			free <- c
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n%s", early)
		_, _ = io.Copy(c, c)
	}, func(t *testing.T, s *server, dial func() *client) {
		c := dial()
		c.send(get("/late") + get("/switch") + "early")
		if got := c.want(200, ""); got.Close {
			t.Error("the connection ends")
		}
		if got := c.next("GET"); got.StatusCode != 101 {
			t.Fatalf("got %d", got.StatusCode)
		}
		c.send(" and late")
		b := make([]byte, 14)
		if _, err := io.ReadFull(c.r, b); err != nil || string(b) != "early and late" {
			t.Errorf("got %q, %v", b, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		other := dial()
		other.send(get("/keep"))
		kept := <-free
		defer kept.Close()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown waits for what was hijacked: %v", err)
		}
		s.Close()
		if _, err := io.WriteString(kept, "mine"); err != nil {
			t.Errorf("what was hijacked was closed: %v", err)
		}
		if _, err := io.ReadFull(other.r, b[:4]); err != nil || string(b[:4]) != "mine" {
			t.Errorf("got %q, %v", b[:4], err)
		}
	})
}

func TestPreface(t *testing.T) {
	t.Parallel()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	s := start(t, echo)
	c := s.dial()
	c.send(preface + "frames")
	if got := c.all(); got != fmt.Sprintf("preface %q", preface+"frames") {
		t.Errorf("got %s", got)
	}
	c = s.dial()
	for i := range 18 {
		c.send(preface[i : i+1])
	}
	if got := c.all(); got != fmt.Sprintf("preface %q", preface[:18]) {
		t.Errorf("in bytes: got %s", got)
	}
	for _, not := range []string{"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", "PRI / HTTP/2.0\r\n\r\n"} {
		c = s.dial()
		c.send(not)
		c.want(505, "HTTP/2.0")
		c.wantEnd()
	}
	c = s.dial()
	c.send(get("/") + preface)
	c.want(200, "/")
	c.want(505, "HTTP/2.0")
	c.wantEnd()
	secure := start(t, echo, overTLS(t))
	c = secure.dialTLS()
	c.send(preface)
	c.want(505, "HTTP/2.0") // RFC 9113, 3.2: there it is agreed on by ALPN
	c.wantEnd()
}

// TestShutdownUnderLoad: no request is lost of which the server has read a byte,
// and nobody who connected before is refused.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	each(t, echo, func(t *testing.T, s *server, dial func() *client) {
		var clients sync.WaitGroup
		var answered atomic.Int64
		for range 8 {
			c := dial()
			clients.Go(func() {
				for {
					if _, err := io.WriteString(c, get("/")); err != nil {
						return // closed while idle
					}
					resp, err := http.ReadResponse(c.r, nil)
					if err != nil {
						return // likewise: not one byte came
					}
					if b, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(b), "GET /") {
						t.Errorf("got %q, %v", b, err)
					}
					answered.Add(1)
					if resp.Close {
						return
					}
				}
			})
		}
		for answered.Load() < 500 {
			<-time.After(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		clients.Wait()
	})
}

// TestFirstBytes: what somebody has read before belongs to the first request.
func TestFirstBytes(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	long := "GET /" + strings.Repeat("x", 10000)
	for _, first := range []string{"GET / HT", get("/"), get("/") + get("/next"), long} {
		d, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, d)
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.serving.Go(func() { s.serveFirst(a, first, echo) })
		switch first {
		case "GET / HT":
			c.send("TP/1.1\r\nHost: a\r\n\r\n")
		case long:
			c.send(" HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		c.want(200, "GET /")
		c.send(get("/last"))
		if strings.Contains(first, "/next") {
			c.want(200, "/next")
		}
		c.want(200, "/last")
	}
}
