package uwsgi_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

type load struct {
	busy, unread int
	ok           bool
}

func loadOf(tr *uwsgi.Transport, minAge time.Duration) load {
	busy, unread, ok := tr.Load(minAge)
	return load{busy, unread, ok}
}

// waitForLoad waits until Load says want, and then looks whether it stays so.
func waitForLoad(t *testing.T, tr *uwsgi.Transport, minAge time.Duration, want load) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for loadOf(tr, minAge) != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("load is %+v, want %+v", loadOf(tr, minAge), want)
		}
	}
	for range 20 {
		<-tick.C
		if got := loadOf(tr, minAge); got != want {
			t.Fatalf("load was %+v and became %+v", want, got)
		}
	}
}

// sluggish is a worker that begins with as many requests as it is told to.
func sluggish(t *testing.T) (addr uwsgi.Address, begin func(), end func()) {
	t.Helper()
	path := filepath.Join(shortDir(t), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var conns []net.Conn
	begin = func() {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Read(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	end = func() {
		io.WriteString(conns[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		conns[0].Close()
		conns = conns[1:]
	}
	return unixAt(path), begin, end
}

func TestLoad(t *testing.T) {
	addr, begin, end := sluggish(t)
	tr := newTransport(t, addr, uwsgi.Options{Watch: true})
	if got := loadOf(tr, 0); got.ok {
		t.Errorf("nothing in flight: %+v", got)
	}
	wait := inFlight(t, tr, 5, func() *uwsgi.Request { return get("/") })
	waitForLoad(t, tr, 0, load{0, 5, true})
	waitForLoad(t, tr, time.Hour, load{}) // too young
	begin()
	waitForLoad(t, tr, 0, load{1, 4, true})
	waitForLoad(t, tr, time.Hour, load{1, 0, true}) // but that it was read is sure
	begin()
	waitForLoad(t, tr, 5*time.Millisecond, load{2, 3, true})
	end()
	waitForLoad(t, tr, 0, load{1, 3, true})
	for range 3 {
		begin()
	}
	for range 4 {
		end()
	}
	wait()
	if got := loadOf(tr, 0); got != (load{}) {
		t.Errorf("all done: %+v", got)
	}
}

// TestLoadOfBodies: a body says nothing, because it is sent when the variables
// were read.
func TestLoadOfBodies(t *testing.T) {
	addr, begin, end := sluggish(t)
	tr := newTransport(t, addr, uwsgi.Options{Watch: true})
	wait := inFlight(t, tr, 1, func() *uwsgi.Request { return replayable("hello") })
	waitForLoad(t, tr, 0, load{0, 1, true})
	for i, req := range []func() *uwsgi.Request{
		func() *uwsgi.Request { return post("hello") },
		func() *uwsgi.Request { return post(strings.Repeat("x", 1<<20)) },
		func() *uwsgi.Request {
			r := get("/")
			r.Body = http0{} // a body of no bytes is none
			return r
		},
	} {
		inFlight(t, tr, 1, req)
		waitForLoad(t, tr, 0, load{0, i + 2, true})
	}
	for i := range 4 {
		begin() // the body that comes then stays unread
		waitForLoad(t, tr, 0, load{i + 1, 3 - i, true})
	}
	end()
	wait()
	waitForLoad(t, tr, 0, load{3, 0, true})
}

// http0 is a body without bytes.
type http0 struct{}

func (http0) Read([]byte) (int, error) { return 0, io.EOF }

func TestLoadForgetsWhoWentAway(t *testing.T) {
	addr, _, _ := sluggish(t)
	tr := newTransport(t, addr, uwsgi.Options{Watch: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := tr.Do(ctx, get("/")); err == nil {
			t.Error("an answer from nowhere")
		}
	}()
	waitForLoad(t, tr, 0, load{0, 1, true})
	cancel()
	<-done
	if got := loadOf(tr, 0); got != (load{}) {
		t.Errorf("got %+v", got)
	}
}

// TestLoadOfUpgrades: a connection that was upgraded keeps its worker until it
// is closed, whatever lies in it.
func TestLoadOfUpgrades(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		<-t.Context().Done()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Watch: true})
	req := get("/")
	req.Upgrade = "echo"
	resp, err := tr.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	io.WriteString(resp.Conn, "not read")
	waitForLoad(t, tr, 0, load{1, 0, true})
	resp.Conn.Close()
	waitForLoad(t, tr, 0, load{})
}

// TestLoadOfReusedConnections: gunicorn's.
func TestLoadOfReusedConnections(t *testing.T) {
	next := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		for range next {
			if c.Receive() == nil {
				return
			}
			c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "hello"))
		}
	})
	defer close(next)
	tr := newTransport(t, w.Addr(), uwsgi.Options{Watch: true})
	for range 3 {
		wait := inFlight(t, tr, 1, func() *uwsgi.Request { return get("/") })
		waitForLoad(t, tr, 0, load{0, 1, true})
		next <- struct{}{}
		wait()
		if got := loadOf(tr, 0); got != (load{}) {
			t.Errorf("got %+v", got)
		}
	}
	if n := w.Conns(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestLoadIsNotAlwaysKnown(t *testing.T) {
	hold := func(c *uwsgitest.Conn) { c.WaitClosed() }
	for name, tr := range map[string]*uwsgi.Transport{
		"tcp":       newTransport(t, uwsgitest.StartTCP(t, hold).Addr(), uwsgi.Options{Watch: true}),
		"unwatched": newTransport(t, uwsgitest.Start(t, hold).Addr(), uwsgi.Options{}),
	} {
		inFlight(t, tr, 2, func() *uwsgi.Request { return get("/") })
		waitForLoad(t, tr, 0, load{})
		if count, _ := uwsgi.Flights(tr); count != 0 {
			t.Errorf("%s: %d exchanges are kept", name, count)
		}
	}
}

// TestLoadUnderFire: nothing stays in the list, however requests end, and Load
// may be asked at any time.
func TestLoadUnderFire(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		switch c.Receive(); c.Number % 4 {
		case 0:
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		case 1:
			c.Send("HTTP/1.1 200 OK\r\n\r\nhello")
		case 2:
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
		}
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Watch: true})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				tr.Load(0)
			}
		}
	}()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
				req := get("/")
				if i%3 == 0 {
					req = replayable("hello")
				}
				if resp, err := tr.Do(ctx, req); err == nil {
					if i%5 != 0 {
						_, _ = io.Copy(io.Discard, resp.Body)
					}
					resp.Body.Close()
				}
				cancel()
			}
		})
	}
	all.Wait()
	close(stop)
	<-stopped
	if count, walked := uwsgi.Flights(tr); count != 0 || walked != 0 {
		t.Errorf("%d exchanges are left, and %d in the list", count, walked)
	}
}

