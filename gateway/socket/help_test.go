package socket_test

import (
	"context"
	"net"
	"testing"
	"time"

	"headgate/gateway/socket"
)

// soon is how long a test waits for what must happen.
const soon = 10 * time.Second

// pair returns both ends of a TCP connection over loopback.
func pair(tb testing.TB) (server, client *net.TCPConn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close(); c.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// hidden is a connection of which nothing but net.Conn is known.
type hidden struct{ net.Conn }

// each runs a body over every way that a Conn has.
func each(t *testing.T, body func(t *testing.T, s *socket.Conn, client net.Conn)) {
	t.Run("tcp", func(t *testing.T) {
		s, c := pair(t)
		body(t, socket.New(s, nil), c)
	})
	t.Run("hidden", func(t *testing.T) {
		s, c := pair(t)
		body(t, socket.New(hidden{s}, nil), c)
	})
	t.Run("pipe", func(t *testing.T) {
		s, c := net.Pipe()
		t.Cleanup(func() { s.Close(); c.Close() })
		body(t, socket.New(s, nil), c)
	})
}

// run starts h until the end of the test.
func run(tb testing.TB, h *socket.Hangups) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := receive(tb, ended); err != nil {
			tb.Errorf("Run = %v, want nil", err)
		}
	})
}

// receive returns what comes from c soon.
func receive[T any](tb testing.TB, c <-chan T) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(soon):
		tb.Fatal("nothing came")
	}
	return v
}

// later calls f after a short while, in which a call of the test begins to wait.
func later(f func()) { time.AfterFunc(30*time.Millisecond, f) }
