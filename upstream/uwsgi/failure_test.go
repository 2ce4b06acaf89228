package uwsgi_test

import (
	"io"
	"net"
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

func TestNobodyThere(t *testing.T) {
	dir := shortDir(t)
	left := filepath.Join(dir, "left.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: left})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().String()
	free.Close()
	datagram := filepath.Join(dir, "d.sock")
	d, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: datagram})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, tt := range []struct {
		name  string
		addr  uwsgi.Address
		cause string
	}{
		{"missing", unixAt(filepath.Join(dir, "no.sock")), "no socket at " + dir + "/no.sock"},
		{"left over", unixAt(left), "nobody listens at " + left},
		{"datagrams", unixAt(datagram), "not a stream socket"},
		{"too long", unixAt("/" + strings.Repeat("x", 120)), "path cannot be used"},
		{"abstract", unixAt("@headgate-nobody\x00"), "nobody listens at @headgate-nobody"},
		{"tcp", uwsgi.Address{Network: "tcp", Addr: port}, "connection refused"},
		{"name", uwsgi.Address{Network: "tcp", Addr: "no.such.name.invalid:1"}, "cannot be looked up"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := post("hello")
			e := doError(t, newTransport(t, tt.addr, uwsgi.Options{}), req)
			wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, tt.cause)
			if e.Cure == "" {
				t.Error("no cure")
			}
			if b, _ := io.ReadAll(req.Body); string(b) != "hello" {
				t.Errorf("the body was touched: %q is left", b)
			}
		})
	}
}

func TestPermissionDenied(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root may connect to everything: look at how the errno is told only
		// where a user can meet it.
		t.Skip("runs as root")
	}
	dir := shortDir(t)
	path := filepath.Join(dir, "w.sock")
	w := uwsgitest.StartAt(t, unixAt(path), func(*uwsgitest.Conn) {})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/"))
	wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, "permission denied")
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
	if err := syscall.Listen(fd, 0); err != nil {
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

func TestFullBacklogIsWaitedFor(t *testing.T) {
	addr, accept := fullBacklog(t)
	begun := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-begun
		accept()
	}()
	close(begun)
	do(t, newTransport(t, addr, uwsgi.Options{}), get("/"))
	<-done
}

func TestFullBacklogTimesOut(t *testing.T) {
	addr, _ := fullBacklog(t)
	e := doError(t, newTransport(t, addr, uwsgi.Options{ConnectTimeout: 30 * time.Millisecond}), get("/"))
	wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, "listen backlog full")
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
			"reset, body", (*uwsgitest.Conn).Reset, func() *uwsgi.Request { return replayable("hello") },
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
					c.Read(make([]byte, 1)) // or the reset may come before the write
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
