package uwsgi_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// gunicorn is a threaded gunicorn: it answers on one connection for as long as
// the peer asks, and repeats the path and the body.
func gunicorn(c *uwsgitest.Conn) {
	for r := c.Receive(); r != nil; r = c.Receive() {
		c.Send(uwsgitest.GunicornChunked(uwsgitest.KeepAlive, r.Var("PATH_INFO"), string(r.Body)+"."))
	}
}

func TestGunicornIsFoundOutAndReused(t *testing.T) {
	for kind, start := range map[string]func(testing.TB, func(*uwsgitest.Conn)) *uwsgitest.Worker{"unix": uwsgitest.Start, "tcp": uwsgitest.StartTCP} {
		t.Run(kind, func(t *testing.T) {
			w := start(t, gunicorn)
			tr := newTransport(t, w.Addr(), uwsgi.Options{})
			if d := tr.Dialect(); d != uwsgi.DialectAuto {
				t.Errorf("dialect %v before anything is known", d)
			}
			for i, want := range []string{"/.", "/hello.", "/" + strings.Repeat("x", 100<<10) + "."} {
				req := get("/")
				if i > 0 {
					req = replayable(want[1 : len(want)-1])
					req.Method = "PUT" // a POST gets a connection of its own
				}
				if _, body := do(t, tr, req); body != want {
					t.Fatalf("request %d: got %.40q", i, body)
				}
			}
			if d := tr.Dialect(); d != uwsgi.DialectGunicorn {
				t.Errorf("dialect %v", d)
			}
			// The last sender may end a moment after its answer, so one
			// connection more is allowed for the large body.
			if n := w.Conns(); n > 2 {
				t.Errorf("%d connections for 3 requests", n)
			}
		})
	}
}

func TestGunicornConnectionsThatAreNotReused(t *testing.T) {
	for name, script := range map[string]func(*uwsgitest.Conn){
		"it says close": func(c *uwsgitest.Conn) {
			c.Receive()
			c.Send(uwsgitest.Gunicorn(uwsgitest.Close, "x"))
			c.WaitClosed()
		},
		"it sent too much": func(c *uwsgitest.Conn) {
			c.Receive()
			c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			c.WaitClosed()
		},
		"no framing": func(c *uwsgitest.Conn) {
			c.Receive()
			c.Send("HTTP/1.1 200 OK\r\nServer: gunicorn\r\nConnection: keep-alive\r\n\r\nx")
		},
		"early answer": func(c *uwsgitest.Conn) {
			c.ReceiveVars()
			c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x"))
			c.WaitClosed()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := uwsgitest.Start(t, script)
			tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
			for range 2 {
				req := get("/")
				if name == "early answer" {
					req = replayable(strings.Repeat("x", 3<<20))
				}
				if _, body := do(t, tr, req); body != "x" {
					t.Fatalf("got %q", body)
				}
			}
			if n := w.Conns(); n != 2 {
				t.Errorf("%d connections for 2 requests", n)
			}
		})
	}
}

