package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream/uwsgi/uwsgitest"
)

// poolOf returns the only pool of the snapshot.
func poolOf(g *gatewaytest.Gateway) stats.Pool { return g.Snapshot().Pools[0] }

func TestUnsentRequestsGoToAnotherMember(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := app(t, answerOK)
		unread := uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.Reset() })
		conf := before(w, unread)
		conf.Members = append(conf.Members, "unix:/nowhere/w.sock")
		conf.Pool = "balance: round-robin, eject: {failures: off}"
		c := alone(t, p, conf)
		retries := 0.0
		for i := range 8 {
			body := fmt.Sprintf("body %d", i)
			got := c.Post("/", body)
			if i%2 == 0 {
				got = c.Get("/") // a body may have been read by a worker that dies: only without one nobody can have run it
				body = ""
			}
			if got.Code != 200 && i%2 == 0 {
				t.Fatalf("got %d %q", got.Code, got.Body)
			}
			if b := string(last(t, w).Body); b != body && got.Code == 200 {
				t.Errorf("the worker got %q, want %q", b, body)
			}
			retries += c.Gateway.Request(got.ID).Number("retries")
		}
		if retries < 2 || poolOf(c.Gateway).Retries < uint64(retries) {
			t.Errorf("%v retries in the access log, %d counted, %d requests", retries, poolOf(c.Gateway).Retries, len(w.Requests()))
		}
	})
}

// dying counts the requests that kill it.
func dying(t *testing.T) *uwsgitest.Worker {
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.Receive() })
}

func TestRequestThatMayHaveRunGoesAgainOnceIfIdempotent(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, row := range []struct {
			method string
			sent   int
		}{{"GET", 2}, {"HEAD", 2}, {"PUT", 2}, {"DELETE", 2}, {"OPTIONS", 2}, {"POST", 1}, {"PATCH", 1}, {"PROPFIND", 1}} {
			a, b, d := dying(t), dying(t), dying(t)
			c := alone(t, p, before(a, b, d))
			got := c.Do(c.Request(row.method, "/", strings.NewReader("body")))
			if n := len(a.Requests()) + len(b.Requests()) + len(d.Requests()); got.Code != 502 || n != row.sent {
				t.Errorf("%s: got %d and was sent %d times, want 502 and %d", row.method, got.Code, n, row.sent)
			}
		}
	})
}

func TestTimeoutIsNotSpreadOverThePool(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		silent := func() *uwsgitest.Worker {
			return uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.Receive(); c.WaitClosed() })
		}
		a, b := silent(), silent()
		conf := before(a, b)
		conf.Pool = "response_timeout: 300ms"
		c := alone(t, p, conf)
		refusal{code: 504, cause: "no answer within 0.3 s"}.get(t, c)
		if n := len(a.Requests()) + len(b.Requests()); n != 1 {
			t.Errorf("sent %d times", n)
		}
		if f := poolOf(c.Gateway); f.Retries != 0 {
			t.Errorf("%d retries", f.Retries)
		}
	})
}

// gate is a worker that answers when it is told to.
type gate struct {
	*uwsgitest.Worker
	arrived chan string // paths, as they come
	open    chan struct{}
	once    sync.Once
}

func newGate(t *testing.T) *gate {
	g := &gate{arrived: make(chan string, 100), open: make(chan struct{})}
	g.Worker = uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		if r == nil {
			return
		}
		g.arrived <- r.Var("PATH_INFO")
		<-g.open
		c.Send(answerOK)
	})
	t.Cleanup(g.release) // before the worker is stopped
	return g
}

// release lets every request be answered.
func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// queued waits until n requests wait for a slot.
func queued(t *testing.T, g *gatewaytest.Gateway, n int64) {
	t.Helper()
	until(t, fmt.Sprintf("%d requests in the queue", n), func() bool { return poolOf(g).Queued == n })
}

