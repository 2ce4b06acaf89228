package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// load asks over and over, over all protocols, until stop; it counts and reports
// whatever is not a 200.
type load struct {
	wg    sync.WaitGroup
	stop  chan struct{}
	count atomic.Int64
}

func hammer(t *testing.T, g *gatewaytest.Gateway) *load {
	l := &load{stop: make(chan struct{})}
	for _, p := range gatewaytest.Protocols() {
		c := g.Client(t, p)
		l.wg.Go(func() { l.run(t, c) })
	}
	return l
}

func (l *load) run(t *testing.T, c *gatewaytest.Client) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		r := c.Request("GET", "/", nil)
		if l.count.Add(1)%3 == 0 {
			r = c.Request("POST", "/", unknown("body"))
		}
		got, err := c.Try(r)
		if err != nil || got.Code != 200 || got.Body != "ok" {
			t.Errorf("%s: got %+v, %v", c.Protocol, got, err)
			return
		}
	}
}

// end stops asking and returns how often it was asked.
func (l *load) end() int64 {
	close(l.stop)
	l.wg.Wait()
	return l.count.Load()
}

func TestReloadUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	g := gatewaytest.Start(t, conf.String())
	l := hammer(t, g)
	for i := range 10 {
		n := l.count.Load()
		until(t, "some requests", func() bool { return l.count.Load() > n+20 || t.Failed() })
		conf.Limits = fmt.Sprintf("headers: %d, idle_timeout: %ds", 50+i, 60+i/3) // new servers, now and then
		conf.Pool = fmt.Sprintf("queue: {limit: %d}", 100+i/2)                    // a new pool, now and then
		conf.Site = fmt.Sprintf("hosts: [app.localhost, h%d.localhost]", i)
		if err := g.ReloadWith(conf.String()); err != nil {
			t.Fatal(err)
		}
		if got := g.Snapshot().Generation.Number; got != uint64(i+2) {
			t.Errorf("generation %d serves, want %d", got, i+2)
		}
	}
	n := l.end()
	var sum uint64
	for _, s := range g.Snapshot().Sites {
		for _, c := range s.Requests {
			sum += c
		}
	}
	if s := g.Snapshot(); s.LastReload.Error != "" {
		t.Errorf("last reload: %s", s.LastReload.Error)
	}
	t.Logf("%d requests, %d counted", n, sum)
}

func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	g := gatewaytest.Start(t, conf.String())
	var clients []*gatewaytest.Client
	for _, p := range gatewaytest.Protocols() {
		c := g.Client(t, p)
		c.Get("/")
		clients = append(clients, c)
	}
	accepted := func() (n uint64) {
		for _, l := range g.Listeners() {
			n += l.Accepted
		}
		return n
	}
	n := accepted()
	conf.Limits = "headers: 5, idle_timeout: 33s"
	if err := g.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		if got := c.Get("/"); got.Code != 200 {
			t.Errorf("%s: got %d", c.Protocol, got.Code)
		}
		refusal{code: 431, cause: "the limit is 5"}.get(t, c, "X-A: 1", "X-B: 2", "X-C: 3", "X-D: 4", "X-E: 5", "X-F: 6")
	}
	if now := accepted(); now != n {
		t.Errorf("%d connections, then %d", n, now)
	}
}

func TestBrokenReloadChangesNothing(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	g := gatewaytest.Start(t, conf.String())
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	freeAddr := free.Addr().String()
	free.Close()
	before := g.Snapshot()
	for name, row := range map[string]struct{ conf, want string }{
		"not YAML":      {"listen: [", "test.yaml:1:"},
		"two mistakes":  {conf.String() + "grase: 1s\nmetriks: x\n", "grase"},
		"unknown pool":  {strings.ReplaceAll(conf.String(), "pool: app", "pool: ap"), `did you mean "app"`},
		"port taken":    {strings.Replace(conf.String(), `http: [`, fmt.Sprintf(`http: [%q, %q, `, freeAddr, taken.Addr()), 1), "another server has this port"},
		"no such key":   {conf.String() + `tls: {issuer: none, certificates: [{cert: /none/c.pem, key: /none/k.pem}]}`, "/none/c.pem"},
		"ACME, not yet": {conf.String() + "tls: {issuer: acme}", "not supported yet"},
	} {
		err := g.ReloadWith(row.conf)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Reload returned %v, want %q in it", name, err, row.want)
		}
		if s := g.Snapshot(); s.LastReload.Error == "" || s.Generation != before.Generation || len(s.Listeners) != len(before.Listeners) {
			t.Errorf("%s: something has changed: %+v", name, s)
		}
	}
	var list config.Errors
	if err := g.ReloadWith(conf.String() + "grase: 1s\nmetriks: x\n"); !errors.As(err, &list) || len(list) != 2 || list[0].Line == 0 {
		t.Errorf("got %v, want two errors with their places", err)
	}
	if c, err := net.Dial("tcp", freeAddr); err == nil {
		c.Close()
		t.Error("a refused reload left a listener open")
	}
	for _, p := range gatewaytest.Protocols() {
		if got := g.Client(t, p).Get("/"); got.Code != 200 {
			t.Errorf("%s: got %d", p, got.Code)
		}
	}
	if err := g.ReloadWith(conf.String()); err != nil || g.Snapshot().LastReload.Error != "" {
		t.Errorf("the next good one: %v", err)
	}
}

func TestListenersComeAndGo(t *testing.T) {
	t.Parallel()
	w := newGate(t)
	conf := before(w.Worker)
	g := gatewaytest.Start(t, conf.String())
	conf.Listen = `http: ["127.0.0.1:0", "127.0.0.2:0"]`
	if err := g.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	added := g.Listeners()
	i := slices.IndexFunc(added, func(l stats.Listener) bool { return strings.HasPrefix(l.Address, "127.0.0.2:") })
	if i < 0 {
		t.Fatalf("got %v", added)
	}
	addr := added[i].Address
	done := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + addr + "/long")
		if err == nil && resp.StatusCode != 200 {
			err = errors.New(resp.Status)
		}
		if err == nil {
			_, err = copyDiscard(resp)
		}
		done <- err
	}()
	wait(t, w.arrived, "the request")
	conf.Listen = ""
	if err := g.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	until(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	w.release()
	if err := <-done; err != nil {
		t.Errorf("the request that ran at the old listener: %v", err)
	}
	if g.Logged("listener closed", "") == nil {
		t.Error("the listener is not closed")
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestHTTP3IsSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	conf := before(app(t, answerOK))
	g := gatewaytest.Start(t, conf.String())
	old := g.Client(t, gatewaytest.H3)
	old.Get("/")
	tls := g.Client(t, gatewaytest.H2)
	for range 2 {
		conf.Listen = "http3: false"
		if err := g.ReloadWith(conf.String()); err != nil {
			t.Fatal(err)
		}
		if got := tls.Get("/"); got.Header["Alt-Svc"] != nil {
			t.Errorf("off: Alt-Svc %q", got.Header["Alt-Svc"])
		}
		if slices.ContainsFunc(g.Listeners(), func(l stats.Listener) bool { return l.Protocol == "http3" }) {
			t.Errorf("off: %v", g.Listeners())
		}
		conf.Listen = ""
		if err := g.ReloadWith(conf.String()); err != nil {
			t.Fatal(err)
		}
		if got := tls.Get("/"); got.Header["Alt-Svc"] == nil {
			t.Error("on: no Alt-Svc")
		}
		if got := g.Client(t, gatewaytest.H3).Get("/"); got.Code != 200 {
			t.Errorf("on: got %d", got.Code)
		}
	}
}

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
