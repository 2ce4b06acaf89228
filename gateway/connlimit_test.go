package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// hold opens a connection that stays: a request was answered on it.
func hold(t *testing.T, g *gatewaytest.Gateway, header string) (code int, c net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", g.Address("http"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "%sGET / HTTP/1.1\r\nHost: %s\r\n\r\n", header, gatewaytest.Host)
	got, err := gatewaytest.ReadResponse(bufio.NewReader(c), "GET")
	if err != nil {
		t.Errorf("%q: %v", header, err)
		return 0, c
	}
	return got.Code, c
}

// await polls until f is true.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Error("it never happens: " + what)
}

func limited(t *testing.T, listen, limits string) *gatewaytest.Gateway {
	t.Helper()
	return gatewaytest.Start(t, limitedConf(listen, limits))
}

func limitedConf(listen, limits string) string {
	return gatewaytest.Conf{Listen: listen + " http3: false", Limits: limits, Routes: `{respond: {status: 200, body: ok}}`}.String()
}

func TestLimitOfConnections(t *testing.T) {
	t.Parallel()
	g := limited(t, "", "connections: 3")
	var open []net.Conn
	for range 3 {
		code, c := hold(t, g, "")
		if code != 200 {
			t.Fatalf("within the limit: got %d", code)
		}
		open = append(open, c)
	}
	for range 3 {
		if code, _ := hold(t, g, ""); code != 503 {
			t.Errorf("beyond the limit: got %d, want 503", code)
		}
	}
	l := g.Logged("connections are turned away: there are too many", "")
	if l.Text("limit") != "limits.connections" || l.Number("value") != 3 || !strings.Contains(l.Text("cure"), "limits.connections") {
		t.Errorf("log: %v", l)
	}
	if n := strings.Count(fmt.Sprint(g.Log.All()), "connections are turned away"); n != 1 {
		t.Errorf("%d lines in the log, want one in a minute", n)
	}
	open[0].Close()
	await(t, "the place of a connection that has ended is free", func() bool {
		code, c := hold(t, g, "")
		if code != 200 {
			c.Close()
		}
		return code == 200
	})
	// Another limit holds at once, also for those that are open.
	if err := g.ReloadWith(limitedConf("", "connections: 100")); err != nil {
		t.Fatal(err)
	}
	if code, _ := hold(t, g, ""); code != 200 {
		t.Errorf("after the limit was raised: got %d", code)
	}
}

// TestLimitOfTLSConnections: nothing can be said ahead of a handshake.
func TestLimitOfTLSConnections(t *testing.T) {
	t.Parallel()
	g := limited(t, "", "connections: 1")
	c, err := g.Client(t, gatewaytest.H1S).Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", gatewaytest.Host)
	if got, err := gatewaytest.ReadResponse(bufio.NewReader(c), "GET"); err != nil || got.Code != 200 {
		t.Fatalf("the first: %+v, %v", got, err)
	}
	second, err := net.Dial("tcp", g.Address("https"))
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	second.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(second); len(b) > 0 || isTimeoutErr(err) {
		t.Errorf("the second: got %q, %v, want an end", b, err)
	}
}

func isTimeoutErr(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestLimitOfAClient(t *testing.T) {
	t.Parallel()
	g := limited(t, "proxy_protocol: [127.0.0.1], trusted_proxies: [203.0.113.5],", "client_connections: 2")
	from := func(addr string) string {
		to := "198.51.100.1:80"
		if strings.Contains(addr, ":") {
			to = "[2001:db8::1]:80"
		}
		return headerOf(t, 2, net.JoinHostPort(addr, "4711"), to)
	}
	for i, c := range []struct {
		from string
		want int
	}{
		{"192.0.2.7", 200},
		{"192.0.2.7", 200},
		{"192.0.2.7", 503},
		{"192.0.2.8", 200},
		{"192.0.2.7", 503},
		{"2001:db8::7", 200},
		{"2001:db8::8", 200},
		{"2001:db8::9", 503},
		{"2001:db8:0:1::7", 200},
		{"203.0.113.5", 200},
		{"203.0.113.5", 200},
		{"203.0.113.5", 200}, // it speaks for others
	} {
		if code, _ := hold(t, g, from(c.from)); code != c.want {
			t.Errorf("connection %d, of %s: got %d, want %d", i, c.from, code, c.want)
		}
	}
	l := g.Logged("connections are turned away: there are too many", "")
	if l.Text("limit") != "limits.client_connections" || l.Text("client") != "192.0.2.7" {
		t.Errorf("log: %v", l)
	}
}

// TestManyWhoAreTurnedAway: they do not pile up.
func TestManyWhoAreTurnedAway(t *testing.T) {
	t.Parallel()
	g := limited(t, "", "connections: 1")
	if code, _ := hold(t, g, ""); code != 200 {
		t.Fatalf("got %d", code)
	}
	var open []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", g.Address("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	for _, c := range open { // which say nothing
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadAll(c); isTimeoutErr(err) {
			t.Fatal("a connection beyond the limit is not closed")
		}
	}
}

// TestPlacesComeBack: however a connection ends, its place, and that of its client,
// is free afterwards.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			io.Copy(io.Discard, c)
		}
	})
	conf := before(w)
	conf.Listen, conf.Limits = "proxy_protocol: [127.0.0.1], http3: false", "client_connections: 2, header_timeout: 200ms"
	conf.Routes = `{path: /ws, pool: app}, {respond: {status: 200, body: ok}}`
	g := gatewaytest.Start(t, conf.String())
	client := headerOf(t, 2, "192.0.2.7:4711", "198.51.100.1:80")
	get := fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", gatewaytest.Host)
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for _, kind := range []string{"http", "https"} {
		for _, sent := range []string{
			"", "PRO", "PROXY X\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", proxyLocal2, proxyUnknown1, get,
			client, client + "G", client + get, client + get + "GET / HTTP/1.1\r\nHo", client + "\x00\x01\x02", client + client + get,
			client + hello, client + "\x16\x03\x01\x00\x02\x01\x00", client + "\x15\x03\x01\x00\x02\x01\x00",
			client + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", client + "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x05\x00\x00\x00\x00\x00\x00", client + "PRI * HTTP/2.0\r\n\r\nX",
			client + fmt.Sprintf("GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nping", gatewaytest.Host),
		} {
			for _, reset := range []bool{false, true} {
				c, err := net.Dial("tcp", g.Address(kind))
				if err != nil {
					t.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				io.WriteString(c, sent)
				if reset {
					c.(*net.TCPConn).SetLinger(0)
				} else {
					c.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, c)
				}
				c.Close()
			}
		}
	}
	await(t, "no connection is counted", func() bool {
		for _, l := range g.Listeners() {
			if l.Connections != 0 {
				return false
			}
		}
		return true
	})
	ws := client + fmt.Sprintf("GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", gatewaytest.Host)
	for range 2 { // tunnels count while they are open
		c, err := net.Dial("tcp", g.Address("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, ws)
		if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 101 ") {
			t.Errorf("tunnel: got %q, %v", line, err)
		}
	}
	if code, _ := hold(t, g, client); code != 503 {
		t.Errorf("beside two tunnels: got %d, want 503", code)
	}
}
