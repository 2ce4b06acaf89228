package uwsgi_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func tcpAt(addr string) uwsgi.Address { return uwsgi.Address{Network: "tcp", Addr: addr} }

// leftOver returns a socket file behind which nobody listens any more.
func leftOver(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "left.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}

func datagramSocket(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "d.sock")
	d, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return path
}

func TestNobodyThere(t *testing.T) {
	dir := shortDir(t)
	left, datagram := leftOver(t, dir), datagramSocket(t, dir)
	for _, tt := range []struct {
		name  string
		addr  uwsgi.Address
		cause string
		away  bool
	}{
		{"missing", unixAt(filepath.Join(dir, "no.sock")), "no socket at " + dir + "/no.sock", true},
		{"missing directory", unixAt(filepath.Join(dir, "no", "no.sock")), "no socket at ", true},
		{"below a file", unixAt(left + "/no.sock"), "no socket at ", true},
		{"left over", unixAt(left), "nobody listens at " + left, true},
		{"abstract", unixAt("@headgate-nobody\x00"), "nobody listens at @headgate-nobody", true},
		{"tcp", tcpAt(freePort(t)), "connection refused", true},
		{"no route", tcpAt("127.255.255.255:9"), "no route", true}, // a broadcast address takes no connections
		{"name", tcpAt("no.such.name.invalid:1"), "cannot be looked up", true},
		{"datagrams", unixAt(datagram), "not a stream socket", false},
		{"too long", unixAt("/" + strings.Repeat("x", 120)), "path cannot be used", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := post("hello")
			tr := newTransport(t, tt.addr, uwsgi.Options{})
			e := doError(t, tr, req)
			wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, tt.cause)
			wantAway(t, e, tt.away)
			if e.Cure == "" {
				t.Error("no cure")
			}
			if b, _ := io.ReadAll(req.Body); string(b) != "hello" {
				t.Errorf("the body was touched: %q is left", b)
			}
			if err := tr.Reach(t.Context()); !errors.As(err, &e) {
				t.Errorf("Reach: got %v, want an *Error", err)
			}
			wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, tt.cause)
			wantAway(t, e, tt.away)
		})
	}
}

func wantAway(t *testing.T, e *uwsgi.Error, away bool) {
	t.Helper()
	if e.Away() != away || e.Full() || !e.Unsent() {
		t.Errorf("away %v, full %v, unsent %v; want %v, false, true: %v", e.Away(), e.Full(), e.Unsent(), away, e)
	}
}

// silentPort returns an address that answers nobody who wants to connect, as a
// host does that is gone: so does the kernel when a backlog of TCP is full.
func silentPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { l.Close() })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}
	filler, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filler.Close() })
	return addr.String()
}

func TestConnectTimeout(t *testing.T) {
	tr := newTransport(t, tcpAt(silentPort(t)), uwsgi.Options{ConnectTimeout: 50 * time.Millisecond})
	e := doError(t, tr, get("/"))
	wantError(t, e, uwsgi.StageDial, uwsgi.KindTimeout, true, "no connection within 50 ms")
	wantAway(t, e, true)
}

func TestPermissionDenied(t *testing.T) {
	path := filepath.Join(shortDir(t), "w.sock")
	w := uwsgitest.StartAt(t, unixAt(path), func(*uwsgitest.Conn) {})
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	var err error
	asNobody(t, func() { _, err = tr.Do(t.Context(), get("/")) })
	var e *uwsgi.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, "permission denied")
	wantAway(t, e, true)
}

// asNobody runs f on a thread to which file permissions apply, as they do not to
// root's.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := becomeNobody(); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func TestNoFileDescriptorLeft(t *testing.T) {
	w := answerer(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	do(t, tr, get("/")) // the runtime has all that it opens itself
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 0, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := tr.Do(t.Context(), get("/"))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	var e *uwsgi.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, "no file descriptor left")
	wantAway(t, e, false)
}

func TestHandshakesThatFail(t *testing.T) {
	cert, key := selfSigned(t, "app.internal")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	old := func(c *uwsgitest.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).Handshake()
	}
	good := func(c *uwsgitest.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
	}
	for _, tt := range []struct {
		name   string
		script func(*uwsgitest.Conn)
		server string
		ca     string
		kind   uwsgi.Kind
		cause  string
		away   bool
	}{
		{"closed", func(c *uwsgitest.Conn) { c.Read(make([]byte, 4096)) }, "app.internal", cert, uwsgi.KindUnavailable, "not completed", true},
		{"reset", func(c *uwsgitest.Conn) {
			c.Read(make([]byte, 1))
			c.Reset()
		}, "app.internal", cert, uwsgi.KindUnavailable, "not completed", true},
		{"cut", func(c *uwsgitest.Conn) {
			c.Read(make([]byte, 4096))
			c.Send("\x16\x03\x03\x00\x7a\x02")
		}, "app.internal", cert, uwsgi.KindUnavailable, "not completed", true},
		{"silent", (*uwsgitest.Conn).WaitClosed, "app.internal", cert, uwsgi.KindTimeout, "no TLS handshake within 50 ms", true},
		{"plain", func(c *uwsgitest.Conn) { c.Send("HTTP/1.1 400 Bad Request\r\n\r\n") }, "app.internal", cert, uwsgi.KindUnavailable, "does not speak TLS", false},
		{"old", old, "app.internal", cert, uwsgi.KindUnavailable, "not completed", false},
		{"stranger", good, "app.internal", "", uwsgi.KindUnavailable, "not trusted", false},
		{"other name", good, "other.internal", cert, uwsgi.KindUnavailable, "for another name", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := uwsgitest.StartTCP(t, tt.script)
			o := uwsgi.Options{ConnectTimeout: 50 * time.Millisecond, TLS: uwsgi.TLSOptions{Enabled: true, CA: tt.ca, ServerName: tt.server}}
			if tt.kind != uwsgi.KindTimeout {
				o.ConnectTimeout = 5 * time.Second
			}
			tr := newTransport(t, w.Addr(), o)
			e := doError(t, tr, get("/"))
			wantError(t, e, uwsgi.StageDial, tt.kind, true, tt.cause)
			wantAway(t, e, tt.away)
			if err := tr.Reach(t.Context()); !errors.As(err, &e) {
				t.Fatalf("Reach: %v, want an *Error", err)
			}
			wantError(t, e, uwsgi.StageDial, tt.kind, true, tt.cause)
			wantAway(t, e, tt.away)
		})
	}
}
