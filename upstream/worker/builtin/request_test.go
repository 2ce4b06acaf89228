package builtin_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"headgate/upstream/worker/builtin"
)

func TestInput(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	const body = "abcdef\nghi\njkl\nmno\npqr\nstu\n"
	const want = `[b'', b'abc', b'de', b'f\n', [b'ghi\n'], b'jkl\n', b'mno\n', [b'pqr\n', b'stu\n'], b'', b'', b'']`
	whole := append(request("POST", "/input", "CONTENT_LENGTH", fmt.Sprint(len(body))), body+"and what nobody announced"...)
	for _, at := range []int{len(whole), 1, 3, 4, 50, len(whole) - 40, len(whole) - 30, len(whole) - 1} {
		c := s.dial()
		if _, err := c.Write(whole[:at]); err != nil {
			t.Fatal(err)
		}
		until(t, "it has read the first part", func() bool { return unread(t, c) == 0 })
		_, _ = c.Write(whole[at:]) // what nobody announced need not be taken
		a, err := read("POST", c)
		if err != nil || a.Body != want {
			t.Errorf("cut at %d: %q, %v", at, a.Body, err)
		}
		c.Close()
	}
}

// unread is how much of what was sent the peer has not read.
func unread(t *testing.T, c net.Conn) (n int) {
	t.Helper()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return n
}

func TestLargeBodies(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	body := strings.Repeat("0123456789abcdef", 1<<18)
	tr := s.transport()
	got, err := post(t, tr, "/echo", body)
	if err != nil || got != body {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if got, err := post(t, tr, "/unread", body); err != nil || got != "much" {
		t.Errorf("an answer to what was not read: %q, %v", got, err)
	}
}

// startTCP starts the server on a port, and returns a function that connects to it.
func startTCP(t *testing.T) (dial func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	prepare(t).runOn(l.(*net.TCPListener), builtin.Options{App: "app"})
	return func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
}

// TestUnreadBodyTCP: the answer is not lost by a reset.
func TestUnreadBodyTCP(t *testing.T) {
	t.Parallel()
	dial := startTCP(t)
	for range 5 {
		c := dial()
		body := strings.Repeat("x", 300000)
		if _, err := c.Write(append(request("POST", "/unread", "CONTENT_LENGTH", "300000"), body...)); err != nil {
			t.Error(err)
		}
		if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "\r\n\r\nmuch") {
			t.Errorf("got %q, %v", b, err)
		}
		c.Close()
	}
}

// TestCutTCP: what is not whole ends in a reset.
func TestCutTCP(t *testing.T) {
	t.Parallel()
	dial := startTCP(t)
	for path, want := range map[string]error{"/raise-late": syscall.ECONNRESET, "/less": syscall.ECONNRESET, "/parts": nil, "/close-raises": nil} {
		c := dial()
		if _, err := c.Write(request("GET", path)); err != nil {
			t.Error(err)
		}
		if _, err := io.Copy(io.Discard, c); !errors.Is(err, want) {
			t.Errorf("%s ends in %v, want %v", path, err, want)
		}
		c.Close()
	}
}

func TestContentLength(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for text, want := range map[string]string{"": "", "5": "12345", "5abc": "12345", "-5": "", "5, 6": "12345", "x": "", "0": ""} {
		got := s.raw(append(request("POST", "/echo", "CONTENT_LENGTH", text), "123456789"...))
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != want {
			t.Errorf("%q: the app reads %q, want %q", text, body, want)
		}
	}
}