func TestSlotsAndQueue(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := newGate(t)
		conf := before(w.Worker)
		conf.Pool = "slots: 1, queue: {limit: 2, timeout: 20s}"
		c := alone(t, p, conf)
		var busy sync.WaitGroup
		ask := func(path string) {
			busy.Go(func() {
				if got, err := c.Try(c.Request("GET", path, nil)); err != nil || got.Code != 200 {
					t.Errorf("%s: got %+v, %v", path, got, err)
				}
			})
		}
		ask("/runs")
		wait(t, w.arrived, "the first request")
		ask("/second")
		queued(t, c.Gateway, 1)

		// A client that leaves frees its place.
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		r := c.Request("GET", "/leaves", nil).WithContext(ctx)
		go func() {
			_, err := c.Try(r)
			left <- err
		}()
		queued(t, c.Gateway, 2)
		refusal{code: 503, cause: "too many requests wait", cure: "queue.limit", retry: true}.get(t, c)
		leave()
		if err := <-left; err == nil {
			t.Error("the client that left got an answer")
		}
		queued(t, c.Gateway, 1)
		line := c.Gateway.Request(r.Header.Get("X-Request-Id"))
		if line.Number("status") != 499 || !strings.Contains(line.Text("err"), "the client went away") {
			t.Errorf("access log: %v", line)
		}
		ask("/third")
		queued(t, c.Gateway, 2)
		w.release()
		busy.Wait()
		if got := c.Get("/after"); got.Code != 200 {
			t.Errorf("got %d", got.Code)
		}
		for _, r := range w.Requests() {
			if r.Var("PATH_INFO") == "/leaves" {
				t.Error("the request of the client that left reached the worker")
			}
		}
		if poolOf(c.Gateway).Members[0].InFlight != 0 {
			t.Error("a slot was lost")
		}
	})
}

func TestQueueTimeout(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		w := newGate(t)
		conf := before(w.Worker)
		conf.Pool = "slots: 1, queue: {limit: 2, timeout: 300ms}"
		c := alone(t, p, conf)
		var busy sync.WaitGroup
		busy.Go(func() {
			if got, err := c.Try(c.Request("GET", "/runs", nil)); err != nil || got.Code != 200 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		wait(t, w.arrived, "the first request")
		got := c.Get("/")
		// It says how long the wait was, which is more than 300ms on a busy machine.
		refusal{code: 503, cause: "no worker became free within ", cure: "queue.timeout", retry: true}.check(t, c, got)
		if q := c.Gateway.Request(got.ID).Number("queue"); q < 0.25 || q > 5 {
			t.Errorf("waited %v s in the queue", q)
		}
		w.release()
		busy.Wait()
	})
}

// TestClientThatLeavesEndsItsRequest: the worker's connection is closed.
func TestClientThatLeavesEndsItsRequest(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, begun := range []bool{false, true} {
			arrived, freed := make(chan struct{}), make(chan struct{})
			w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
				c.Receive()
				if begun {
					c.Send("HTTP/1.1 200 OK\r\n\r\nbegin")
				}
				close(arrived)
				c.WaitClosed()
				close(freed)
			})
			c := alone(t, p, before(w))
			ctx, leave := context.WithCancel(t.Context())
			r := c.Request("GET", "/", nil).WithContext(ctx)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if resp, err := c.Open(r); err == nil {
					_, _ = copyDiscard(resp)
				}
			}()
			wait(t, arrived, "the request")
			begunAt := time.Now()
			leave()
			wait(t, freed, "the worker to be free")
			wait(t, ended, "the client's end")
			if took := time.Since(begunAt); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			line := c.Gateway.Request(r.Header.Get("X-Request-Id"))
			if !strings.Contains(line.Text("err"), "the client went away") {
				t.Errorf("access log: %v", line)
			}
			if l := c.Gateway.Log.All(); strings.Contains(fmt.Sprint(l), "request failed") {
				t.Errorf("the log calls a client that left a failure: %v", l)
			}
		}
	})
}

func copyDiscard(resp *http.Response) (int64, error) {
	defer resp.Body.Close()
	return discard(resp.Body)
}
