package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestFramings(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	long := strings.Repeat("0123456789abcdef", 1<<16)
	for _, row := range []struct {
		name, method, answer, body string
		code                       int
		length                     int64 // announced; -1: not; -2: either
	}{
		{"counted", "GET", ok + "Content-Length: 5\r\n\r\nhello", "hello", 200, 5},
		{"counted, long", "GET", ok + "Content-Length: 1048576\r\n\r\n" + long, long, 200, 1 << 20},
		{"more than counted", "GET", ok + "Content-Length: 5\r\n\r\nhello, world", "hello", 200, 5},
		{"chunked", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n", "hello, world", 200, 12},
		{"to the end", "GET", ok + "\r\nhello", "hello", 200, -2},
		{"to the end, long", "GET", ok + "\r\n" + long, long, 200, -1},
		{"empty", "GET", ok + "\r\n", "", 200, -2},
		{"empty, counted", "GET", ok + "Content-Length: 0\r\n\r\n", "", 200, 0},
		{"HTTP/1.0 status line", "GET", "HTTP/1.0 404 Not here\r\nContent-Length: 1\r\n\r\nx", "x", 404, 1},
		{"HTTP/3.0 status line", "GET", "HTTP/3.0 404 Not here\r\nContent-Length: 1\r\n\r\nx", "x", 404, 1},
		{"CGI status", "GET", "Status: 418 Teapot\r\nContent-Length: 1\r\n\r\nx", "x", 418, 1},
		{"HEAD", "HEAD", ok + "Content-Length: 5\r\n\r\n", "", 200, 5},
		{"HEAD with a body", "HEAD", ok + "Content-Length: 5\r\n\r\nhello", "", 200, 5},
		{"HEAD without length", "HEAD", ok + "\r\n", "", 200, -1},
		{"204", "GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", "", 204, 0},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", "", 204, 0},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "", 304, 0},
		{"304 with a body", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\nabc", "", 304, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := app(t, row.answer)
			gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
				for range 2 { // a connection is good for another request
					got := c.Do(c.Request(row.method, "/", nil))
					if got.Code != row.code || got.Body != row.body || got.BodyErr != nil {
						t.Errorf("got %d, %d bytes, %v", got.Code, len(got.Body), got.BodyErr)
					}
					bodyless := row.code == 204 || row.code == 304 || row.method == "HEAD" && row.length < 0
					if got.Length != row.length && row.length != -2 && !bodyless {
						t.Errorf("announced %d bytes, want %d", got.Length, row.length)
					}
					if row.code == 204 && got.Header["Content-Length"] != nil {
						t.Errorf("204 has Content-Length %q (RFC 9110, 8.6)", got.Header["Content-Length"])
					}
				}
			})
		})
	}
}

// TestHeaderOfTheAnswer is about what passes and what does not.
func TestHeaderOfTheAnswer(t *testing.T) {
	t.Parallel()
	w := app(t, "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: \xe9t\xe9\r\nServer: app\r\n"+
		"Connection: x-listed, keep-alive\r\nX-Listed: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nTrailer: X-T\r\nTE: trailers\r\n"+
		"X-Accel-Buffering: yes\r\nX-Accel-Expires: 10\r\nX-Accel-Limit-Rate: 10\r\nX-Accel-Charset: utf-8\r\nContent-Length: 9\r\n\r\n<!doctype")
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/")
		if got.Code != 200 || got.Body != "<!doctype" {
			t.Fatalf("got %+v", got)
		}
		h := got.Header
		if fmt.Sprint(h["Set-Cookie"]) != "[a=1 b=2]" || h.Get("X-Kept") != "\xe9t\xe9" || h.Get("Server") != "app" || h.Get("Date") == "" {
			t.Errorf("lost: %v", h)
		}
		for name := range h {
			switch name {
			case "Connection", "X-Listed", "Keep-Alive", "Upgrade", "Trailer", "Te", "Transfer-Encoding", "Content-Type":
				t.Errorf("%s: %q reached the client", name, h[name])
			}
			if strings.HasPrefix(name, "X-Accel-") {
				t.Errorf("%s reached the client", name)
			}
		}
		alt := h.Get("Alt-Svc")
		if want := c.Protocol == gatewaytest.H1S || c.Protocol == gatewaytest.H2; (alt == `h3=":443"; ma=86400`) != want {
			t.Errorf("Alt-Svc: %q", alt)
		}
	})
}

