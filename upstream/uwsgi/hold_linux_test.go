package uwsgi_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// watchedBody is a body that counts what was read of it.
type watchedBody struct {
	r    io.Reader
	read atomic.Int64
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.read.Add(int64(n))
	return n, err
}

// eachBody runs f for the ways in which a body is sent.
func eachBody(t *testing.T, f func(t *testing.T, req *uwsgi.Request, body *watchedBody)) {
	for _, tt := range []struct {
		name string
		size int
		hand bool
	}{{"short", 5, true}, {"long", 1 << 20, true}, {"streamed", 1 << 20, false}, {"one byte", 1, false}} {
		t.Run(tt.name, func(t *testing.T) {
			req := post(strings.Repeat("x", tt.size))
			body := &watchedBody{r: req.Body}
			req.Body, req.StopBody = body, func() {}
			if tt.hand {
				req.Rewind = func() (io.Reader, error) {
					t.Error("the body was begun again")
					return nil, io.ErrUnexpectedEOF
				}
			}
			f(t, req, body)
		})
	}
}

// acceptor is a worker of which the test is in control.
func acceptor(t *testing.T) (addr uwsgi.Address, accept func() *net.UnixConn, stop func()) {
	t.Helper()
	path := filepath.Join(shortDir(t), "a.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return unixAt(path), func() *net.UnixConn {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.(*net.UnixConn)
	}, func() { l.Close() }
}

// outcome is what became of a request.
type outcome struct {
	resp *uwsgi.Response
	err  error
	at   time.Time
}

func start(t *testing.T, ctx context.Context, tr *uwsgi.Transport, req *uwsgi.Request) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	go func() {
		resp, err := tr.Do(ctx, req)
		if err == nil {
			resp.Body.Close()
		}
		done <- outcome{resp, err, time.Now()}
	}()
	return done
}

func (o outcome) failure(t *testing.T) *uwsgi.Error {
	t.Helper()
	e, ok := o.err.(*uwsgi.Error)
	if !ok {
		t.Fatalf("got %v, want an *Error", o.err)
	}
	return e
}

// waiting returns how many bytes lie in c.
func waiting(t *testing.T, c *net.UnixConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	if err := raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// takeVars reads the packet, as a worker does, and returns its size.
func takeVars(t *testing.T, c net.Conn) int {
	t.Helper()
	var h [uwsgi.HeaderBytes]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		t.Fatal(err)
	}
	_, size, _ := uwsgi.ParseHeader(h)
	if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return len(h) + size
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// TestBodyIsHeldBack: nothing of it is sent, or read, before the last byte of the
// variables was read; the timeout is as long as anybody likes.
func TestBodyIsHeldBack(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, body *watchedBody) {
		addr, accept, _ := acceptor(t)
		done := start(t, t.Context(), newTransport(t, addr, uwsgi.Options{ResponseTimeout: -1}), req)
		c := accept()
		waitFor(t, "variables", func() bool { return waiting(t, c) > 0 })
		before := waiting(t, c)
		<-time.After(40 * time.Millisecond)
		if n := waiting(t, c); n != before || body.read.Load() != 0 {
			t.Errorf("%d bytes lie there and became %d, %d of the body were read", before, n, body.read.Load())
		}
		if n := takeVars(t, c); n != before {
			t.Errorf("%d bytes lay there, and the packet has %d", before, n)
		}
		if _, err := io.CopyN(io.Discard, c, req.ContentLength); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, okAnswer)
		if o := <-done; o.err != nil || body.read.Load() != req.ContentLength {
			t.Errorf("%v, %d bytes of the body were read", o.err, body.read.Load())
		}
	})
}

