package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
)

// TestUpgradeThatWouldHideRequests: a member that takes a switch to HTTP/2, as
// hypercorn does, would hear the client itself, past every route and every header
// that only the gateway may write.
func TestUpgradeThatWouldHideRequests(t *testing.T) {
	t.Parallel()
	heads := make(chan http.Header, 1)
	addr := rawMember(t, func(p *rawPeer) {
		r := p.request()
		if r == nil {
			return
		}
		heads <- r.Header
		if to := r.Header.Get("Upgrade"); to != "" {
			fmt.Fprintf(p, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", to)
			return
		}
		io.WriteString(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	for _, row := range []struct {
		to   string
		code int
	}{
		{"h2c", 200},
		{"HTTP/2.0", 200},
		{"TLS/1.0", 200},
		{"chat", 200},
		{"websocket, h2c", 200},
		{"websocket", 101},
		{"WebSocket", 101},
	} {
		t.Run(row.to, func(t *testing.T) {
			c := alone(t, gatewaytest.H1, gatewaytest.Conf{Members: []string{addr}, Pool: "protocol: http"})
			if code := upgrade(t, c, row.to).StatusCode; code != row.code {
				t.Errorf("got %d, want %d", code, row.code)
			}
			h := <-heads
			if got := h.Get("Upgrade") + h.Get("Connection") + h.Get("Http2-Settings"); row.code == 200 && got != "" {
				t.Errorf("the member saw %v", h)
			}
		})
	}
}

// upgrade asks for another protocol and returns the answer.
func upgrade(t *testing.T, c *gatewaytest.Client, to string) *http.Response {
	t.Helper()
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n", to)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestUpgradesThatWorkersAreAskedFor: any protocol but those of HTTP itself.
func TestUpgradesThatWorkersAreAskedFor(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	c := alone(t, gatewaytest.H1, before(w))
	for to, want := range map[string]string{
		"chat": "chat", "websocket": "websocket", "x/1.0": "x/1.0",
		"h2c": "", "H2C": "", "HTTP/2.0": "", "TLS/1.0": "", "chat, h2c": "", "h2c,chat": "", "chat\th2c": "",
	} {
		if code := upgrade(t, c, to).StatusCode; code != 200 {
			t.Fatalf("%q: got %d", to, code)
		}
		r := last(t, w)
		if got := r.Var("HTTP_UPGRADE"); got != want || (r.Var("HTTP_CONNECTION") != "") != (want != "") {
			t.Errorf("%q: the worker saw %q and %q, want %q", to, got, r.Var("HTTP_CONNECTION"), want)
		}
	}
}

// TestStickyCookieWith101: the next connection of a client goes to the same member.
func TestStickyCookieWith101(t *testing.T) {
	t.Parallel()
	conf := before(echoes(t), echoes(t))
	conf.Pool = "balance: {sticky: {cookie: node}}"
	resp := upgrade(t, alone(t, gatewaytest.H1, conf), "chat")
	if got := resp.Header.Get("Set-Cookie"); resp.StatusCode != 101 || !strings.HasPrefix(got, "node=") {
		t.Errorf("got %d with the cookie %q", resp.StatusCode, got)
	}
}