func TestEarlyHintsAreHandedOn(t *testing.T) {
	t.Parallel()
	w := app(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b.js>\r\n\r\n"+answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		var hints []string
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, " ", h.Get("Link")))
			return nil
		}}
		r := c.Request("GET", "/", nil)
		got := c.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		if got.Code != 200 || got.Body != "ok" || got.Header["Link"] != nil {
			t.Errorf("got %+v", got)
		}
		if fmt.Sprint(hints) != "[103 </a.css>; rel=preload 103 </b.js>]" {
			t.Errorf("got the hints %q", hints)
		}
	})
}

// TestAnswersAreNotHeldBack: each piece must reach the client before the worker
// makes the next, also the head alone.
func TestAnswersAreNotHeldBack(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, head string }{
		{"event stream", "Content-Type: text/event-stream; charset=utf-8\r\n"},
		{"X-Accel-Buffering", "X-Accel-Buffering: no\r\n"},
		{"any", "Content-Type: text/plain\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
				next := make(chan struct{})
				w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
					c.Receive()
					c.Send("HTTP/1.1 200 OK\r\n" + row.head + "\r\n")
					for i := range 3 {
						if _, ok := <-next; !ok {
							return
						}
						c.Send(fmt.Sprintf("data: %d\n", i))
					}
				})
				c := alone(t, p, before(w))
				if row.name == "any" { // there is no answer to see before its first byte
					go func() { next <- struct{}{} }()
				}
				resp, err := c.Open(c.Request("GET", "/", nil))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				defer close(next)
				lines := bufio.NewReader(resp.Body)
				for i := range 3 {
					if i > 0 || row.name != "any" {
						next <- struct{}{}
					}
					if line, err := lines.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
						t.Fatalf("got %q, %v", line, err)
					}
				}
			})
		})
	}
}

// TestSlowReaderDoesNotHoldTheWorker: the worker has said everything while the
// client has not read a byte.
func TestSlowReaderDoesNotHoldTheWorker(t *testing.T) {
	t.Parallel()
	body := make([]byte, 50<<20)
	fill(body)
	want := sha256.Sum256(body)
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		done := make(chan struct{})
		w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
			c.Receive()
			c.Send("HTTP/1.1 200 OK\r\n\r\n")
			_, _ = c.Write(body)
			close(done)
		})
		conf := before(w)
		conf.Pool = "slots: 1"
		c := alone(t, p, conf)
		resp, err := c.Open(c.Request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		wait(t, done, "the worker to be free")
		until(t, "a free slot", func() bool { return poolOf(c.Gateway).Members[0].InFlight == 0 })
		h := sha256.New()
		if n, err := io.Copy(h, resp.Body); err != nil || n != int64(len(body)) || [32]byte(h.Sum(nil)) != want {
			t.Errorf("got %d bytes, %v, or others", n, err)
		}
	})
}

// fill makes bytes that differ everywhere.
func fill(p []byte) {
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(p) // never fails
}

