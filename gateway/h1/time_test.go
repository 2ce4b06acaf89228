package h1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/gateway/h1"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// timed is a connection in memory, in a bubble, and how long it has been there.
type timed struct {
	*client
	server *h1.Server
	begun  time.Time
	ended  chan struct{} // closed when ServeConn returns
}

// again is another connection to the same server.
func (c *timed) again(h handler) *timed {
	a, b := net.Pipe()
	n := &timed{&client{Conn: b, t: c.t, r: newReader(b)}, c.server, time.Now(), make(chan struct{})}
	sock := socket.New(a, nil)
	go func() {
		defer close(n.ended)
		n.server.ServeConn(sock, sock, nil, h)
	}()
	c.t.Cleanup(func() { b.Close() })
	return n
}

func serveTimed(t *testing.T, o h1.Settings, h handler) *timed {
	s := h1.NewServer(nil)
	s.Configure(o)
	return (&timed{client: &client{t: t}, server: s}).again(h)
}

// wantEndAfter expects the end after d since the last mark.
func (c *timed) wantEndAfter(d time.Duration) {
	c.t.Helper()
	c.wantEnd()
	if got := time.Since(c.begun); got < d || got > d+10*time.Millisecond {
		c.t.Errorf("it ended after %s, want %s", got, d)
	}
	<-c.ended
}

func (c *timed) mark() { c.begun = time.Now() }

func TestTimesOfAHead(t *testing.T) {
	o := h1.Settings{HeaderTimeout: time.Second, IdleTimeout: time.Minute}
	for name, f := range map[string]func(*timed){
		"nothing comes": func(c *timed) { c.wantEndAfter(time.Second) },
		"half a head":   func(c *timed) { c.send("GET / HT"); c.wantEndAfter(time.Second) },
		"a slow head": func(c *timed) {
			var slow sync.WaitGroup
			slow.Go(func() {
				for range 100 {
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			c.wantEndAfter(time.Second)
			slow.Wait()
		},
		"empty lines": func(c *timed) { c.send("\r\n\r\n"); c.wantEndAfter(time.Second) },
		"idle": func(c *timed) {
			c.send(get("/"))
			c.want(200, "/")
			c.mark()
			c.wantEndAfter(time.Minute)
		},
		"idle with empty lines": func(c *timed) {
			c.send(get("/"))
			c.want(200, "/")
			time.Sleep(time.Second / 2)
			c.send("\r\n")
			c.mark()
			c.wantEndAfter(time.Minute)
		},
		"half a second head": func(c *timed) {
			c.send(get("/"))
			c.want(200, "/")
			time.Sleep(30 * time.Second)
			c.send("GET")
			c.mark()
			c.wantEndAfter(time.Second)
		},
		"half a pipelined head": func(c *timed) {
			c.send(get("/") + "GET")
			c.want(200, "/")
			c.mark()
			c.wantEndAfter(time.Second)
		},
		"in time, again and again": func(c *timed) {
			for range 5 {
				time.Sleep(400 * time.Millisecond)
				for _, part := range strings.SplitAfter(get("/"), "\r\n") {
					c.send(part)
					time.Sleep(200 * time.Millisecond)
				}
				c.want(200, "/")
			}
			c.mark()
			c.wantEndAfter(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(serveTimed(t, o, echo)) })
		})
	}
}

func TestNoTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveTimed(t, h1.Settings{}, echo)
		time.Sleep(24 * time.Hour)
		for _, part := range strings.SplitAfter(get("/"), "\r\n") {
			c.send(part)
			time.Sleep(24 * time.Hour)
		}
		c.want(200, "/")
		time.Sleep(24 * time.Hour)
		c.send(get("/"))
		c.want(200, "/")
	})
}

// TestSettingsOfTheNextRequest: what Configure says holds from the next wait on.
func TestSettingsOfTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveTimed(t, h1.Settings{IdleTimeout: time.Hour}, echo)
		c.send(get("/"))
		c.want(200, "/")
		synctest.Wait()
		c.server.Configure(h1.Settings{IdleTimeout: time.Minute, HeadBytes: 100})
		time.Sleep(30 * time.Minute)
		c.send(get("/"))
		c.want(200, "/")
		c.mark()
		c.wantEndAfter(time.Minute)
	})
}

func TestReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveTimed(t, h1.Settings{IdleTimeout: time.Minute, HeaderTimeout: time.Second}, func(s wire.Stream, r *wire.Request) {
			if r.Target == "/next" {
				say(s, 200, "next")
				return
			}
			s.SetReadTimeout(10 * time.Second)
			b, err := io.ReadAll(s)
			if r.Target == "/slow" {
				say(s, 200, fmt.Sprintf("%q %v", b, err))
				return
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) || !s.Unread() {
				t.Errorf("got %v, unread %v", err, s.Unread())
			}
			s.CloseAfter()
			say(s, 408, "slow")
		})
		c.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
		for range 5 {
			time.Sleep(9 * time.Second)
			c.send("x")
		}
		c.want(200, `"xxxxx" <nil>`)
		time.Sleep(50 * time.Second) // nothing of this time is left
		c.send(get("/next"))
		c.want(200, "next")
		c.mark()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nxx")
		c.want(408, "slow")
		c.wantEndAfter(10 * time.Second)
	})
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveTimed(t, h1.Settings{}, func(s wire.Stream, r *wire.Request) {
			if r.Target == "/patient" { // no timeout is left of the request before
				say(s, 200, "ok")
				return
			}
			s.SetWriteTimeout(time.Second)
			s.WriteHead(200, nil, -1)
			if r.Target == "/fast" {
				return
			}
			_, err := s.Write(make([]byte, 100<<10))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write: got %v", err)
			}
			if err := s.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Flush: got %v", err)
			}
			if s.Context().Err() != nil {
				t.Error("the context was ended before it was made")
			}
		})
		c.send(get("/fast"))
		c.want(200, "")
		c.send(get("/patient"))
		time.Sleep(time.Minute)
		c.want(200, "ok")
		c.mark()
		c.send(get("/"))
		<-c.ended
		if got := time.Since(c.begun); got != time.Second {
			t.Errorf("it ended after %s", got)
		}
	})
}

// TestDrainTakesItsTime and not more.
func TestDrainTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveTimed(t, h1.Settings{IdleTimeout: time.Minute}, func(s wire.Stream, r *wire.Request) { say(s, 200, "early") })
		for range 2 {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha")
			c.want(200, "early")
			time.Sleep(4 * time.Second)
			c.send("lf")
			time.Sleep(30 * time.Second)
		}
		c.mark()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nha")
		c.want(200, "early")
		c.wantEndAfter(5 * time.Second)
	})
}