// TestClientGoneInBody: the app is told, and not given a shorter body.
func TestClientGoneInBody(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	c := s.dial()
	if _, err := c.Write(append(request("POST", "/slow-read", "CONTENT_LENGTH", "10"), "123"...)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	until(t, "what the app met: "+s.said.String(), func() bool { return strings.Contains(s.said.String(), "<class 'ConnectionResetError'>") })
	if a := s.get("/"); a.Body != "hello" || strings.Contains(s.said.String(), "Traceback") {
		t.Errorf("got %q; it said %s", a.Body, s.said)
	}
}

// TestSilentClients: they do not keep a thread.
func TestSilentClients(t *testing.T) {
	t.Parallel()
	s := prepare(t)
	s.replace = []string{"SILENCE = 30", "SILENCE = 1"}
	s.run(builtin.Options{App: "app", Threads: 4})
	s.ready()
	var silent []net.Conn
	for _, sent := range [][]byte{
		nil, {0}, request("GET", "/")[:20], append(request("POST", "/slow-read", "CONTENT_LENGTH", "10"), "123"...),
	} {
		c := s.dial()
		defer c.Close()
		_, _ = c.Write(sent)
		silent = append(silent, c)
	}
	if a := s.get("/"); a.Body != "hello" { // all threads are busy until a silent one is dropped
		t.Errorf("got %q", a.Body)
	}
	for i, c := range silent {
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("client %d: %q, %v", i, b, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	for _, c := range []struct {
		sent []byte
		said string
	}{
		{[]byte{0, 0, 0, 0}, "it has no variables"},
		{packet(5, "X", "y"), "its modifier1 is 5"},
		{[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "it is cut after"},
		{[]byte{0, 2, 0, 0, 9, 9}, "runs past the end of the block of 2 bytes"},
		{[]byte{0, 1, 0, 0, 9}, "runs past the end"},
		{[]byte{0, 3, 0, 0, 1, 0, 'X'}, "runs past the end"},
		{[]byte{0, 4, 0, 0, 1, 0, 'X', 1}, "runs past the end"},
		{[]byte{0, 6, 0, 0, 1, 0, 'X', 2, 0, 'y'}, "runs past the end"},
		{[]byte{0, 5, 0, 0, 0, 0, 1, 0, 'y'}, "a variable has no name"},
		{[]byte{0, 5, 0}, "it is cut after 3 bytes"},
		{request("GET", "/")[:30], "it is cut after 30 bytes"},
	} {
		before := len(s.said.String())
		conn := s.dial()
		_, _ = conn.Write(c.sent)
		_ = conn.(*net.UnixConn).CloseWrite()
		if got, _ := io.ReadAll(conn); len(got) > 0 {
			t.Errorf("%q is answered with %q", c.sent, got)
		}
		conn.Close()
		if said := s.said.String()[before:]; strings.Count(said, "\n") != 1 || !strings.Contains(said, "a packet is refused: ") || !strings.Contains(said, c.said) {
			t.Errorf("%q: it said %q, want %q", c.sent, said, c.said)
		}
	}
	before := s.said.String()
	s.dial().Close() // without a word
	if a := s.get("/"); a.Body != "hello" || s.said.String() != before {
		t.Errorf("got %q; it said %s", a.Body, s.said)
	}
}

// TestLargestPacket: 65535 bytes of variables, and a ping of that size.
func TestLargestPacket(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	size := 65535 - (len(request("GET", "/", "HTTP_X", "")) - 4)
	if a := s.get("/", "HTTP_X", strings.Repeat("x", size)); a.Body != "hello" {
		t.Errorf("got %q", a.Body)
	}
	if got := s.raw(packet(100, "X", strings.Repeat("x", 65530))); got != "\x64\x00\x00\x01" {
		t.Errorf("got %q", got)
	}
}

// FuzzServer throws bytes at a running server, which must still answer afterwards.
func FuzzServer(f *testing.F) {
	s := prepare(f)
	s.replace = []string{"SILENCE = 30", "SILENCE = 1"}
	s.run(builtin.Options{App: "app", Threads: 4})
	s.ready()
	for _, seed := range [][]byte{
		request("GET", "/"), request("POST", "/echo", "CONTENT_LENGTH", "3"), packet(100), request("GET", "/raise"),
		{0, 0, 0, 0},
		{0, 255, 255, 0},
		request("GET", "/parts", "UWSGI_FILE", "x", "UWSGI_SCHEME", "gopher", "CONTENT_LENGTH", "99999999999999999999999", "K", ""),
		request("GET", "/\xff\x00", "HTTP_X_REQUEST_ID", "\xff\n"), request("POST", "/input", "CONTENT_LENGTH", "100"), []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		f.Add(seed, len(seed)/2)
		f.Add(append(seed, seed...), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		s := &server{t: t, path: s.path, said: s.said}
		cut = min(max(cut, 0), len(data))
		c := s.dial()
		_, _ = c.Write(data[:cut])
		_, _ = c.Write(data[cut:])
		_ = c.(*net.UnixConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		if got := s.raw(packet(100)); got != "\x64\x00\x00\x01" {
			t.Fatalf("a ping is answered with %q", got)
		}
		if strings.Contains(s.said.String(), "a fault of the server") {
			t.Fatal(s.said.String())
		}
	})
}