func TestLargeBodiesAreByteExact(t *testing.T) {
	t.Parallel()
	const size = 9<<20 + 7
	body := make([]byte, size)
	fill(body)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nX-Length: %s\r\n%s\r\n", r.Var("CONTENT_LENGTH"), r.Var("HTTP_X_HEAD")+"X-End: 1\r\n"))
		_, _ = c.Write(r.Body)
	})
	conf := before(w)
	conf.Routes = "{path: /stream, request_body: stream, pool: app}, {pool: app}"
	g := gatewaytest.Start(t, conf.String())
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		c := g.Client(t, p)
		for name, r := range map[string]*http.Request{
			"counted":          c.Request("POST", "/", bytes.NewReader(body)),
			"unknown":          c.Request("POST", "/", io.MultiReader(bytes.NewReader(body))),
			"streamed":         c.Request("POST", "/stream", bytes.NewReader(body)),
			"streamed unknown": c.Request("POST", "/stream", io.MultiReader(bytes.NewReader(body))),
		} {
			got := c.Do(r)
			if got.Code != 200 || got.Header.Get("X-Length") != fmt.Sprint(size) || got.Body != string(body) || got.BodyErr != nil {
				t.Errorf("%s: got %d, %d bytes, %v", name, got.Code, len(got.Body), got.BodyErr)
			}
			line := g.Request(got.ID)
			if line.Number("bytes_in") != size || line.Number("bytes_out") != size {
				t.Errorf("%s: access log: %v", name, line)
			}
		}
	})
}

// TestEarlyAnswerToAStreamedBody: a worker may answer before it has the whole
// body, and the client is told at once.
func TestEarlyAnswerToAStreamedBody(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
			c.ReceiveVars()
			c.Send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		})
		conf := before(w)
		conf.Routes = "{request_body: stream, pool: app}"
		conf.Limits = "body_idle_timeout: 20s"
		c := alone(t, p, conf)
		body, feed := io.Pipe()
		defer feed.Close()
		r := c.Request("POST", "/", body)
		r.ContentLength = 1 << 20
		go func() { _, _ = feed.Write(make([]byte, 100<<10)) }() // and then nothing
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if got := c.Do(r.WithContext(ctx)); got.Code != 403 || got.Body != "no" || got.BodyErr != nil {
			t.Errorf("got %+v", got)
		}
	})
}

func TestRoutesWithoutWorkers(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Routes: `{path: /old, redirect: {to: /new, status: 301}}, {path: /health, respond: {status: 200, body: fine}}, {path: /gone, respond: {status: 204}}`}
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Post("/old?x", "body"); got.Code != 301 || got.Header.Get("Location") != "/new?x" || got.Length != 0 {
			t.Errorf("redirect: got %+v", got)
		}
		if got := c.Get("/health"); got.Code != 200 || got.Body != "fine" || got.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("respond: got %+v", got)
		}
		if got := c.Do(c.Request("HEAD", "/health", nil)); got.Code != 200 || got.Body != "" || got.Length != 4 {
			t.Errorf("HEAD: got %+v", got)
		}
		if got := c.Get("/gone"); got.Code != 204 {
			t.Errorf("204: got %+v", got)
		}
		refusal{code: 404, cause: "no route of the site *", cure: "add a route without path"}.get(t, c)
	})
}

// TestEndAfterAPause: an answer whose last bytes are followed by a long silence
// of the worker still gets its end.
func TestEndAfterAPause(t *testing.T) {
	t.Parallel()
	for _, pace := range []string{"", "X-Accel-Buffering: no\r\n"} {
		t.Run(pace, func(t *testing.T) {
			w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
				if c.Receive() == nil {
					return
				}
				c.Send("HTTP/1.1 200 OK\r\n" + pace + "Content-Type: text/plain\r\n\r\nhello")
				<-time.After(1200 * time.Millisecond)
			})
			conf := before(w)
			conf.Limits = "write_idle_timeout: 500ms"
			g := gatewaytest.Start(t, conf.String())
			for _, p := range gatewaytest.Protocols() {
				t.Run(p.String(), func(t *testing.T) {
					if got := g.Client(t, p).Get("/"); got.Code != 200 || got.Body != "hello" || got.BodyErr != nil {
						t.Errorf("got %d %q %v", got.Code, got.Body, got.BodyErr)
					}
				})
			}
		})
	}
}