func TestShutdownInTime(t *testing.T) {
	o := h1.Settings{HeaderTimeout: time.Minute, IdleTimeout: time.Hour}
	shut := func(c *timed, ctx context.Context, want time.Duration) {
		c.t.Helper()
		begun := time.Now()
		if err := c.server.Shutdown(ctx); !errors.Is(err, ctx.Err()) {
			c.t.Errorf("got %v", err)
		}
		if got := time.Since(begun); got < want || got > want+100*time.Millisecond {
			c.t.Errorf("Shutdown took %s, want %s", got, want)
		}
	}
	for name, f := range map[string]func(t *testing.T, c *timed){
		"idle": func(t *testing.T, c *timed) {
			c.send(get("/"))
			c.want(200, "/")
			synctest.Wait()
			shut(c, t.Context(), 0)
			c.wantEnd()
		},
		"silent": func(t *testing.T, c *timed) {
			time.Sleep(2 * time.Second)
			shut(c, t.Context(), 3*time.Second)
			c.wantEnd()
		},
		"silent for long": func(t *testing.T, c *timed) {
			time.Sleep(10 * time.Second)
			shut(c, t.Context(), 0)
			c.wantEnd()
		},
		"silent, and then it speaks": func(t *testing.T, c *timed) {
			synctest.Wait()
			var shutting sync.WaitGroup
			shutting.Go(func() { shut(c, t.Context(), 4*time.Second) })
			time.Sleep(4 * time.Second)
			c.send(get("/"))
			if got := c.want(200, "/"); !got.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.Close()
			<-c.ended
			shutting.Wait()
		},
		"half a head": func(t *testing.T, c *timed) {
			synctest.Wait()
			var shutting sync.WaitGroup
			c.send("GET / HTTP/1.1\r\n")
			shutting.Go(func() { shut(c, t.Context(), 8*time.Second) })
			time.Sleep(8 * time.Second)
			c.send("Host: a\r\n\r\n")
			if got := c.want(200, "/"); !got.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.Close()
			<-c.ended
			shutting.Wait()
		},
		"a byte of the next head": func(t *testing.T, c *timed) {
			synctest.Wait()
			var shutting sync.WaitGroup
			c.send(get("/"))
			c.want(200, "/")
			c.send("G")
			synctest.Wait()
			shutting.Go(func() { shut(c, t.Context(), time.Second) })
			time.Sleep(time.Second)
			c.send(get("/")[1:])
			c.want(200, "/")
			c.Close()
			<-c.ended
			shutting.Wait()
		},
		"busy": func(t *testing.T, c *timed) {
			synctest.Wait()
			var shutting sync.WaitGroup
			c.send(get("/wait"))
			shutting.Go(func() { shut(c, t.Context(), time.Minute) })
			if got := c.want(200, "waited"); !got.Close {
				t.Error("the answer does not say that the connection ends")
			}
			c.Close()
			<-c.ended
			shutting.Wait()
		},
		"busy for too long": func(t *testing.T, c *timed) {
			c.send(get("/wait"))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := c.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			c.server.Close()
			c.wantEnd()
			<-c.ended
		},
		"closed": func(t *testing.T, c *timed) {
			c.send(get("/wait"))
			synctest.Wait()
			c.server.Close()
			synctest.Wait()
			select {
			case <-c.ended:
			default:
				t.Error("the Handler's context goes on")
			}
			a, b := net.Pipe()
			defer b.Close()
			sock := socket.New(a, nil)
			c.server.ServeConn(sock, sock, nil, handler(echo)) // returns at once
			if err := c.server.Shutdown(t.Context()); err != nil {
				t.Errorf("got %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f(t, serveTimed(t, o, func(s wire.Stream, r *wire.Request) {
					if r.Target == "/wait" {
						select {
						case <-time.After(time.Minute):
						case <-s.Context().Done():
						}
						say(s, 200, "waited")
						return
					}
					echo(s, r)
				}))
			})
		})
	}
}

// TestOthersEndWhatWaits: StopRead, Abort and Close from another goroutine.
func TestOthersEndWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server *h1.Server
		h := func(s wire.Stream, r *wire.Request) {
			switch r.Target {
			case "/stop", "/stop-flushed":
				time.AfterFunc(time.Second, s.StopRead)
				if r.Target == "/stop-flushed" {
					s.WriteHead(200, nil, -1)
					if err := s.Flush(); err != nil {
						t.Error(err)
					}
				}
				if _, err := s.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read: got %v", err)
				}
				if r.Target == "/stop" {
					say(s, 200, "stopped")
				}
			case "/abort-read":
				time.AfterFunc(time.Second, s.Abort)
				if _, err := s.Read(make([]byte, 10)); err == nil {
					t.Error("Read goes on")
				}
			case "/abort-write":
				ctx := s.Context()
				time.AfterFunc(time.Second, s.Abort)
				s.WriteHead(200, nil, -1)
				if _, err := s.Write(make([]byte, 10000)); err == nil {
					t.Error("Write goes on")
				}
				<-ctx.Done()
			case "/close":
				ctx := s.Context()
				time.AfterFunc(time.Second, server.Close)
				if _, err := s.Read(make([]byte, 10)); err == nil {
					t.Error("Read goes on")
				}
				<-ctx.Done()
				if s.Context() != ctx {
					t.Error("there is another context")
				}
			}
		}
		c := serveTimed(t, h1.Settings{}, h)
		server = c.server
		for _, path := range []string{"/stop", "/stop-flushed", "/abort-read", "/abort-write", "/close"} {
			c = c.again(h)
			c.send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
			switch path {
			case "/stop":
				if got := c.want(200, "stopped"); !got.Close {
					t.Error("the connection stays open")
				}
			case "/stop-flushed":
				c.want(200, "")
			case "/abort-write":
				<-c.ended
			}
			c.wantEndAfter(time.Second)
		}
	})
}