// TestBodyFollowsAtOnce: the kernel wakes us. Were we not woken it would take 10 ms.
func TestBodyFollowsAtOnce(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, _ *watchedBody) {
		addr, accept, _ := acceptor(t)
		tr := newTransport(t, addr, uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
		var took []time.Duration
		for range 100 {
			again := *req
			again.Body, again.Rewind = strings.NewReader("x"), nil
			again.ContentLength = 1
			if req.Rewind == nil {
				again.Body = io.MultiReader(again.Body)
			}
			done := start(t, t.Context(), tr, &again)
			c := accept()
			waitFor(t, "variables", func() bool { return waiting(t, c) > 0 })
			takeVars(t, c)
			begun := time.Now()
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begun))
			io.WriteString(c, okAnswer)
			if o := <-done; o.err != nil {
				t.Fatal(o.err)
			}
			c.Close()
		}
		slices.Sort(took)
		t.Logf("median %v, p90 %v, max %v", took[50], took[90], took[99])
		if took[50] > time.Millisecond {
			t.Errorf("half of the bodies came later than %v after the variables were read", took[50])
		}
	})
}

// TestResetWithTheBodyHeldBack: the server went, and the request lay in its
// backlog, or was accepted and not read, or not read to its end.
func TestResetWithTheBodyHeldBack(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, accept func() *net.UnixConn, stop func()){
		"backlog": func(_ *testing.T, _ func() *net.UnixConn, stop func()) { stop() },
		"accepted": func(t *testing.T, accept func() *net.UnixConn, _ func()) {
			c := accept()
			waitFor(t, "variables", func() bool { return waiting(t, c) > 0 })
			c.Close()
		},
		"header read": func(t *testing.T, accept func() *net.UnixConn, _ func()) {
			c := accept()
			if _, err := io.ReadFull(c, make([]byte, uwsgi.HeaderBytes)); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "variables", func() bool { return waiting(t, c) > 0 })
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, req *uwsgi.Request, body *watchedBody) {
				addr, accept, stop := acceptor(t)
				tr := newTransport(t, addr, uwsgi.Options{Watch: true, Dialect: uwsgi.DialectUWSGI})
				done := start(t, t.Context(), tr, req)
				waitFor(t, "requests", func() bool { return loadOf(tr, 0).unread == 1 })
				leave(t, accept, stop)
				e := (<-done).failure(t)
				wantError(t, e, uwsgi.StageSend, uwsgi.KindNoAnswer, true, "not read by any worker")
				if n := body.read.Load(); n != 0 {
					t.Errorf("%d bytes of the body were read", n)
				}
			})
		})
	}
}

// TestVariablesReadAndClosed: whenever it comes, the end of a worker that has
// read the variables proves nothing.
func TestVariablesReadAndClosed(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, _ *watchedBody) {
		w := uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.ReceiveVars() })
		tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})
		for range 200 {
			again := *req
			again.Rewind = nil
			again.Body = strings.NewReader(strings.Repeat("x", int(req.ContentLength)))
			if req.Rewind == nil {
				again.Body = io.MultiReader(again.Body)
			}
			if e := doError(t, tr, &again); e.NeverRan || e.Kind != uwsgi.KindNoAnswer {
				t.Fatalf("never ran %v: %v", e.NeverRan, e)
			}
		}
	})
}

// TestAnswerWithoutTheVariables: who does not read them is no uwsgi server, and
// gets its answer through all the same.
func TestAnswerWithoutTheVariables(t *testing.T) {
	for name, linger := range map[string]bool{"close": false, "linger": true} {
		t.Run(name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, req *uwsgi.Request, _ *watchedBody) {
				w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
					c.Read(make([]byte, 4))
					c.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nmuch")
					if linger {
						<-t.Context().Done()
					}
				})
				begun := time.Now()
				resp, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), req)
				if took := time.Since(begun); resp.Status != 413 || body != "much" || took > 5*time.Second {
					t.Errorf("got %d %q after %v", resp.Status, body, took)
				}
			})
		})
	}
}

