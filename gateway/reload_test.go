package gateway_test

import (
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

	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream/uwsgi/uwsgitest"
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
		"not YAML":     {"listen: [", "test.yaml:1:"},
		"two mistakes": {conf.String() + "grase: 1s\nmetriks: x\n", "grase"},
		"unknown pool": {strings.ReplaceAll(conf.String(), "pool: app", "pool: ap"), `did you mean "app"`},
		"port taken":   {strings.Replace(conf.String(), `http: [`, fmt.Sprintf(`http: [%q, %q, `, freeAddr, taken.Addr()), 1), "another server has this port"},
		"no such key":  {conf.String() + `tls: {issuer: none, certificates: [{cert: /none/c.pem, key: /none/k.pem}]}`, "/none/c.pem"},
		"no ACME":      {strings.Replace(conf.String(), "- {", "- {hosts: [shop.example.com], ", 1) + "tls: {issuer: acme, storage: \"file:" + t.TempDir() + "\"}", "there is no client for one"},
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

// TestStopDoesNotWaitForRetired: a listener that a reload has removed is cut too.
func TestStopDoesNotWaitForRetired(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			got <- true
			c.WaitClosed()
		}
	})
	conf := before(w)
	conf.More = "grace: 8s"
	g := gatewaytest.Start(t, conf.String())
	c := g.Client(t, gatewaytest.H1S)
	go c.Try(c.Request("GET", "/", nil))
	<-got
	if err := g.ReloadWith(strings.Replace(conf.String(), `https: ["127.0.0.1:0"], `, "", 1)); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	g.Stop()
	<-g.Ended()
	if d := time.Since(begun); d > 2*time.Second {
		t.Errorf("Stop took %s", d)
	}
}

// TestHTTP3OffAndOn: what runs over HTTP/3 survives both reloads.
func TestHTTP3OffAndOn(t *testing.T) {
	t.Parallel()
	got, answer := make(chan bool, 1), make(chan bool)
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			if r.Var("PATH_INFO") == "/slow" {
				got <- true
				<-answer
			}
			c.Send(answerOK)
		}
	})
	conf := before(w)
	on := conf.String()
	conf.Listen = "http3: false"
	g := gatewaytest.Start(t, on)
	c := g.Client(t, gatewaytest.H3)
	done := make(chan error, 1)
	go func() {
		resp, err := c.Try(c.Request("GET", "/slow", nil))
		if err == nil && resp.Body != "ok" {
			err = fmt.Errorf("%v", resp)
		}
		done <- err
	}()
	<-got
	if err := g.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	if err := g.ReloadWith(on); err != nil {
		t.Fatal(err)
	}
	if resp, err := g.Client(t, gatewaytest.H3).Try(c.Request("GET", "/", nil)); err != nil || resp.Code != 200 {
		t.Errorf("new: %v %v", resp, err)
	}
	close(answer)
	if err := <-done; err != nil {
		t.Errorf("the request that ran: %v", err)
	}
}
