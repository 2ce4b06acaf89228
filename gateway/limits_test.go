package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestLimitsOfTheHead(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("X-Field-%d: v", i))
	}
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		refusal{code: 431, cause: "the biggest field is X-Big with 70005 bytes", cure: "make X-Big smaller"}.get(t, c, "X-Big: "+strings.Repeat("x", 70000), "X-Small: y")
		refusal{code: 431, cause: "fields; the limit is 100", cure: "send fewer header fields"}.get(t, c, many...)
		refusal{code: 414, cause: "the limit is 16384", cure: "limits.uri_bytes"}.check(t, c, c.Get("/?"+strings.Repeat("q", 17000)))
		if got := c.Get("/?"+strings.Repeat("q", 16000), many[:90]...); got.Code != 200 {
			t.Errorf("a request within the limits got %d %q", got.Code, got.Body)
		}
	})
	if n := len(w.Requests()); n != len(gatewaytest.Protocols()) {
		t.Errorf("%d requests reached the worker", n)
	}
}

// TestHugeHead is beyond what the libraries read: no page of ours, but an end.
func TestHugeHead(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		got, err := c.Raw(gatewaytest.Head{Authority: gatewaytest.Host, Fields: [][2]string{{"X-Big", strings.Repeat("x", 400<<10)}}}, "")
		if err == nil && got.Code != 431 {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
		if len(w.Requests()) > 0 {
			t.Error("a worker got it")
		}
	})
}

func TestTooManyVariables(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Limits, conf.Pool = "headers: 300, header_bytes: 200KiB", "dialect: uwsgi"
	var many []string
	for i := range 115 {
		many = append(many, fmt.Sprintf("X-Field-%d: v", i))
	}
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/", many...)
		refusal{code: 431, cause: "variables, and uWSGI takes 128", cure: "the client must send fewer header fields"}.check(t, c, got)
		if l := c.Gateway.Logged("request failed", got.ID); l.Number("status") != 431 {
			t.Errorf("log: %v", l)
		}
		got = c.Get("/", "X-Big: "+strings.Repeat("x", 66000))
		refusal{code: 431, cause: "the biggest header is X-Big", cure: "the client must send a smaller X-Big header"}.check(t, c, got)
	})
	if len(w.Requests()) > 0 {
		t.Error("a worker got a request")
	}
}

func TestBodyOverItsLimit(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Limits = "body: 1KiB"
	seen := 0
	conf.Routes = `{path: /big/, limits: {body: 1MiB}, pool: app}, {path: /stream/, request_body: stream, pool: app}, {pool: app}`
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		const size = 100 << 10
		for _, path := range []string{"/", "/stream/"} {
			refusal{code: 413, cause: fmt.Sprintf("the body has %d bytes; the limit is 1024", size), cure: "limits.body"}.
				check(t, c, c.Post(path, strings.Repeat("x", size)))
			refusal{code: 413, cause: "the body is longer than the limit of 1024 bytes", cure: "limits.body"}.
				check(t, c, c.Do(c.Request("POST", path, unknown(strings.Repeat("x", size)))))
		}
		if len(w.Requests()) != seen {
			t.Fatal("a worker got a request")
		}
		if got := c.Post("/big/", strings.Repeat("x", size)); got.Code != 200 {
			t.Errorf("a route with a limit of its own: got %d %q", got.Code, got.Body)
		}
		if got := c.Do(c.Request("POST", "/", unknown(strings.Repeat("x", 1024)))); got.Code != 200 {
			t.Errorf("exactly the limit: got %d %q", got.Code, got.Body)
		}
		seen += 2
	})
}

// unknown is a body of unknown length.
func unknown(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }

func TestBodyThatStops(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Limits = "body_idle_timeout: 300ms"
	g := gatewaytest.Start(t, conf.String())
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		c := g.Client(t, p)
		for _, length := range []int64{100, -1} {
			body, feed := io.Pipe()
			r := c.Request("POST", "/", body)
			r.ContentLength = length
			go func() { _, _ = io.WriteString(feed, "half") }() // and then nothing
			got := c.Do(r)
			feed.Close()
			refusal{code: 408, cause: "nothing of the body came for 300ms", cure: "limits.body_idle_timeout"}.check(t, c, got)
			if line := g.Request(got.ID); line.Number("bytes_in") != 4 {
				t.Errorf("access log: %v", line)
			}
		}
	})
}

// TestSlowBodyIsNoStop: the time is that between two pieces.
func TestSlowBodyIsNoStop(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Limits = "body_idle_timeout: 2s"
	g := gatewaytest.Start(t, conf.String())
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		c := g.Client(t, p)
		body, feed := io.Pipe()
		go func() {
			tick := time.NewTicker(500 * time.Millisecond)
			defer tick.Stop()
			for range 5 {
				<-tick.C
				_, _ = io.WriteString(feed, "x")
			}
			feed.Close()
		}()
		if got := c.Do(c.Request("POST", "/", body)); got.Code != 200 {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
	})
}