func watchedUWSGI(t *testing.T, args ...string) *uwsgi.Transport {
	t.Helper()
	path := filepath.Join(shortDir(t), "u.sock")
	startUWSGI(t, unixAt(path), append([]string{"--socket", path}, args...)...)
	return newTransport(t, unixAt(path), uwsgi.Options{Watch: true})
}

func TestRealUWSGILoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args  []string
		cores int
	}{
		{[]string{"--processes", "2"}, 2},
		{[]string{"--processes", "4"}, 4},
		{[]string{"--enable-threads", "--threads", "3"}, 3},
		{[]string{"--processes", "2", "--threads", "3"}, 6},
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			tr := watchedUWSGI(t, tt.args...)
			free := held(t, tr, 10)
			waitForLoad(t, tr, 5*time.Millisecond, load{tt.cores, 10 - tt.cores, true})
			free()
			waitForLoad(t, tr, 0, load{})
		})
	}
}

// TestRealUWSGILoadOfBodies: every second request has a body, which is short or
// long, at hand or not.
func TestRealUWSGILoadOfBodies(t *testing.T) {
	t.Parallel()
	tr := watchedUWSGI(t, "--processes", "4")
	sign := filepath.Join(shortDir(t), "go")
	var count atomic.Int32
	wait := inFlight(t, tr, 10, func() *uwsgi.Request {
		r := get("/hold")
		switch count.Add(1) % 6 {
		case 1:
			r = post(strings.Repeat("x", 100))
		case 3:
			r = replayable(strings.Repeat("x", 100))
		case 5:
			r = replayable(strings.Repeat("x", 1<<20))
		}
		r.PathInfo, r.Query = "/hold", sign
		return r
	})
	waitForLoad(t, tr, 5*time.Millisecond, load{4, 6, true})
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait()
	waitForLoad(t, tr, 0, load{})
}

func TestRealGunicornLoad(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args  []string
		cores int
	}{
		{[]string{"-k", "sync", "--workers", "2"}, 2},
		{[]string{"-k", "gthread", "--threads", "3"}, 3},
		{[]string{"-k", "gthread", "--threads", "2", "--workers", "2"}, 0}, // the workers do not share evenly
	} {
		t.Run(fmt.Sprint(tt.args), func(t *testing.T) {
			path := filepath.Join(shortDir(t), "g.sock")
			startGunicorn(t, unixAt(path), append(tt.args, "--bind", "unix:"+path)...)
			tr := newTransport(t, unixAt(path), uwsgi.Options{Watch: true})
			do(t, tr, get("/")) // so that its dialect is known
			free := held(t, tr, 10)
			if tt.cores > 0 {
				waitForLoad(t, tr, 5*time.Millisecond, load{tt.cores, 10 - tt.cores, true})
			} else {
				waitFor(t, "requests at 2 to 4 threads", func() bool {
					got := loadOf(tr, 5*time.Millisecond)
					return got.busy >= 2 && got.busy <= 4 && got.busy+got.unread == 10
				})
			}
			free()
			waitForLoad(t, tr, 0, load{})
		})
	}
}

// TestTCPDoesNotTell is why Load knows nothing of TCP: what lies in the listen
// backlog has been acknowledged.
func TestTCPDoesNotTell(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "a request that nobody has accepted")
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "acknowledged bytes", func() bool {
		unread := -1
		err := raw.Control(func(fd uintptr) { unread, _ = uwsgi.Outq(fd) })
		return err == nil && unread == 0
	})
}
