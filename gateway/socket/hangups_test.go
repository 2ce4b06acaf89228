package socket_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway/socket"
)

// gone returns a channel on which c tells of its hang-up.
func gone(c *socket.Conn) <-chan struct{} {
	told := make(chan struct{}, 9)
	c.OnHangup(func() { told <- struct{}{} })
	return told
}

// quiet fails if something comes within a short while.
func quiet(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
		t.Errorf("told of a hang-up %s", what)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestHangupIsTold(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	for name, hangUp := range map[string]func(*net.TCPConn){
		"close":      func(c *net.TCPConn) { c.Close() },
		"half close": func(c *net.TCPConn) { c.CloseWrite() },
		"reset":      func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s, client := pair(t)
			c := socket.New(s, &h)
			told := gone(c)
			client.Write([]byte("x"))
			quiet(t, told, "before it")
			hangUp(client)
			receive(t, told)
			quiet(t, told, "twice")
		})
	}
}

func TestHangupIsToldWithDataUnread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux sees an end behind data")
	}
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	told := gone(c)
	client.Write([]byte("last words"))
	client.Close()
	receive(t, told)
	if b, err := io.ReadAll(c); string(b) != "last words" || err != nil {
		t.Errorf("read %q, %v after the hang-up, want the last words", b, err)
	}
}

func TestHangupBeforeAnybodyAsked(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	client.Close()
	io.ReadAll(c) // the end is here
	receive(t, gone(c))
	receive(t, gone(c)) // and for the next one too
	c.OnHangup(nil)
}

func TestHangupIsToldToTheLastOne(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	first := gone(c)
	c.OnHangup(nil)
	second := gone(c)
	client.Close()
	receive(t, second)
	quiet(t, first, "that was taken away")
}

func TestHangupTakenAway(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	first := gone(c)
	c.OnHangup(nil)
	client.Close()
	quiet(t, first, "that was taken away")
	receive(t, gone(c))
}

func TestOwnCloseIsNoHangup(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	s, client := pair(t)
	c := socket.New(s, &h)
	told := gone(c)
	c.Close()
	client.Close()
	quiet(t, told, "after Close")
	quiet(t, gone(c), "of a connection that is closed")
}

func TestHangupsAreOptional(t *testing.T) {
	s, client := pair(t)
	c := socket.New(s, nil)
	told := gone(c)
	client.Close()
	quiet(t, told, "without Hangups")
	c.Close()

	var h socket.Hangups
	run(t, &h)
	a, b := net.Pipe()
	p := socket.New(a, &h)
	told = gone(p)
	b.Close()
	quiet(t, told, "of a pipe")
	p.Close()
}

func TestHangupsMayRunLater(t *testing.T) {
	var h socket.Hangups
	s, client := pair(t)
	c := socket.New(s, &h)
	told := gone(c)
	client.Close()
	quiet(t, told, "before Run")
	run(t, &h)
	receive(t, told)
}

func TestHangupsAfterRunAreSilent(t *testing.T) {
	var h socket.Hangups
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Run(ctx); err != nil {
		t.Fatalf("Run = %v, want nil", err)
	}
	s, client := pair(t)
	c := socket.New(s, &h)
	told := gone(c)
	client.Close()
	quiet(t, told, "after Run")
	c.Close()
}

func TestHangupOfAUnixSocket(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := socket.New(s, &h)
	defer c.Close()
	told := gone(c)
	client.Close()
	receive(t, told)
}

// Descriptors and places are used again at once: nobody may hear of another's end.
func TestHangupsAreNotMixedUp(t *testing.T) {
	var h socket.Hangups
	run(t, &h)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 150 {
				s, client := pair(t)
				c := socket.New(s, &h)
				var hungUp atomic.Bool
				told := make(chan struct{}, 1)
				c.OnHangup(func() {
					if !hungUp.Load() {
						t.Error("told of an end that is another's")
					}
					told <- struct{}{}
				})
				if i%3 == 0 { // the place is free before an event of it is handled
					hungUp.Store(true)
					client.Close()
					c.Close()
					continue
				}
				client.Write([]byte("x"))
				c.Read(make([]byte, 1))
				hungUp.Store(true)
				client.Close()
				select {
				case <-told:
				case <-time.After(soon):
					t.Error("not told")
				}
				c.Close()
			}
		})
	}
	wg.Wait()
}

// An event that was collected before its connection closed must not reach the one
// that has the place after it.
func TestHangupOfTheOneBefore(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only epoll has events")
	}
	var h socket.Hangups
	run(t, &h)
	// blocked makes the client of a new connection hang up, and stops the one
	// goroutine when it tells.
	blocked := func() (hangUp, release func(), entered <-chan struct{}) {
		s, client := pair(t)
		in, out := make(chan struct{}), make(chan struct{})
		socket.New(s, &h).OnHangup(func() { close(in); <-out })
		return func() { client.Close() }, func() { close(out) }, in
	}
	endZ, releaseZ, inZ := blocked()
	endA, releaseA, inA := blocked()
	sB, clientB := pair(t)
	b := socket.New(sB, &h)
	b.OnHangup(func() {})
	endZ()
	receive(t, inZ)
	endA()
	clientB.Close()
	io.ReadAll(sB) // its end is here
	releaseZ()     // the ends of A and B are collected together
	receive(t, inA)
	b.Close()
	sC, _ := pair(t)
	told := gone(socket.New(sC, &h))
	releaseA()
	quiet(t, told, "that was another's")
}
