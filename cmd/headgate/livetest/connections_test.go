package livetest_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	manyConnections   = 10_000
	connectionsAtOnce = 64 // that are made, or asked on, at the same time
	// maxPerIdle is what an idle connection may cost of the gateway's memory, its
	// goroutine included.
	maxPerIdle = 16 << 10
)

// TestManyConnections: ten thousand connections of HTTP/1.1 that have had an answer
// and wait for their next request keep nobody from being served, and all of them
// are as good as new afterwards.
func TestManyConnections(t *testing.T) {
	needFiles(t, manyConnections+1000)
	a := startApp(t, "--processes", "2", "--listen", "100")
	g := startGateway(t, conf{socket: a.socket, more: "  - {hosts: [idle.localhost], http: serve, routes: [{respond: {body: hi}}]}"})
	before, _ := g.resident(t)
	begin := time.Now()
	idle := make([]*idleConn, manyConnections)
	t.Cleanup(func() {
		for _, c := range idle {
			if c != nil {
				c.Close()
			}
		}
	})
	eachAtOnce(t, func(i int) (err error) {
		if idle[i], err = dialIdle(g.http); err != nil {
			return err
		}
		return idle[i].ask()
	})
	opened := time.Since(begin)
	now, _ := g.resident(t)

	l := startLoad(t, g, 2, "/page")
	<-time.After(2 * time.Second)
	l.end(t)

	begin = time.Now()
	eachAtOnce(t, func(i int) error { return idle[i].ask() })
	t.Logf("%d connections opened and asked on in %v, asked on again in %v; resident memory %d MiB, with them %d MiB",
		manyConnections, opened.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), before, now)
	if (now-before)<<20 > maxPerIdle*manyConnections {
		t.Errorf("an idle connection takes %d bytes of memory, want less than %d", (now-before)<<20/manyConnections, maxPerIdle)
	}
}

// eachAtOnce calls f for every connection, some of them at a time, and reports
// the first of the errors.
func eachAtOnce(t *testing.T, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, connectionsAtOnce)
	for range connectionsAtOnce {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < manyConnections; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					errs <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	failed := 0
	for err := range errs {
		if failed++; failed == 1 {
			t.Error(err)
		}
	}
	if failed > 0 {
		t.Fatalf("%d of %d that asked met an error", failed, connectionsAtOnce)
	}
}

// idleConn is a connection that holds no buffer while it is idle, so that ten
// thousand of them cost the test little.
type idleConn struct{ net.Conn }

func dialIdle(addr string) (*idleConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &idleConn{c}, nil
}

// ask has one request answered, and wants the connection to go on.
func (c *idleConn) ask() error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: idle.localhost\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 1024), nil)
	if err != nil {
		return err
	}
	if resp.Close {
		return errors.New("the connection closes")
	}
	return whole(resp)
}

// needFiles skips the test, or fails it in CI, where a process may not have n
// files open. Go raises what a process has to what it may have by itself.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max >= n {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%d files may be open at once, want %d: raise ulimit -n", limit.Max, n)
	}
	t.Skipf("%d files may be open at once, want %d: raise ulimit -n", limit.Max, n)
}
