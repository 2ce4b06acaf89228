package uwsgi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func unixAt(path string) uwsgi.Address { return uwsgi.Address{Network: "unix", Addr: path} }

// shortDir is short enough for the path of a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fullBacklog listens without accepting and fills the queue; accept empties it.
func fullBacklog(t *testing.T) (addr uwsgi.Address, accept func()) {
	t.Helper()
	path := filepath.Join(shortDir(t), "full.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	patience := syscall.Timeval{Sec: 5} // of accept
	if err := errors.Join(syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	filler, err := net.Dial("unix", path) // a queue of 0 takes one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filler.Close() })
	return unixAt(path), func() {
		for range 2 {
			c, _, err := syscall.Accept(fd)
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			f := os.NewFile(uintptr(c), "accepted")
			defer f.Close()
			io.WriteString(f, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}
}

func TestFullBacklogIsAnErrorAtOnce(t *testing.T) {
	addr, _ := fullBacklog(t)
	tr := newTransport(t, addr, uwsgi.Options{})
	req := post("hello")
	e := doError(t, tr, req)
	wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, "listen backlog full: every worker is busy")
	if !e.Full() || e.Away() || !e.Unsent() || !strings.Contains(e.Cure, "more processes") {
		t.Errorf("full %v, away %v, cure %q", e.Full(), e.Away(), e.Cure)
	}
	if b, _ := io.ReadAll(req.Body); string(b) != "hello" {
		t.Errorf("the body was touched: %q is left", b)
	}
	var reached *uwsgi.Error
	if err := tr.Reach(t.Context()); !errors.As(err, &reached) || !reached.Full() || reached.Away() {
		t.Errorf("Reach: %v, want that it is full", err)
	}
}

// roundTrip posts a body of unknown length.
func roundTrip(ctx context.Context, tr *uwsgi.Transport, url string) error {
	r, err := http.NewRequestWithContext(ctx, "POST", url, io.MultiReader(strings.NewReader("hello")))
	if err != nil {
		return err
	}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func TestRoundTripWaitsForRoom(t *testing.T) {
	addr, accept := fullBacklog(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-time.After(50 * time.Millisecond)
		accept()
	}()
	if err := roundTrip(t.Context(), newTransport(t, addr, uwsgi.Options{}), "http://x/"); err != nil {
		t.Error(err)
	}
	<-done
}

func TestRoundTripWaitsOnlySoLong(t *testing.T) {
	addr, _ := fullBacklog(t)
	var e *uwsgi.Error
	began := time.Now()
	err := roundTrip(t.Context(), newTransport(t, addr, uwsgi.Options{ConnectTimeout: 40 * time.Millisecond}), "http://x/")
	if !errors.As(err, &e) || !e.Full() || !e.NeverRan {
		t.Errorf("got %v, want that the backlog is full", err)
	}
	if took := time.Since(began); took < 40*time.Millisecond {
		t.Errorf("it gave up after %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err = roundTrip(ctx, newTransport(t, addr, uwsgi.Options{}), "http://x/")
	if !errors.As(err, &e) || e.Kind != uwsgi.KindCanceled || e.Full() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

// TestFailureSignatures is the table of reference/uwsgi.md 3.2.
func TestFailureSignatures(t *testing.T) {
	for _, tt := range []struct {
		name     string
		script   func(*uwsgitest.Conn)
		req      func() *uwsgi.Request
		stage    uwsgi.Stage
		kind     uwsgi.Kind
		neverRan bool
		cause    string
	}{
		{
			"EOF, no body", func(c *uwsgitest.Conn) { c.Receive() }, func() *uwsgi.Request { return get("/") },
			uwsgi.StageHead, uwsgi.KindNoAnswer, false, "closed without an answer after ",
		},
		{
			"EOF, body", func(c *uwsgitest.Conn) { c.Receive() }, func() *uwsgi.Request { return post("hello") },
			uwsgi.StageHead, uwsgi.KindNoAnswer, false, "closed without an answer after ",
		},
		{
			"reset, no body", (*uwsgitest.Conn).Reset, func() *uwsgi.Request { return get("/") },
			uwsgi.StageHead, uwsgi.KindNoAnswer, true, "not read by any worker",
		},
		{
			"reset, body unread", func(c *uwsgitest.Conn) {
				c.ReceiveVars()
				c.Reset()
			}, func() *uwsgi.Request { return replayable("hello") },
			uwsgi.StageHead, uwsgi.KindNoAnswer, false, "a worker may have run it",
		},
		{
			"reset in a close-delimited body", func(c *uwsgitest.Conn) {
				c.ReceiveVars()
				c.Send("HTTP/1.1 200 OK\r\n\r\nhello")
				c.Reset()
			}, func() *uwsgi.Request { return replayable("hello") },
			uwsgi.StageBody, uwsgi.KindCut, false, "cut in its body",
		},
		{
			"reset in a counted body", func(c *uwsgitest.Conn) {
				c.ReceiveVars()
				c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
				c.Reset()
			}, func() *uwsgi.Request { return replayable("hello") },
			uwsgi.StageBody, uwsgi.KindCut, false, "cut in its body",
		},
		{
			"reset in the head", func(c *uwsgitest.Conn) {
				c.ReceiveVars()
				c.Send("HTTP/1.1 200 OK\r\n")
				c.Reset()
			}, func() *uwsgi.Request { return replayable("hello") },
			uwsgi.StageHead, uwsgi.KindNoAnswer, false, "in the middle of the response's head",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := doError(t, newTransport(t, uwsgitest.Start(t, tt.script).Addr(), uwsgi.Options{}), tt.req())
			wantError(t, e, tt.stage, tt.kind, tt.neverRan, tt.cause)
		})
		if strings.HasPrefix(tt.name, "reset,") {
			t.Run(tt.name+", tcp", func(t *testing.T) {
				e := doError(t, newTransport(t, uwsgitest.StartTCP(t, func(c *uwsgitest.Conn) {
					if tt.neverRan {
						c.Read(make([]byte, 1)) // or the reset may come before the write
					}
					tt.script(c)
				}).Addr(), uwsgi.Options{}), tt.req())
				wantError(t, e, tt.stage, tt.kind, tt.neverRan, tt.cause)
			})
		}
	}
}

func TestResetAfterACountedAnswerIsSuccess(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.ReceiveVars()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		c.Reset()
	})
	if _, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), replayable("unread")); body != "hello" {
		t.Errorf("got %q", body)
	}
}

func TestSilentStrangerIsHinted(t *testing.T) {
	w := uwsgitest.Start(t, (*uwsgitest.Conn).WaitClosed)
	e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{ResponseTimeout: 30 * time.Millisecond}), get("/"))
	if !strings.Contains(e.Cure, "--protocol uwsgi") {
		t.Errorf("cure %q does not mention HTTP", e.Cure)
	}
}