// TestNobodyReadsTheVariables: that is a timeout, after the time for it and not
// after twice that, and no proof: a worker may still come to it.
func TestNobodyReadsTheVariables(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, body *watchedBody) {
		const limit = 200 * time.Millisecond
		addr, _, _ := acceptor(t)
		begun := time.Now()
		e := doError(t, newTransport(t, addr, uwsgi.Options{ResponseTimeout: limit}), req)
		wantError(t, e, uwsgi.StageSend, uwsgi.KindTimeout, false, "took nothing of the request")
		if took := time.Since(begun); took < limit || took > limit*19/10 {
			t.Errorf("took %v, want about %v", took, limit)
		}
		if n := body.read.Load(); n != 0 {
			t.Errorf("%d bytes of the body were read", n)
		}
	})
}

// TestClockStartsAfterTheHold: the time for an answer does not run while the body
// is held back.
func TestClockStartsAfterTheHold(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, _ *watchedBody) {
		const limit = 300 * time.Millisecond
		addr, accept, _ := acceptor(t)
		done := start(t, t.Context(), newTransport(t, addr, uwsgi.Options{ResponseTimeout: limit}), req)
		c := accept()
		<-time.After(limit * 2 / 3)
		takeVars(t, c)
		if _, err := io.CopyN(io.Discard, c, req.ContentLength); err != nil {
			t.Fatal(err)
		}
		<-time.After(limit * 2 / 3)
		io.WriteString(c, okAnswer)
		if o := <-done; o.err != nil {
			t.Error(o.err)
		}
	})
}

func TestHoldEndsWithTheContext(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, body *watchedBody) {
		addr, _, _ := acceptor(t)
		tr := newTransport(t, addr, uwsgi.Options{Watch: true})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := start(t, ctx, tr, req)
		waitFor(t, "requests", func() bool { return loadOf(tr, 0).unread == 1 })
		begun := time.Now()
		cancel()
		o := <-done
		if e := o.failure(t); e.Kind != uwsgi.KindCanceled || o.at.Sub(begun) > time.Second || body.read.Load() != 0 {
			t.Errorf("got %v after %v, %d bytes of the body were read", e, o.at.Sub(begun), body.read.Load())
		}
	})
}

// TestHoldOnAUsedConnection: gunicorn's. When it closes that instead of reading
// the variables, the request goes to a fresh one, and its body is still whole.
func TestHoldOnAUsedConnection(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		for range 3 {
			if c.Receive() == nil {
				return
			}
			c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "hello"))
		}
		c.Reset() // waits for the variables
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	for i := range 8 {
		req := replayable(strings.Repeat("x", 1+i*8<<10))
		req.Method = "PUT"
		req.Rewind = func() (io.Reader, error) {
			t.Error("the body was begun again")
			return nil, io.ErrUnexpectedEOF
		}
		if _, body := do(t, tr, req); body != "hello" {
			t.Errorf("got %q", body)
		}
	}
	// One is not kept when its answer is read before the sender has noted that all is out.
	if n := w.Conns(); n < 3 || n > 5 {
		t.Errorf("%d connections, want 3 and few more", n)
	}
	for i, r := range w.Requests() {
		if len(r.Body) != 1+i*8<<10 {
			t.Errorf("request %d came with %d bytes", i, len(r.Body))
		}
	}
}

// TestBufferSizeIsLearnedWithABodyHeldBack: a body that can be sent only once is
// whole after the resets.
func TestBufferSizeIsLearnedWithABodyHeldBack(t *testing.T) {
	eachBody(t, func(t *testing.T, req *uwsgi.Request, body *watchedBody) {
		var limit atomic.Int32
		limit.Store(4096)
		w := buffered(t, &limit)
		req.Header = wide(5000).Header
		e := doError(t, newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI}), req)
		wantError(t, e, uwsgi.StageSend, uwsgi.KindTooLarge, true, "Cookie")
		if n := body.read.Load(); n != 0 || w.Conns() != 2 {
			t.Errorf("%d bytes of the body were read, %d connections", n, w.Conns())
		}
	})
}
