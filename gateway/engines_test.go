package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
)

// TestTunnelKeepsTheSlotOfItsWorker: a worker that speaks through a tunnel is busy
// until that ends, and gets nothing else to do.
func TestTunnelKeepsTheSlotOfItsWorker(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		conf := before(echoes(t))
		conf.Pool = "slots: 1, queue: {timeout: 100ms}"
		c := alone(t, p, conf)
		_, r := switched(t, c, "slot", "")
		expect(t, r, "hello,")
		if n := poolOf(c.Gateway).Members[0].InFlight; n != 1 {
			t.Errorf("%d requests are at the member while a tunnel is open, want 1", n)
		}
		if got := c.Get("/"); got.Code != http.StatusServiceUnavailable {
			t.Errorf("the only slot is taken by a tunnel, and another request got %d, want 503", got.Code)
		}
	})
}

// TestClientGoneInTheMiddleOfItsBody: that is no fault of the request, whether the
// body is spooled or streams, and however its end is told.
func TestClientGoneInTheMiddleOfItsBody(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, how := range []string{"spool", "stream"} {
			for _, framing := range []string{"Content-Length: 5000\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"} {
				conf := before(app(t, answerOK))
				conf.Routes = "{pool: app, request_body: " + how + "}"
				c := alone(t, p, conf)
				conn, err := c.Dial()
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nX-Request-Id: gone\r\n%s", gatewaytest.Host, framing)
				until(t, "the request", func() bool { return c.Gateway.Snapshot().Sites[0].InFlight == 1 })
				conn.Close()
				line := c.Gateway.Request("gone")
				if line.Number("status") != 499 || line.Text("err") != "the client went away" {
					t.Errorf("%s, %.7s: access log has %v, want 499", how, framing, line)
				}
			}
		}
	})
}

// TestClientsCannotFillTheLogOfFailures: what a stranger can cause at will, and no
// operator mend, must not take the place of what is to be mended.
func TestClientsCannotFillTheLogOfFailures(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		for name, raw := range map[string]string{
			"version": "GET / HTTP/7.0\r\nHost: app.localhost\r\n\r\n",
			"coding":  "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: br\r\n\r\n",
		} {
			c := alone(t, p, gatewaytest.Conf{Routes: "{respond: {status: 200}}"})
			conn, r := dialed(t, c)
			fmt.Fprint(conn, raw)
			resp, err := gatewaytest.ReadResponse(r, http.MethodGet)
			if err != nil || resp.Code < 500 {
				t.Fatalf("%s: got %v, %v", name, resp, err)
			}
			c.Gateway.Request(resp.Header.Get("X-Request-Id")) // logged: all that will be said is said
			for _, l := range c.Gateway.Log.All() {
				if l.Text("msg") == "request failed" {
					t.Errorf("%s: the operator is told of it: %v", name, l)
				}
			}
		}
	})
}

// dripping sends, once it is told so, a byte at a time.
type dripping struct {
	net.Conn
	slow  atomic.Bool
	every time.Duration
}

func (d *dripping) Write(p []byte) (n int, err error) {
	if !d.slow.Load() {
		return d.Conn.Write(p)
	}
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for n < len(p) && err == nil {
		<-tick.C
		_, err = d.Conn.Write(p[n : n+1])
		n++
	}
	return n, err
}

// TestIdleTimeoutIsNotOfSingleBytes: a client that sends a TLS record for minutes
// has asked for nothing meanwhile, and its connection is as idle as one that is
// silent.
func TestIdleTimeoutIsNotOfSingleBytes(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Routes: "{respond: {status: 200}}", Limits: "idle_timeout: 300ms, header_timeout: 300ms"}
	c := alone(t, gatewaytest.H1S, conf)
	below, err := net.Dial("tcp", c.Gateway.Address("https"))
	if err != nil {
		t.Fatal(err)
	}
	d := &dripping{Conn: below, every: 30 * time.Millisecond}
	conn := tls.Client(d, c.TLS())
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	ask := "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n"
	io.WriteString(conn, ask) // an error shows below
	if resp, err := gatewaytest.ReadResponse(r, http.MethodGet); err != nil || resp.Code != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	d.slow.Store(true)
	begun := time.Now()
	io.WriteString(conn, strings.Replace(ask, "\r\n\r\n", "\r\nX: 1\r\n\r\n", 1)) // about 80 bytes: 2.5 s
	d.slow.Store(false)
	if resp, err := gatewaytest.ReadResponse(r, http.MethodGet); err == nil {
		t.Errorf("a connection that was idle for %s was still served with %d; idle_timeout is 300 ms", time.Since(begun), resp.Code)
	}
}

// TestAbsoluteFormWithTheDefaultPort: that is the same host (RFC 9110, 4.2.3), as it
// is without the port (RFC 9112, 3.2.2 even has the Host field ignored).
func TestAbsoluteFormWithTheDefaultPort(t *testing.T) {
	t.Parallel()
	c := alone(t, gatewaytest.H1, gatewaytest.Conf{Routes: "{respond: {status: 200}}"})
	for _, row := range [][2]string{{"http://app.localhost:80/", "app.localhost"}, {"http://app.localhost/", "app.localhost:80"}} {
		got, err := c.Raw(gatewaytest.Head{Target: row[0], Authority: row[1]}, "")
		if err != nil || got.Code != 200 {
			t.Errorf("%s with Host: %s: got %v, %v, want 200", row[0], row[1], got, err)
		}
	}
}

// TestListenerIsClosedBesideItsTunnels: a tunnel may last for days. It outlives its
// listener, as every connection that was switched does, and does not hold up its end.
func TestListenerIsClosedBesideItsTunnels(t *testing.T) {
	t.Parallel()
	conf := before(echoes(t))
	conf.More = "grace: 500ms"
	c := alone(t, gatewaytest.H1, conf)
	conn, r := switched(t, c, "outlives", "")
	expect(t, r, "hello,")
	conf.Listen = "http: []"
	if err := c.Gateway.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	closed := func(l gatewaytest.Line) bool { return l.Text("msg") == "listener closed" }
	if c.Gateway.Log.Wait(closed) == nil {
		t.Error("the listener is not closed while a tunnel is open that came through it")
	}
	fmt.Fprint(conn, "still")
	expect(t, r, "still")
}

// TestNoRequestIsLostWithItsListener: clients that reuse connections learn from an
// answer that theirs ends, as they do when the whole gateway stops.
func TestNoRequestIsLostWithItsListener(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Routes: "{respond: {status: 200}}"}
	c := alone(t, gatewaytest.H1, conf)
	var busy sync.WaitGroup
	var lost, asked atomic.Int64
	const clients = 40
	for range clients {
		conn, r := dialed(t, c)
		busy.Go(func() {
			for {
				fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\n\r\n") // an error shows below
				resp, err := http.ReadResponse(r, nil)
				asked.Add(1)
				if err != nil {
					lost.Add(1)
					return
				}
				resp.Body.Close() // it is empty
				if resp.Close {
					return
				}
			}
		})
	}
	until(t, "requests", func() bool { return asked.Load() > 10*clients })
	conf.Listen = "http: []"
	if err := c.Gateway.ReloadWith(conf.String()); err != nil {
		t.Error(err)
	}
	busy.Wait()
	if n := lost.Load(); n > 0 {
		t.Errorf("%d of %d clients lost a request", n, clients)
	}
}