func TestClosedBodyIsNotReused(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		for c.Receive() != nil {
			c.Send("HTTP/1.1 200 OK\r\nServer: gunicorn\r\nConnection: keep-alive\r\nContent-Length: 10\r\n\r\nx")
		}
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	for range 2 {
		resp, err := tr.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if n := w.Conns(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestUWSGIIsNeverReused(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
		c.WaitClosed()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{})
	do(t, tr, get("/"))
	do(t, tr, get("/"))
	if n := w.Conns(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// TestStaleConnectionIsRetriedOnce: the server closes a kept connection while
// the next request is on its way to it.
func TestStaleConnectionIsRetriedOnce(t *testing.T) {
	put := replayable("hello")
	put.Method = "PUT"
	for name, req := range map[string]*uwsgi.Request{"GET": get("/"), "PUT, at hand": put} {
		t.Run(name, func(t *testing.T) {
			w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
				c.Receive()
				c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x"))
				if c.Number == 1 {
					c.Reset() // once the next packet has come
				}
				c.WaitClosed()
			})
			tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
			do(t, tr, get("/"))
			if _, body := do(t, tr, req); body != "x" {
				t.Errorf("got %q", body)
			}
		})
	}
}

// TestFreshConnectionForWhatMustNotRunTwice: a worker that dies over a request
// on a kept connection looks like one that had closed it before.
func TestFreshConnectionForWhatMustNotRunTwice(t *testing.T) {
	once := post("hello")
	once.Method = "PUT" // idempotent, but its body is read only once
	for name, req := range map[string]*uwsgi.Request{"POST": replayable("hello"), "PUT, passed once": once} {
		t.Run(name, func(t *testing.T) {
			w := uwsgitest.StartTCP(t, func(c *uwsgitest.Conn) {
				c.Receive()
				if c.Number == 2 {
					return // dies over it
				}
				c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x"))
				c.WaitClosed()
			})
			tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
			do(t, tr, get("/"))
			e := doError(t, tr, req)
			wantError(t, e, uwsgi.StageHead, uwsgi.KindNoAnswer, false, "closed without an answer")
			if n, m := w.Conns(), len(w.Requests()); n != 2 || m != 2 {
				t.Errorf("%d connections and %d requests, want 2 of each", n, m)
			}
		})
	}
}

func TestClosedIdleConnectionIsNotUsed(t *testing.T) {
	closed := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x"))
		if c.Number == 1 {
			c.Close()
			close(closed)
			return
		}
		c.WaitClosed()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	do(t, tr, get("/"))
	<-closed
	req := post("hello") // could not be sent twice
	if _, body := do(t, tr, req); body != "x" {
		t.Errorf("got %q", body)
	}
}

func TestUnaskedBytesOnAnIdleConnection(t *testing.T) {
	sent := make(chan struct{})
	asked := make(chan struct{})
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "good"))
		if c.Number == 1 {
			<-asked
			c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "evil"))
			close(sent)
		}
		c.WaitClosed()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	do(t, tr, get("/"))
	close(asked)
	<-sent
	if _, body := do(t, tr, get("/")); body != "good" {
		t.Errorf("got %q: the answer to nothing was taken for one", body)
	}
}

// TestPathInDialects: an unknown member is asked before a path is sent that the
// dialects write differently.
func TestPathInDialects(t *testing.T) {
	for name, tt := range map[string]struct {
		pong, path string
		dialect    uwsgi.Dialect
	}{
		"gunicorn":          {"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n\r\n", "/caf%C3%A9", uwsgi.DialectGunicorn},
		"uwsgi, ping":       {"\x64\x00\x00\x01", "/café", uwsgi.DialectUWSGI},
		"uwsgi, no ping":    {"", "/café", uwsgi.DialectUWSGI},
		"something strange": {"HTTP/1.1 400 Bad Request\r\n\r\n", "/café", uwsgi.DialectAuto},
	} {
		t.Run(name, func(t *testing.T) {
			w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
				r := c.Receive()
				if r.Modifier1 == 100 {
					c.Send(tt.pong)
					return
				}
				c.Send("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
			})
			tr := newTransport(t, w.Addr(), uwsgi.Options{})
			do(t, tr, get("/café"))
			reqs := w.Requests()
			if got := reqs[len(reqs)-1].Var("PATH_INFO"); got != tt.path || tr.Dialect() != tt.dialect {
				t.Errorf("got %q, %v; want %q, %v", got, tr.Dialect(), tt.path, tt.dialect)
			}
		})
	}
}

// TestIdleConnectionsEnd waits for real: sockets do not know of synctest.
func TestIdleConnectionsEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes three seconds")
	}
	t.Parallel()
	gone := make(chan time.Time, 2)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send(uwsgitest.Gunicorn(uwsgitest.KeepAlive, "x"))
		_, _ = io.Copy(io.Discard, c)
		gone <- time.Now()
	})
	tr := newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectGunicorn})
	do(t, tr, get("/"))
	put := time.Now()
	<-time.After(1600 * time.Millisecond)
	do(t, tr, get("/")) // too old to be used, too young to be closed
	if n := w.Conns(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	if after := (<-gone).Sub(put); after < 2900*time.Millisecond {
		t.Errorf("closed after %v, before gunicorn's own timeout", after)
	}
	tr.CloseIdle()
	<-gone
}
