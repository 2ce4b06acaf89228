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
		conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock"}, Routes: "{pool: app, request_body: stream}"}
		conn, r := dialed(t, alone(t, p, conf))
		begun := time.Now()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000\r\n\r\n")
		got, err := gatewaytest.ReadResponse(r, "POST")
		if err != nil || got.Code != http.StatusBadGateway || time.Since(begun) > 3*time.Second {
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

// TestStopDoesNotWaitForRetired: a listener that a reload has removed is cut too.
func TestStopDoesNotWaitForRetired(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			got <- true
			c.WaitClosed()
		}
	})
	conf := before(w)
	conf.More = "grace: 8s"
	g := gatewaytest.Start(t, conf.String())
	c := g.Client(t, gatewaytest.H1S)
	go c.Try(c.Request("GET", "/", nil))
	<-got
	if err := g.ReloadWith(strings.Replace(conf.String(), `https: ["127.0.0.1:0"], `, "", 1)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	g.Stop()
	<-g.Ended()
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("Stop took %s", d)
	}
}

// TestHTTP3OffAndOn: what runs over HTTP/3 survives both reloads.
func TestHTTP3OffAndOn(t *testing.T) {
	t.Parallel()
	got, answer := make(chan bool, 1), make(chan bool)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			if r.Var("PATH_INFO") == "/slow" {
				got <- true
				<-answer
			}
			c.Send(answerOK)
		}
	})
	conf := before(w)
	on := conf.String()
	conf.Listen = "http3: false"
	g := gatewaytest.Start(t, on)
	c := g.Client(t, gatewaytest.H3)
	done := make(chan error, 1)
	go func() {
		resp, err := c.Try(c.Request("GET", "/slow", nil))
		if err == nil && resp.Body != "ok" {
			err = fmt.Errorf("%v", resp)
		}
		done <- err
	}()
	<-got
	if err := g.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	if err := g.ReloadWith(on); err != nil {
		t.Fatal(err)
	}
	if resp, err := g.Client(t, gatewaytest.H3).Try(c.Request("GET", "/", nil)); err != nil || resp.Code != 200 {
		t.Errorf("new: %v %v", resp, err)
	}
	close(answer)
	if err := <-done; err != nil {
		t.Errorf("the request that ran: %v", err)
	}
}

func TestTunnelEndsWhenTheClientTakesNothing(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() == nil {
			return
		}
		c.Send(answer101)
		c.Send(strings.Repeat("x", 32<<20))
	})
	conf := before(w)
	conf.Limits = "write_idle_timeout: 200ms"
	c := alone(t, gatewaytest.H1, conf)
	switched(t, c, "stalled", "")
	deadline := time.Now().Add(8 * time.Second)
	for time.Now().Before(deadline) {
		for _, l := range c.Gateway.Access.All() {
			if l.Text("request_id") == "stalled" {
				return
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Error("the tunnel is still open")
}

// TestStopCutsTunnels: no tunnel outlives Run.
func TestStopCutsTunnels(t *testing.T) {
	t.Parallel()
	w := echoes(t)
	c := alone(t, gatewaytest.H1, before(w))
	conn, r := switched(t, c, "cut", "early")
	expect(t, r, "hello,early")
	c.Gateway.Stop()
	<-c.Gateway.Ended()
	fmt.Fprint(conn, "late")
	b := make([]byte, 4)
	if n, err := io.ReadFull(r, b); err == nil {
		t.Errorf("the tunnel still carries %q", b[:n])
	}
	c.Gateway.Request("cut")
}

// TestStopLogsWhatItCuts: when Run returns, every handler has.
func TestStopLogsWhatItCuts(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			got <- true
			c.WaitClosed()
		}
	})
	c := alone(t, gatewaytest.H1, before(w))
	r := c.Request("GET", "/", nil)
	go c.Try(r)
	<-got
	c.Gateway.Stop()
	<-c.Gateway.Ended()
	id := r.Header.Get("X-Request-Id")
	for _, l := range c.Gateway.Access.All() {
		if l.Text("request_id") == id {
			return
		}
	}
	t.Error("no line when Run has returned")
}
