package uwsgi_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestBodyReachesTheWorker(t *testing.T) {
	for _, size := range []int{0, 1, 16 << 10, 16<<10 + 1, 3 << 20} {
		body := strings.Repeat("headgate", size/8+1)[:size]
		for name, make := range map[string]func(string) *uwsgi.Request{"streamed": post, "at hand": replayable} {
			w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			do(t, newTransport(t, w.Addr(), uwsgi.Options{}), make(body))
			if got := w.Requests(); len(got) != 1 || string(got[0].Body) != body {
				t.Errorf("%s, %d bytes: the worker got something else", name, size)
			}
		}
	}
}

func TestNoByteBeyondContentLength(t *testing.T) {
	rest := make(chan []byte, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		b, _ := io.ReadAll(c)
		rest <- b
	})
	for _, req := range []*uwsgi.Request{post("hello, world"), replayable("hello, world"), post(strings.Repeat("x", 100<<10))} {
		req.ContentLength = min(req.ContentLength-1, 5+req.ContentLength/2)
		do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
		if b := <-rest; len(b) > 0 {
			t.Errorf("%d bytes too many", len(b))
		}
	}
}

func TestShortBody(t *testing.T) {
	for name, req := range map[string]*uwsgi.Request{"streamed": post("hello"), "at hand": replayable("hello")} {
		t.Run(name, func(t *testing.T) {
			req.ContentLength = 6
			w := uwsgitest.Start(t, (*uwsgitest.Conn).WaitClosed)
			e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
			if e.Kind != uwsgi.KindBody || !strings.Contains(e.Error(), "ended before its length") {
				t.Errorf("got %v", e)
			}
		})
	}
}

var errClient = errors.New("the client went away")

func TestBrokenBody(t *testing.T) {
	w := uwsgitest.Start(t, (*uwsgitest.Conn).WaitClosed)
	req := get("/")
	req.ContentLength = 10
	req.Body = io.MultiReader(strings.NewReader("hello"), errorReader{})
	e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
	if e.Kind != uwsgi.KindBody || !errors.Is(e, errClient) {
		t.Errorf("got %v, want KindBody", e)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errClient }

func TestEarlyAnswer(t *testing.T) {
	const size = 64 << 20 // more than the kernel keeps for anybody
	for name, script := range map[string]func(*uwsgitest.Conn){
		"close":  func(c *uwsgitest.Conn) {},
		"reset":  (*uwsgitest.Conn).Reset,
		"linger": (*uwsgitest.Conn).WaitClosed,
	} {
		for kind, start := range map[string]func(testing.TB, func(*uwsgitest.Conn)) *uwsgitest.Worker{"unix": uwsgitest.Start, "tcp": uwsgitest.StartTCP} {
			t.Run(name+" "+kind, func(t *testing.T) {
				w := start(t, func(c *uwsgitest.Conn) {
					c.ReceiveVars()
					c.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
					script(c)
				})
				req := get("/")
				req.Method, req.Body, req.ContentLength = "POST", io.LimitReader(zeros{}, size), size
				req.StopBody = func() {} // a Read returns by itself: wait for it
				resp, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
				if resp.Status != 413 || body != "much" {
					t.Errorf("got %d %q", resp.Status, body)
				}
				// Close has returned: nobody reads the body any more, and it
				// was not read to its end.
				if rest := req.Body.(*io.LimitedReader).N; rest == 0 && name != "linger" {
					t.Error("the whole body was read")
				}
			})
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// clientBody is a body whose client says nothing more until it is interrupted.
type clientBody struct {
	waiting chan struct{} // closed by the first Read
	stop    chan struct{}
}

func (b *clientBody) Read([]byte) (int, error) {
	close(b.waiting)
	<-b.stop
	return 0, errClient
}

func TestCloseInterruptsABlockedBody(t *testing.T) {
	b := &clientBody{make(chan struct{}), make(chan struct{})}
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		<-b.waiting
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		c.WaitClosed()
	})
	req := get("/")
	req.Body, req.ContentLength, req.StopBody = b, 5, func() { close(b.stop) }
	do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req) // hangs if Close does not call StopBody
}

func TestCloseDoesNotWaitForABlockedBody(t *testing.T) {
	b := &clientBody{make(chan struct{}), make(chan struct{})}
	defer close(b.stop)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		<-b.waiting
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		c.WaitClosed()
	})
	req := get("/")
	req.Body, req.ContentLength = b, 5
	do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req) // hangs if Close waits
}

// slowBody gives one piece for each tick of the test.
type slowBody struct{ pieces chan string }

func (b *slowBody) Read(p []byte) (int, error) { return copy(p, <-b.pieces), nil }

// TestClockStartsWithTheLastByte: a client that takes longer than the response
// timeout to send its body is not the worker's fault.
func TestClockStartsWithTheLastByte(t *testing.T) {
	const timeout = 40 * time.Millisecond
	w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	b := &slowBody{make(chan string)}
	req := get("/")
	req.Body, req.ContentLength = b, 2
	go func() {
		b.pieces <- "a"
		<-time.After(3 * timeout)
		b.pieces <- "b"
	}()
	if _, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{ResponseTimeout: timeout}), req); body != "ok" {
		t.Errorf("got %q", body)
	}
}

func TestWorkerThatDoesNotReadTimesOut(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		<-t.Context().Done()
	})
	e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{ResponseTimeout: 50 * time.Millisecond}), post(strings.Repeat("x", 3<<20)))
	wantError(t, e, uwsgi.StageSend, uwsgi.KindTimeout, false, "took nothing of the request")
}

func TestBothWaysAtOnce(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.ReceiveVars()
		c.Send("HTTP/1.1 200 OK\r\n\r\n")
		io.CopyN(c, c, int64(r.Length()))
	})
	if _, got := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), post(string(body))); got != string(body) {
		t.Errorf("%d bytes came back, not what was sent", len(got))
	}
}

// TestWorkerThatTakesNothing: the time for an answer is over once, not once for
// the body and once more for the head.
func TestWorkerThatTakesNothing(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		<-t.Context().Done() // reads no body, says nothing
	})
	const limit = time.Second
	tr := newTransport(t, w.Addr(), uwsgi.Options{ResponseTimeout: limit})
	const size = 64 << 20
	req := get("/")
	req.Method, req.Body, req.ContentLength = "POST", io.LimitReader(zeros{}, size), size
	begun := time.Now()
	e := doError(t, tr, req)
	if e.Kind != uwsgi.KindTimeout {
		t.Errorf("got %v, want a timeout", e)
	}
	if took := time.Since(begun); took < limit || took > limit*19/10 {
		t.Errorf("took %v, want about %v", took, limit)
	}
}