// wide is a request whose block is larger than size bytes.
func wide(size int) *uwsgi.Request {
	r := get("/")
	r.Header = uwsgi.HeaderFields{"Cookie": {strings.Repeat("c", size)}}
	return r
}

// buffered is a worker with a buffer-size.
func buffered(t *testing.T, limit *atomic.Int32) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		var h [uwsgi.HeaderBytes]byte
		if _, err := io.ReadFull(c, h[:]); err != nil {
			return
		}
		modifier, size, _ := uwsgi.ParseHeader(h)
		if size > int(limit.Load()) {
			c.Reset()
			return
		}
		io.CopyN(io.Discard, c, int64(size))
		if modifier == 0 {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			c.WaitClosed()
		}
	})
}

func TestBufferSizeIsLearned(t *testing.T) {
	var limit atomic.Int32
	limit.Store(4096)
	w := buffered(t, &limit)
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	do(t, tr, wide(3000))
	for i, conns := range []int{3, 4} { // confirmed by a second try, then known
		e := doError(t, tr, wide(5000))
		wantError(t, e, uwsgi.StageSend, uwsgi.KindTooLarge, true, "the biggest header is Cookie with 50")
		if !strings.Contains(e.Cure, "buffer-size = 8192") {
			t.Errorf("cure %q", e.Cure)
		}
		if got := w.Conns(); got != conns {
			t.Errorf("request %d: %d connections, want %d", i, got, conns)
		}
	}
	limit.Store(65535)
	do(t, tr, wide(5000)) // started again with more: it was tried, not refused
	limit.Store(4096)
	wantError(t, doError(t, tr, wide(5000)), uwsgi.StageHead, uwsgi.KindNoAnswer, true, "not read")
	wantError(t, doError(t, tr, wide(5000)), uwsgi.StageSend, uwsgi.KindTooLarge, true, "Cookie")
	do(t, tr, wide(3000))
}

func TestBufferSizeIsLearnedWithABody(t *testing.T) {
	var limit atomic.Int32
	limit.Store(4096)
	w := buffered(t, &limit)
	req := replayable("hello")
	req.Header = wide(5000).Header
	e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
	wantError(t, e, uwsgi.StageSend, uwsgi.KindTooLarge, true, "Cookie")
}

func TestResetOfALargeBlockIsNotAlwaysItsSize(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Number == 1 { // the listener went away
			c.Reset()
			return
		}
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	do(t, newTransport(t, w.Addr(), uwsgi.Options{}), wide(5000))
}
