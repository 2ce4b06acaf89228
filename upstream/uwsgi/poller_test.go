package uwsgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// outcomes are those of requests that wait together.
type outcomes struct {
	running sync.WaitGroup
	mu      sync.Mutex // guards errs
	errs    map[int]error
}

// start begins a request for /i, whose answer must be /i.
func (o *outcomes) start(ctx context.Context, tr *uwsgi.Transport, i int) {
	o.running.Go(func() {
		err := askFor(ctx, tr, fmt.Sprint("/", i))
		o.mu.Lock()
		defer o.mu.Unlock()
		o.errs[i] = err
	})
}

func askFor(ctx context.Context, tr *uwsgi.Transport, path string) error {
	resp, err := tr.Do(ctx, get(path))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != path {
		err = fmt.Errorf("%s was answered %q", path, body)
	}
	return err
}

// TestManyWaitTogether has a worker take all requests before it answers any, in
// another order, with the body of each in a part of its own; some are given up
// meanwhile.
func TestManyWaitTogether(t *testing.T) {
	const n, givenUp = 40, 10
	var arrived sync.WaitGroup
	arrived.Add(n)
	answer, rest := make(chan struct{}), make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		arrived.Done()
		<-answer
		path := r.Var("PATH_INFO")
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path[:1]))
		<-rest
		c.Send(path[1:])
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
	o := outcomes{errs: make(map[int]error)}
	ctx, cancel := context.WithCancel(t.Context())
	for _, i := range rand.Perm(n) {
		if i < givenUp {
			o.start(ctx, tr, i)
		} else {
			o.start(t.Context(), tr, i)
		}
	}
	arrived.Wait()
	cancel()
	close(answer)
	close(rest)
	o.running.Wait()
	for i := range n {
		var e *uwsgi.Error
		canceled := errors.As(o.errs[i], &e) && e.Kind == uwsgi.KindCanceled
		if err := o.errs[i]; err != nil && !(canceled && i < givenUp) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

// TestWaitsEndOnTime has requests of which only the one that is answered last
// may go on: each of the others has waited for as long as it may.
func TestWaitsEndOnTime(t *testing.T) {
	const n = 8
	silence := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r.Var("PATH_INFO") == "/answered" {
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n/answered")
			return
		}
		<-silence
	})
	defer close(silence)
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI, ResponseTimeout: 100 * time.Millisecond})
	o := outcomes{errs: make(map[int]error)}
	begun := time.Now()
	for i := range n {
		o.start(t.Context(), tr, i)
	}
	o.running.Wait()
	if took := time.Since(begun); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("the waits took %v", took)
	}
	for i, err := range o.errs {
		var e *uwsgi.Error
		if !errors.As(err, &e) || e.Kind != uwsgi.KindTimeout {
			t.Errorf("request %d: %v, want a timeout", i, err)
		}
	}
	if err := askFor(t.Context(), tr, "/answered"); err != nil {
		t.Errorf("after the timeouts: %v", err)
	}
}

// TestSlowHeadHasOneTimeout sends a head so that no single wait is long.
func TestSlowHeadHasOneTimeout(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		c.Send("HTTP/1.1 200 OK\r\nX: ")
		for range tick.C {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI, ResponseTimeout: 200 * time.Millisecond})
	e := doError(t, tr, get("/"))
	wantError(t, e, uwsgi.StageHead, uwsgi.KindTimeout, false, "not complete within")
}

func TestCloseIdleWhileSomebodyWaits(t *testing.T) {
	answer := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		path := c.Receive().Var("PATH_INFO")
		if path == "/0" {
			<-answer
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
	o := outcomes{errs: make(map[int]error)}
	o.start(t.Context(), tr, 0)
	for len(w.Requests()) == 0 {
		if err := askFor(t.Context(), tr, "/1"); err != nil {
			t.Fatal(err)
		}
	}
	tr.CloseIdle()
	if err := askFor(t.Context(), tr, "/2"); err != nil {
		t.Errorf("beside one that waits: %v", err)
	}
	close(answer)
	o.running.Wait()
	tr.CloseIdle()
	if err := askFor(t.Context(), tr, "/3"); err != nil || o.errs[0] != nil {
		t.Errorf("afterwards: %v; the one that waited: %v", err, o.errs[0])
	}
}

// watchedContext counts who begins to wait for its end.
type watchedContext struct {
	context.Context
	asked atomic.Int32
}

func (c *watchedContext) Done() <-chan struct{} {
	c.asked.Add(1)
	return c.Context.Done()
}

func (c *watchedContext) AfterFunc(f func()) func() bool {
	c.asked.Add(1)
	return context.AfterFunc(c.Context, f)
}

// TestContextIsWatchedOnlyInAWait: who has a context watched makes it costly.
func TestContextIsWatchedOnlyInAWait(t *testing.T) {
	more := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		path := c.Receive().Var("PATH_INFO")
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(path)))
		<-more
		c.Send(path)
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
	ctx := &watchedContext{Context: t.Context()}
	if _, err := tr.Do(ctx, &uwsgi.Request{Method: http.MethodGet, Body: strings.NewReader("x"), ContentLength: -1}); err == nil || ctx.asked.Load() != 0 {
		t.Errorf("a request that cannot be sent: %v, asked %d times", err, ctx.asked.Load())
	}
	for range 3 { // each waits for its body at least
		before := ctx.asked.Load()
		resp, err := tr.Do(ctx, get("/abc"))
		if err != nil {
			t.Fatal(err)
		}
		more <- struct{}{}
		if body, err := io.ReadAll(resp.Body); string(body) != "/abc" || err != nil {
			t.Errorf("got %q, %v", body, err)
		}
		resp.Body.Close()
		if asked := ctx.asked.Load() - before; asked > 1 {
			t.Errorf("asked %d times for one request", asked)
		}
	}
}

func BenchmarkDoWaiting(b *testing.B) {
	answer := make(chan *uwsgitest.Conn, 1)
	go func() {
		for c := range answer {
			c.Send(benchAnswer)
			_ = c.Close()
		}
	}()
	w := uwsgitest.Start(b, func(c *uwsgitest.Conn) {
		var buf [4096]byte
		if _, err := c.Read(buf[:]); err == nil {
			answer <- c
			c.WaitClosed()
		}
	})
	defer close(answer)
	req := get("/")
	req.Header = benchHeader
	benchmarkDo(b, w.Addr(), uwsgi.Options{}, req)
}