// TestClientThatDoesNotRead: its answer ends after write_idle_timeout, and the
// worker is free.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{"relayed": "", "in pace": "X-Accel-Buffering: no\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
				const size = 24 << 20
				done := make(chan struct{})
				w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
					defer close(done)
					c.Receive()
					c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n", head, size))
					c.Send(strings.Repeat("x", size))
				})
				conf := before(w)
				conf.Limits = "write_idle_timeout: 400ms, response_file: off"
				c := alone(t, p, conf)
				r := c.Request("GET", "/", nil)
				resp, err := c.Open(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				wait(t, done, "the worker to be free")
				line := c.Gateway.Request(r.Header.Get("X-Request-Id"))
				if line["aborted"] != true || !strings.Contains(line.Text("err"), "the client took nothing for 400ms") {
					t.Errorf("access log: %v", line)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Errorf("the client got %d bytes and a clean end", n)
				}
			})
		})
	}
}

// TestWriteTimeoutIsOfOneAnswer: the time that a connection rests between two
// requests is nobody's fault.
func TestWriteTimeoutIsOfOneAnswer(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		switch r.Var("PATH_INFO") {
		case "/events":
			c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
		case "/hints":
			c.Send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answerOK)
		default:
			c.Send(answerOK)
		}
	})
	conf := before(w)
	conf.Limits = "write_idle_timeout: 500ms"
	g := gatewaytest.Start(t, conf.String())
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, path := range []string{"/", "/events", "/hints", "/upload"} {
			t.Run(path[1:], func(t *testing.T) {
				t.Parallel()
				c := g.Client(t, p)
				if got := c.Get("/"); got.Code != 200 {
					t.Fatalf("got %d %q", got.Code, got.Body)
				}
				<-time.After(800 * time.Millisecond)
				r := c.Request("GET", path, nil)
				if path == "/upload" {
					r = c.Request("POST", path, strings.NewReader("x"), "Expect: 100-continue")
				}
				got, err := c.Try(r)
				if err != nil || got.Code != 200 || got.BodyErr != nil || got.Body == "" {
					t.Errorf("%s after a rest: got %+v, %v", path, got, err)
				}
			})
		}
	})
}

// TestWorkerMayBeSlowerThanTheClient: no time runs while the client waits for
// the worker.
func TestWorkerMayBeSlowerThanTheClient(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		c.Send("HTTP/1.1 200 OK\r\n" + r.Var("HTTP_X_HEAD") + ": " + r.Var("HTTP_X_VALUE") + "\r\n\r\nbegin,")
		<-time.After(1500 * time.Millisecond)
		c.Send("end")
	})
	conf := before(w)
	conf.Limits = "write_idle_timeout: 800ms, body_idle_timeout: 800ms"
	conf.Routes = "{path: /stream, request_body: stream, pool: app}, {pool: app}"
	g := gatewaytest.Start(t, conf.String())
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		c := g.Client(t, p)
		for _, path := range []string{"/", "/stream"} {
			for _, header := range [][2]string{{"X-A", "b"}, {"X-Accel-Buffering", "no"}} {
				got := c.Post(path, strings.Repeat("body", 30000), "X-Head: "+header[0], "X-Value: "+header[1])
				if got.Code != 200 || got.Body != "begin,end" || got.BodyErr != nil {
					t.Errorf("%s: got %+v", path, got)
				}
			}
		}
	})
}

func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Routes: "{respond: {status: 200}}", Limits: "header_timeout: 1500ms, idle_timeout: 1500ms"}
	g := gatewaytest.Start(t, conf.String())
	for name, send := range map[string]string{
		"half a head": "GET / HTTP/1.1\r\nHost: app.loc", "nothing": "", "idle": "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
	} {
		for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S} {
			t.Run(name+" "+p.String(), func(t *testing.T) {
				t.Parallel()
				conn, err := g.Client(t, p).Dial()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if send != "" {
					if _, err := io.WriteString(conn, send); err != nil {
						t.Fatal(err)
					}
				}
				var b strings.Builder
				if _, err := copyAll(&b, conn); err != nil {
					t.Fatalf("the connection does not end: %v", err)
				}
				if name == "idle" && !strings.HasPrefix(b.String(), "HTTP/1.1 200") {
					t.Errorf("got %q", b.String())
				}
			})
		}
	}
}

// TestUnreadBodyHoldsNothing: who is answered without its body has a moment to
// send the rest, and no more.
func TestUnreadBodyHoldsNothing(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, gatewaytest.Conf{Routes: "{path: /x, respond: {status: 200}}"}.String())
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			conn, err := g.Client(t, p).Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST /none HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 2000\r\n\r\nhalf")
			var b strings.Builder
			if _, err := copyAll(&b, conn); err != nil {
				t.Fatalf("the connection does not end: %v", err)
			}
			if !strings.HasPrefix(b.String(), "HTTP/1.1 404 ") {
				t.Errorf("got %q", b.String())
			}
		})
	}
}

// TestExpectContinue: the gateway asks for a body only when it will be taken.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Limits = "body: 1KiB"
	g := gatewaytest.Start(t, conf.String())
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S} {
		conn, err := g.Client(t, p).Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n")
		var b strings.Builder
		if _, err := copyAll(&b, conn); err != nil {
			t.Fatalf("%s: %v, after %q", p, err, b.String())
		}
		if !strings.HasPrefix(b.String(), "HTTP/1.1 413 ") {
			t.Errorf("too long: got %q", b.String())
		}
		c := g.Client(t, p)
		if got := c.Do(c.Request(http.MethodPost, "/", strings.NewReader("hi"), "Expect: 100-continue")); got.Code != 200 {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
		checkEnv(t, w, map[string]string{"CONTENT_LENGTH": "2", "-HTTP_EXPECT": ""})
	}
}
