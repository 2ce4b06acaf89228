package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream/uwsgi/uwsgitest"
)

// TestGracefulStop: every request that was accepted is answered.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := newGate(t)
		c := alone(t, p, before(w.Worker))
		var running sync.WaitGroup
		for i := range 5 {
			running.Go(func() {
				got, err := c.Try(c.Request("POST", fmt.Sprint("/", i), strings.NewReader("body")))
				if err != nil || got.Code != 200 || got.Body != "ok" || got.BodyErr != nil {
					t.Errorf("got %+v, %v", got, err)
					return
				}
				if p.Major() == 1 && !got.Close {
					t.Errorf("no Connection: close in %v", got.Header)
				}
			})
		}
		for range 5 {
			wait(t, w.arrived, "the requests")
		}
		c.Gateway.Shutdown()
		until(t, "draining", func() bool { return c.Gateway.Snapshot().State == stats.StateDraining })
		if _, err := c.Gateway.Reload(context.Background()); err == nil {
			t.Error("a gateway that stops reloads")
		}
		w.release()
		running.Wait()
		if err := c.Gateway.Wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestStopUnderLoad: whoever got through to the gateway is answered. A client
// whose connection could not be made, or was told to go away, tries elsewhere.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := app(t, answerOK)
		g := gatewaytest.Start(t, before(w).String())
		var clients sync.WaitGroup
		var answered atomic.Int64
		for range 4 {
			c := g.Client(t, p)
			clients.Go(func() {
				for {
					got, err := c.Try(c.Request("GET", "/", nil))
					if err != nil {
						if !turnedAway(err) {
							t.Errorf("a request was lost: %T %v", err, err)
						}
						return
					}
					if got.Code != 200 || got.BodyErr != nil {
						t.Errorf("got %+v", got)
						return
					}
					answered.Add(1)
				}
			})
		}
		until(t, "some requests", func() bool { return answered.Load() > 100 })
		g.Shutdown()
		if err := g.Wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		clients.Wait()
	})
}

// turnedAway reports that a client knows for sure that its request did not run:
// it had no connection. Over UDP nobody refuses one.
func turnedAway(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, gatewaytest.ErrNoConnection)
}

// TestGoAway: h2 and h3 clients with an idle connection are told.
func TestGoAway(t *testing.T) {
	t.Parallel()
	for _, p := range []gatewaytest.Protocol{gatewaytest.H2, gatewaytest.H2C} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			c := alone(t, p, before(app(t, answerOK)))
			conn, err := c.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(conn, http2.ClientPreface)
			f := http2.NewFramer(conn, conn)
			if err := f.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			if _, err := f.ReadFrame(); err != nil { // its settings: the connection is served
				t.Fatal(err)
			}
			c.Gateway.Shutdown()
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					t.Fatalf("no GOAWAY: %v", err)
				}
				if g, ok := frame.(*http2.GoAwayFrame); ok {
					if g.ErrCode != http2.ErrCodeNo {
						t.Errorf("got %v", g)
					}
					break
				}
			}
			conn.Close()
			if err := c.Gateway.Wait(); err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
	t.Run("h3", func(t *testing.T) {
		t.Parallel()
		c := alone(t, gatewaytest.H3, before(app(t, answerOK)))
		told, err := c.GoAway()
		if err != nil {
			t.Fatal(err)
		}
		c.Gateway.Shutdown()
		wait(t, told, "GOAWAY")
		if err := c.Gateway.Wait(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestGraceIsOver(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := newGate(t)
		conf := before(w.Worker)
		conf.More = "grace: 700ms"
		c := alone(t, p, conf)
		cut := make(chan struct{})
		go func() {
			defer close(cut)
			if got, err := c.Try(c.Request("GET", "/", nil)); err == nil && got.Code == 200 {
				t.Errorf("got %+v", got)
			}
		}()
		wait(t, w.arrived, "the request")
		begun := time.Now()
		c.Gateway.Shutdown()
		if err := c.Gateway.Wait(); err == nil || !strings.Contains(err.Error(), "with requests still running") {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(begun); took < 600*time.Millisecond || took > 6*time.Second {
			t.Errorf("took %s", took)
		}
		wait(t, cut, "the client's end")
	})
}

func TestStopEndsAtOnce(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, draining := range []bool{false, true} {
			w := newGate(t)
			c := alone(t, p, before(w.Worker))
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				_, _ = c.Try(c.Request("GET", "/", nil))
			}()
			wait(t, w.arrived, "the request")
			if draining {
				c.Gateway.Shutdown()
				until(t, "draining", func() bool { return c.Gateway.Snapshot().State == stats.StateDraining })
			}
			begun := time.Now()
			c.Gateway.Stop()
			_ = c.Gateway.Wait() // that requests were cut is no news
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("took %s", took)
			}
			wait(t, cut, "the client's end")
		}
	})
}

func TestStartThatFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	freeAddr := free.Addr().String()
	free.Close()
	for name, listen := range map[string]string{
		"TCP port": fmt.Sprintf("http: [%q, %q]", freeAddr, taken.Addr()),
		"UDP port": fmt.Sprintf("http: [%q], https: [%q]", freeAddr, udp.LocalAddr()),
	} {
		conf := gatewaytest.Conf{Listen: listen, Routes: "{respond: {status: 200}}"}
		_, err := gatewaytest.Try(t, conf.String())
		if err == nil || !strings.Contains(err.Error(), "another server has this port") || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%s: Run returned %v", name, err)
		}
		if c, err := net.Dial("tcp", freeAddr); err == nil {
			c.Close()
			t.Errorf("%s: a listener was left open", name)
		}
	}
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	conf := gatewaytest.Conf{Listen: fmt.Sprintf("http: [%q, %q]", two.Addr(), taken.Addr()), Routes: "{respond: {status: 200}}"}
	if _, err := gatewaytest.Try(t, conf.String()); err == nil || strings.Count(err.Error(), "another server") != 2 {
		t.Errorf("two ports: got %v, want both named", err)
	}
}

func TestMissingSocketIsOnlyAWarning(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock"}}
	g := gatewaytest.Start(t, conf.String())
	l := g.Logged("no socket yet: start the worker, or correct the address", "")
	if l.Text("level") != "WARN" || l.Text("member") != "unix:/nowhere/w.sock" || l.Text("pool") != "app" {
		t.Errorf("got %v", l)
	}
}

func TestMisdirectedRequest(t *testing.T) {
	t.Parallel()
	cert, file := selfSigned(t, gatewaytest.Host, "*.shop.localhost")
	conf := before(app(t, answerOK))
	conf.More = fmt.Sprintf("tls: {issuer: none, certificates: [{cert: %q, key: %q}]}", file, file+".key")
	g := gatewaytest.Start(t, conf.String())
	g.Trust(cert.Certificate[0])
	for _, p := range gatewaytest.Protocols() {
		c := g.Client(t, p)
		for host, code := range map[string]int{gatewaytest.Host: 200, "APP.localhost:443": 200, "a.shop.localhost": 200, "other.localhost": 421, "a.b.shop.localhost": 421} {
			if !p.Secure() {
				code = 200
			}
			r := c.Request("GET", "/", nil)
			r.Host = host
			got := c.Do(r)
			if got.Code != code || code == 421 && !strings.Contains(got.Body, "connect with that host as the server name") {
				t.Errorf("%s over %s: got %d %q, want %d", host, p, got.Code, got.Body, code)
			}
		}
	}
}

func TestRedirectToHTTPS(t *testing.T) {
	t.Parallel()
	conf := before(app(t, answerOK))
	conf.Site = "http: redirect"
	g := gatewaytest.Start(t, conf.String())
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H2C} {
		c := g.Client(t, p)
		for host, want := range map[string]string{
			"app.localhost": "app.localhost", "App.localhost.:8080": "app.localhost", "[::1]:80": "[::1]", "127.0.0.1": "127.0.0.1",
		} {
			r := c.Request("POST", "/a%20b/../c?d=%2F", strings.NewReader("body"))
			r.Host = host
			got := c.Do(r)
			if loc := "https://" + want + ":" + g.Port("https") + "/a%20b/../c?d=%2F"; got.Code != 308 || got.Header.Get("Location") != loc {
				t.Errorf("%s over %s: got %d to %q, want %q", host, p, got.Code, got.Header.Get("Location"), loc)
			}
		}
	}
	if got := g.Client(t, gatewaytest.H2).Get("/"); got.Code != 200 {
		t.Errorf("over https: got %d", got.Code)
	}
	conn, err := g.Client(t, gatewaytest.H1).Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /x HTTP/1.0\r\n\r\n")
	var b strings.Builder
	if _, err := copyAll(&b, conn); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "https:///") || strings.Contains(b.String(), "https://:") {
		t.Errorf("without a host: got %q", b.String())
	}
}

func TestUnknownSite(t *testing.T) {
	t.Parallel()
	conf := before(app(t, answerOK))
	conf.Site = "hosts: [shop.localhost]"
	conf.More = "tls: {issuer: none, certificates: [{cert: %q, key: %q}]}"
	_, file := selfSigned(t, gatewaytest.Host, "shop.localhost")
	conf.More = fmt.Sprintf(conf.More, file, file+".key")
	g := gatewaytest.Start(t, conf.String())
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H2C} {
		refusal{code: 404, cause: `no site answers to the host "app.localhost"`, cure: "a site without hosts"}.get(t, g.Client(t, p))
	}
}

// TestStopLogsWhatItCuts: when Run returns, every handler has.
func TestStopLogsWhatItCuts(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			got <- true
			c.WaitClosed()
		}
	})
	c := alone(t, gatewaytest.H1, before(w))
	r := c.Request("GET", "/", nil)
	go c.Try(r)
	<-got
	c.Gateway.Stop()
	<-c.Gateway.Ended()
	id := r.Header.Get("X-Request-Id")
	for _, l := range c.Gateway.Access.All() {
		if l.Text("request_id") == id {
			return
		}
	}
	t.Error("no line when Run has returned")
}
