package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

const answer101 = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\nX-Kept: yes\r\n\r\n"

// switched asks for another protocol and returns the connection behind the 101.
func switched(t *testing.T, c *gatewaytest.Client, id, early string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /chat HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: chat\r\nX-Request-Id: %s\r\n\r\n%s", id, early)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "chat" || !strings.EqualFold(resp.Header.Get("Connection"), "upgrade") || resp.Header.Get("X-Kept") != "yes" {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	return conn, r
}

// echoes answers 101, says hello, and gives back what it gets until the client
// has said its last; then it says bye.
func echoes(t *testing.T) *uwsgitest.Worker {
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil || r.Var("HTTP_UPGRADE") != "chat" || r.Var("HTTP_CONNECTION") != "Upgrade" {
			c.Send(answerOK)
			return
		}
		c.Send(answer101 + "hello,") // bytes behind the head in one write
		_, _ = io.Copy(c, c.Conn)
		c.Send("bye")
	})
}

func h1s(t *testing.T, body func(t *testing.T, p gatewaytest.Protocol)) {
	t.Helper()
	for _, p := range []gatewaytest.Protocol{gatewaytest.H1, gatewaytest.H1S} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			body(t, p)
		})
	}
}

func TestTunnel(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := echoes(t)
		conf := before(w)
		conf.Limits = "write_idle_timeout: 1s, body_idle_timeout: 1s, idle_timeout: 1s, header_timeout: 1s"
		conf.Pool = "response_timeout: 1s"
		c := alone(t, p, conf)
		conn, r := switched(t, c, "tunnel", "early")
		expect(t, r, "hello,early")
		<-time.After(2 * time.Second) // silence is no fault
		fmt.Fprint(conn, "late")
		expect(t, r, "late")
		conn.(interface{ CloseWrite() error }).CloseWrite() // both kinds have it; an error shows below
		expect(t, r, "bye")
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("got %v, want the end", err)
		}
		conn.Close()
		line := c.Gateway.Request("tunnel")
		if line.Number("status") != 101 || line.Number("bytes_in") != 9 || line.Number("bytes_out") != 18 || line["aborted"] != nil {
			t.Errorf("access log: %v", line)
		}
		until(t, "the worker's slot", func() bool { return poolOf(c.Gateway).Members[0].InFlight == 0 })
	})
}

func expect(t *testing.T, r io.Reader, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(r, b); err != nil || string(b) != want {
		t.Fatalf("got %q, %v, want %q", b, err, want)
	}
}

// TestTunnelEndsWithEitherSide: nobody is left alone.
func TestTunnelEndsWithEitherSide(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		freed := make(chan struct{}, 1)
		w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
			r := c.Receive()
			c.Send(answer101)
			if r.Var("HTTP_X_REQUEST_ID") == "worker" {
				return // the worker leaves
			}
			c.WaitClosed()
			freed <- struct{}{}
		})
		c := alone(t, p, before(w))
		_, r := switched(t, c, "worker", "")
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("the client got %v, want the end", err)
		}
		conn, _ := switched(t, c, "client", "")
		conn.Close()
		wait(t, freed, "the worker to be free")
	})
}

// TestUpgradeThatIsNotGranted: the answer is an ordinary one.
func TestUpgradeThatIsNotGranted(t *testing.T) {
	t.Parallel()
	w := echoes(t)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		if c.Protocol.Major() > 1 {
			t.Skip("HTTP/2 and HTTP/3 have no Upgrade")
		}
		for _, header := range [][]string{
			{"Connection: Upgrade", "Upgrade: other"},
			{"Upgrade: chat"}, // without Connection it is not asked for
		} {
			if got := c.Get("/", header...); got.Code != 200 || got.Body != "ok" {
				t.Errorf("%q: got %+v", header, got)
			}
		}
		if got := c.Post("/", "body", "Connection: Upgrade", "Upgrade: chat"); got.Code != 200 || got.Body != "ok" {
			t.Errorf("with a body: got %+v", got)
		}
	})
}

// TestStopWaitsForTunnels until the grace is over.
func TestStopWaitsForTunnels(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		conf := before(echoes(t))
		conf.More = "grace: 1500ms"
		c := alone(t, p, conf)
		conn, r := switched(t, c, "long", "")
		expect(t, r, "hello,")
		begun := time.Now()
		c.Gateway.Shutdown()
		c.Gateway.Logged("stopping: requests that run may finish", "")
		fmt.Fprint(conn, "still here")
		expect(t, r, "still here")
		if _, err := r.ReadByte(); err == nil {
			t.Error("more came")
		}
		if err := c.Gateway.Wait(); err == nil || !strings.Contains(err.Error(), "grace of 1.5s") {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(begun); took < time.Second || took > 8*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestTunnelEndsWhenTheClientTakesNothing(t *testing.T) {
	t.Parallel()
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() == nil {
			return
		}
		c.Send(answer101)
		c.Send(strings.Repeat("x", 32<<20))
	})
	conf := before(w)
	conf.Limits = "write_idle_timeout: 200ms"
	c := alone(t, gatewaytest.H1, conf)
	switched(t, c, "stalled", "")
	deadline := time.Now().Add(8 * time.Second)
	for time.Now().Before(deadline) {
		for _, l := range c.Gateway.Access.All() {
			if l.Text("request_id") == "stalled" {
				return
			}
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Error("the tunnel is still open")
}

// TestStopCutsTunnels: no tunnel outlives Run.
func TestStopCutsTunnels(t *testing.T) {
	t.Parallel()
	w := echoes(t)
	c := alone(t, gatewaytest.H1, before(w))
	conn, r := switched(t, c, "cut", "early")
	expect(t, r, "hello,early")
	c.Gateway.Stop()
	<-c.Gateway.Ended()
	fmt.Fprint(conn, "late")
	b := make([]byte, 4)
	if n, err := io.ReadFull(r, b); err == nil {
		t.Errorf("the tunnel still carries %q", b[:n])
	}
	c.Gateway.Request("cut")
}
