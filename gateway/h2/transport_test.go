package h2_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

// client returns a net/http client that speaks nothing but HTTP/2.
func (s *server) client(tb testing.TB) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP2(s.tls != nil)
	p.SetUnencryptedHTTP2(s.tls == nil)
	t := &http.Transport{TLSClientConfig: s.tls, Protocols: p, DisableCompression: true}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func (s *server) url(path string) string {
	if s.tls != nil {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

// each runs f over TLS and on clear text.
func each(t *testing.T, settings h2.Settings, h wire.Handler, f func(t *testing.T, s *server, c *http.Client)) {
	for _, secure := range []bool{true, false} {
		t.Run("tls="+strconv.FormatBool(secure), func(t *testing.T) {
			s := start(t, secure, settings, h)
			f(t, s, s.client(t))
		})
	}
}

// answer sends a whole answer.
func answer(s wire.Stream, status int, body string, f ...wire.Field) {
	s.WriteHead(status, f, int64(len(body)))
	io.WriteString(s, body)
}

func TestRequestArrivesWhole(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		var b strings.Builder
		fmt.Fprintln(&b, r.Method, r.Target, r.Proto(), r.ContentLength, r.Fields.Get("x-one"), s.Unread())
		answer(s, 200, b.String(), wire.Field{Name: "Content-Type", Value: "text/plain"}, wire.Field{Name: "X-Two", Value: "2"})
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		for range 3 {
			q, _ := http.NewRequest("GET", s.url("/a/b?c=d"), nil)
			q.Header.Set("X-One", "1")
			r, err := c.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if got, want := string(body), "GET /a/b?c=d HTTP/2.0 0 1 false\n"; got != want {
				t.Errorf("body = %q, want %q", got, want)
			}
			if r.Header.Get("Date") == "" || r.Header.Get("X-Two") != "2" || r.Header.Get("Content-Type") != "text/plain" || r.ContentLength != int64(len(body)) {
				t.Errorf("header = %v, length %d", r.Header, r.ContentLength)
			}
		}
	})
}

func TestBodiesOfAllSizes(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		b, err := io.ReadAll(s)
		if err != nil {
			t.Error(err)
		}
		n := r.ContentLength
		s.WriteHead(200, nil, n)
		if m, err := s.Write(b); m != len(b) || err != nil {
			t.Errorf("Write = %d, %v", m, err)
		}
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		for _, n := range []int{0, 1, 100, 4096, 16384, 65535, 65536, 300_000, 3 << 20} {
			for _, known := range []bool{true, false} {
				sent := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]
				var body io.Reader = bytes.NewReader(sent)
				if !known {
					body = iotest.HalfReader(body)
				}
				r, err := c.Post(s.url("/"), "text/plain", body)
				if err != nil {
					t.Fatal(n, known, err)
				}
				got, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, length known %v: got %d bytes, %v", n, known, len(got), err)
				}
			}
		}
	})
}

func TestManyStreamsAtOnce(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		n, _ := strconv.Atoi(r.Target[1:])
		s.WriteHead(200, nil, -1)
		for range n {
			s.Write([]byte(strings.Repeat("x", 1000)))
		}
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				for j := range 8 {
					n := (i*j)%200 + 1
					r, err := c.Get(s.url("/" + strconv.Itoa(n)))
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(r.Body)
					r.Body.Close()
					if err != nil || len(b) != n*1000 {
						t.Errorf("got %d bytes, %v; want %d", len(b), err, n*1000)
					}
				}
			})
		}
		wg.Wait()
	})
}

// Clients that keep their connections are told to go, and do.
func TestShutdownOfIdleConnections(t *testing.T) {
	each(t, h2.Settings{}, echo, func(t *testing.T, s *server, c *http.Client) {
		r, err := c.Get(s.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		if err := s.Shutdown(ctx); err != nil || time.Since(begun) > 900*time.Millisecond {
			t.Errorf("Shutdown: %v after %v, want at once", err, time.Since(begun))
		}
	})
}

// Requests that come while the server stops are answered or sent again elsewhere.
func TestShutdownUnderLoad(t *testing.T) {
	for range 3 {
		first := start(t, true, h2.Settings{}, echo)
		c := first.client(t)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 20 {
					r, err := c.Post(first.url("/"), "", strings.NewReader("body"))
					if err != nil {
						t.Error(err)
						return
					}
					io.Copy(io.Discard, r.Body)
					r.Body.Close()
				}
			})
		}
		if err := first.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
