package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// dialed is a raw connection with a deadline, and what reads from it.
func dialed(t *testing.T, c *gatewaytest.Client) (io.ReadWriter, *bufio.Reader) {
	t.Helper()
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// streaming is a site whose request bodies stream.
func streaming(w ...*uwsgitest.Worker) gatewaytest.Conf {
	conf := before(w...)
	conf.Routes = "{pool: app, request_body: stream}"
	return conf
}

// TestStreamedBodyIsWhole: a worker that answers while it reads gets every byte.
func TestStreamedBodyIsWhole(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.ReceiveVars()
		if r == nil {
			return
		}
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", r.Length()))
		_, _ = io.CopyN(c, c.Conn, int64(r.Length()))
	})
	g := gatewaytest.Start(t, streaming(w).String())
	for _, p := range gatewaytest.Protocols() {
		t.Run(p.String(), func(t *testing.T) {
			c := g.Client(t, p)
			pr, pw := io.Pipe()
			r := c.Request("POST", "/", pr)
			const n = 40
			r.ContentLength = n << 10
			go func() {
				for i := range n {
					fmt.Fprint(pw, strings.Repeat(string(rune('A'+i)), 1<<10))
					<-time.After(10 * time.Millisecond)
				}
				pw.Close()
			}()
			resp, err := c.Open(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if len(b) != n<<10 || err != nil {
				t.Errorf("got %d bytes (%v)", len(b), err)
			}
		})
	}
}

// TestEarlyAnswerToAStream: the answer is not held back for the rest of the body.
func TestEarlyAnswerToAStream(t *testing.T) {
	t.Parallel()
	for _, size := range []int{2, 10 << 10, 100 << 10} {
		for _, end := range []bool{true, false} {
			t.Run(fmt.Sprint(size, end), func(t *testing.T) {
				t.Parallel()
				w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
					if c.ReceiveVars() == nil {
						return
					}
					c.Send(fmt.Sprintf("HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)))
					if !end {
						c.WaitClosed()
					}
				})
				h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
					conn, r := dialed(t, alone(t, p, streaming(w)))
					begun := time.Now()
					fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000\r\n\r\nbegin")
					got, err := gatewaytest.ReadResponse(r, "POST")
					if err != nil || got.Code != 403 || len(got.Body) != size || time.Since(begun) > 3*time.Second {
						t.Errorf("got %v (%v) after %s", got != nil, err, time.Since(begun))
					}
				})
			})
		}
	}
}

// TestFailureOfAStream: a client that waits with its body gets the page.
func TestFailureOfAStream(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock"}, Pool: "queue: {timeout: 100ms}", Routes: "{pool: app, request_body: stream}"}
		conn, r := dialed(t, alone(t, p, conf))
		begun := time.Now()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000\r\n\r\n")
		got, err := gatewaytest.ReadResponse(r, "POST")
		if err != nil || got.Code != http.StatusServiceUnavailable || time.Since(begun) > 3*time.Second {
			t.Errorf("got %v (%v) after %s", got, err, time.Since(begun))
		}
	})
}

// TestRestOfAStreamIsNoRequest: after an early answer what comes of the body is
// not read as a request.
func TestRestOfAStreamIsNoRequest(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.ReceiveVars() != nil {
			c.Send(answerOK)
		}
	})
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		conn, r := dialed(t, alone(t, p, streaming(w)))
		const next = "GET /smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: %d\r\n\r\nx", len(next)+1)
		got, err := gatewaytest.ReadResponse(r, "POST")
		if err != nil || got.Code != 200 {
			t.Fatalf("got %v (%v)", got, err)
		}
		fmt.Fprint(conn, next)
		if b, err := io.ReadAll(r); len(b) > 0 {
			t.Errorf("got another answer: %q (%v)", b, err)
		}
		for _, req := range w.Requests() {
			if strings.Contains(req.Var("PATH_INFO"), "smuggled") {
				t.Error("the rest of the body was a request")
			}
		}
	})
}

// TestHintsAndContinue: 103 and 100 come from two goroutines (race detector).
func TestHintsAndContinue(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.ReceiveVars()
		if r == nil {
			return
		}
		c.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		_, _ = io.CopyN(io.Discard, c.Conn, int64(r.Length()))
		c.Send(answerOK)
	})
	c := alone(t, gatewaytest.H1, streaming(w))
	for range 20 {
		conn, r := dialed(t, c)
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
		<-time.After(20 * time.Millisecond)
		fmt.Fprint(conn, "hi")
		if got, err := gatewaytest.ReadResponse(r, "POST"); err != nil || got.Code != 200 {
			t.Fatal(got, err)
		}
	}
}

// TestStalledStreamIsATimeout: 408, whether the body streams or not.
func TestStalledStreamIsATimeout(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.Receive() })
	conf := streaming(w)
	conf.Limits = "body_idle_timeout: 100ms"
	g := gatewaytest.Start(t, conf.String())
	for _, p := range gatewaytest.Protocols() {
		t.Run(p.String(), func(t *testing.T) {
			c := g.Client(t, p)
			pr, pw := io.Pipe()
			defer pw.Close()
			r := c.Request("POST", "/", pr)
			r.ContentLength = 100
			go fmt.Fprint(pw, "begin")
			got, err := c.Try(r)
			if err != nil || got.Code != 408 {
				t.Errorf("got %v (%v), want 408", got, err)
			}
		})
	}
}
