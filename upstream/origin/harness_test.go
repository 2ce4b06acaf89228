package origin_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/upstream/origin"
)

// listen opens a listener: unix, abstract or tcp.
func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "hg")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		addr = filepath.Join(dir, "o.sock")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func transport(t testing.TB, l net.Listener, o origin.Options) *origin.Transport {
	t.Helper()
	tr, err := origin.NewTransport(l.Addr().Network(), l.Addr().String(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdle)
	return tr
}

// serverStreams is how many streams a server of HTTP/2 allows on a connection.
const serverStreams = 50

// server runs package net/http's server in the protocol of o. states hear of its
// connections.
func server(t testing.TB, network string, o origin.Options, h http.HandlerFunc, states ...func(http.ConnState)) (*origin.Transport, *http.Server) {
	t.Helper()
	l := listen(t, network)
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: serverStreams}}
	s.Protocols.SetHTTP1(!o.HTTP2)
	s.Protocols.SetUnencryptedHTTP2(o.HTTP2)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		for _, f := range states {
			f(state)
		}
	}
	var served sync.WaitGroup
	served.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		served.Wait()
	})
	return transport(t, l, o), s
}

// each runs f over HTTP/1.1 and HTTP/2.
func each(t *testing.T, f func(t *testing.T, o origin.Options)) {
	t.Run("h1", func(t *testing.T) { f(t, origin.Options{}) })
	t.Run("h2c", func(t *testing.T) { f(t, origin.Options{HTTP2: true}) })
}

// scripted serves each connection with f, and closes it then.
func scripted(t testing.TB, network string, o origin.Options, f func(p *peer)) *origin.Transport {
	t.Helper()
	l := listen(t, network)
	var open sync.WaitGroup
	open.Go(func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{Conn: c, in: bufio.NewReader(c), nth: n}
			open.Go(func() {
				defer c.Close()
				f(p)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Wait()
	})
	return transport(t, l, o)
}

// peer is the member's end of a connection.
type peer struct {
	net.Conn
	in  *bufio.Reader
	nth int // of the connections
}

// head reads the head of a request, as it came; "" at the end.
func (p *peer) head() string {
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return ""
		}
		if line == "\r\n" {
			return b.String()
		}
	}
}

func (p *peer) send(s string) { io.WriteString(p, s) }

// untilClosed waits for the other side to close.
func (p *peer) untilClosed() {
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	io.Copy(io.Discard, p.in)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

func get(uri string) *origin.Request {
	return &origin.Request{Method: "GET", Scheme: "http", Host: "shop.example.com", URI: uri}
}

// post has a body that can be sent again.
func post(body string) *origin.Request {
	r := get("/")
	r.Method, r.Body, r.ContentLength = "POST", strings.NewReader(body), int64(len(body))
	r.Rewind = func() (io.Reader, error) { return strings.NewReader(body), nil }
	return r
}

// read does r and returns the whole answer.
func read(t testing.TB, tr *origin.Transport, r *origin.Request) (*origin.Response, string) {
	t.Helper()
	resp, err := tr.Do(t.Context(), r)
	if err != nil {
		t.Fatalf("Do(%s %s) = %v", r.Method, r.URI, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("body of %s %s after %d bytes: %v", r.Method, r.URI, len(b), err)
	}
	return resp, string(b)
}

// fails does r and returns its error.
func fails(t testing.TB, tr *origin.Transport, r *origin.Request) *origin.Error {
	t.Helper()
	resp, err := tr.Do(t.Context(), r)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("Do = %d, want an error", resp.Status)
	}
	return asError(t, err)
}

func asError(t testing.TB, err error) *origin.Error {
	t.Helper()
	var e *origin.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v, want *origin.Error", err, err)
	}
	return e
}

// wants checks what counts of an error.
func wants(t testing.TB, e *origin.Error, kind origin.Kind, never bool, words string) {
	t.Helper()
	if e.Kind != kind || e.Unsent() != never || !strings.Contains(e.Cause+"; "+e.Cure, words) {
		t.Errorf("got kind %s, unsent %v, %v; cure %q\nwant kind %s, unsent %v, %q", e.Kind, e.Unsent(), e, e.Cure, kind, never, words)
	}
}
