package gateway_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// herald announces scripted workers to a gateway, over the datagram socket of its
// configuration.
type herald struct {
	t      *testing.T
	socket string
}

func newHerald(t *testing.T) *herald {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &herald{t: t, socket: filepath.Join(dir, "s.sock")}
}

// conf is a configuration in which all that h announces is the pool app.
func (h *herald) conf(c gatewaytest.Conf) gatewaytest.Conf {
	return h.allowing(c, "")
}

// allowing is conf with more keys of subscriptions.
func (h *herald) allowing(c gatewaytest.Conf, more string) gatewaytest.Conf {
	c.More += fmt.Sprintf("\nsubscriptions: {listen: [\"unix:%s\"]%s}\npools: {app: {subscriptions: true, %s}}", h.socket, more, c.Pool)
	return c
}

// send sends a packet; pairs are names and values beside key and address.
func (h *herald) send(command byte, key, address string, pairs ...string) {
	h.t.Helper()
	var block []byte
	for all := append([]string{"key", key, "address", strings.TrimPrefix(address, "unix:")}, pairs...); len(all) > 0; all = all[2:] {
		block = uwsgi.AppendVar(block, all[0], all[1])
	}
	c, err := net.Dial("unixgram", h.socket)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(append(uwsgi.AppendHeader(nil, 0xe0, len(block), command), block...)); err != nil {
		h.t.Fatal(err)
	}
}

// announce says that a worker with some slots serves key.
func (h *herald) announce(key string, w *uwsgitest.Worker, slots int, pairs ...string) {
	h.t.Helper()
	h.send(0, key, w.Addr().String(), append([]string{"cores", strconv.Itoa(slots), "load", "0", "weight", "1"}, pairs...)...)
}

// withdraw takes that back.
func (h *herald) withdraw(key string, w *uwsgitest.Worker) {
	h.t.Helper()
	h.send(1, key, w.Addr().String())
}

// named starts a worker that answers with its name and what it is told of the host.
// Of a ping it hangs up, as uWSGI without the plugin does.
func named(t *testing.T, name string) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil && r.Modifier1 != 100 {
			c.Send(ok(fmt.Sprintf("%s for %s as %s", name, r.Var("HTTP_HOST"), r.Var("SERVER_NAME"))))
		}
	})
}

// heldNamed is held for workers that are asked for a sign of life.
func heldNamed(t *testing.T, may <-chan struct{}) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil && r.Modifier1 != 100 {
			<-may
			c.Send(answerOK)
		}
	})
}

// visitor asks for one host.
type visitor struct {
	*gatewaytest.Client
	host string
}

// visitHost makes a client that names a host wherever one is named.
func visitHost(t *testing.T, g *gatewaytest.Gateway, p gatewaytest.Protocol, host string) visitor {
	t.Helper()
	name, _, _ := strings.Cut(host, ":")
	return visitor{with(t, g, p, strings.ToLower(name), nil), host}
}

// get asks for /. Without an answer it has Code 0 and BodyErr.
func (v visitor) get() *gatewaytest.Response {
	r := v.Request("GET", "/", nil)
	r.Host = v.host
	got, err := v.Try(r)
	if err != nil {
		return &gatewaytest.Response{BodyErr: err}
	}
	return got
}

// later is get, and returns where the answer will be.
func (v visitor) later() <-chan *gatewaytest.Response {
	got := make(chan *gatewaytest.Response, 1)
	go func() { got <- v.get() }()
	return got
}

// wants asks for / and holds the answer against what it should be.
func (v visitor) wants(t *testing.T, code int, body string) {
	t.Helper()
	if got := v.get(); got.Code != code || got.BodyErr != nil || !strings.Contains(got.Body, body) {
		t.Errorf("%s over %s: got %d %q (%v), want %d %q", v.host, v.Protocol, got.Code, got.Body, got.BodyErr, code, body)
	}
}

// untilReady waits until so many announced members are ready, and the pool knows it.
func untilReady(t *testing.T, g *gatewaytest.Gateway, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d members that are ready", n), func() bool {
		ready := 0
		for _, node := range g.Snapshot().Subscribed.Nodes {
			if node.Ready {
				ready++
			}
		}
		return ready == n && g.MembersByHost("app") == n
	})
}

// inPool returns the members of the pool, as state and address.
func inPool(g *gatewaytest.Gateway) (out []string) {
	for _, m := range poolOf(g).Members {
		out = append(out, m.State+" "+m.Address)
	}
	return out
}

// counted returns how many packets had an end.
func counted(g *gatewaytest.Gateway, result string) uint64 {
	return g.Snapshot().Subscribed.Counters[result]
}
