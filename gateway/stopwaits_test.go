package gateway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
)

// TestStopAnswersWhoWaits: nobody is cut who never was at a worker. Who waits for a
// paused pool is answered at once.
func TestStopAnswersWhoWaits(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"paused", "away", "busy"} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
				w, _ := held(t)
				conf := before(w)
				conf.Pool, conf.More = "slots: 1, queue: {timeout: 20s}", "grace: 3s"
				if why == "away" {
					conf.Members = []string{"unix:/nowhere/s.sock"}
				}
				c := alone(t, p, conf)
				running := 0
				switch why {
				case "paused":
					if _, err := c.Gateway.PausePool("app", time.Minute); err != nil {
						t.Fatal(err)
					}
				case "busy":
					running = 1
					later(c)
					untilPool(t, c.Gateway, "one in flight", func(p stats.Pool) bool { return p.InFlight() == 1 })
				}
				type end struct {
					got *gatewaytest.Response
					err error
				}
				done := make(chan end, 1)
				go func() {
					got, err := c.Try(c.Request("GET", "/", nil))
					done <- end{got, err}
				}()
				queued(t, c.Gateway, 1)
				begun := time.Now()
				c.Gateway.Shutdown()
				e := <-done
				took := time.Since(begun)
				if e.err != nil || e.got.Code != 503 || e.got.Header.Get("Retry-After") != "1" || !strings.Contains(e.got.Body, "the gateway is stopping") {
					t.Fatalf("got %+v, %v after %s", e.got, e.err, took)
				}
				if p.Major() == 1 && !e.got.Close {
					t.Errorf("no Connection: close in %v", e.got.Header)
				}
				if (took < 2*time.Second) != (why == "paused") {
					t.Errorf("it was answered after %s", took)
				}
				want := ""
				if running > 0 {
					want = fmt.Sprintf("%d cut", running)
				}
				if err := c.Gateway.Wait(); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("Run returned %v, want %q", err, want)
				}
			})
		})
	}
}

// TestStopEndsAStreamThatWaits: net/http reads nothing of its connection, and does
// not notice that it is closed.
func TestStopEndsAStreamThatWaits(t *testing.T) {
	t.Parallel()
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		for _, cut := range []bool{false, true} {
			conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/s.sock"}, Pool: "queue: {timeout: 20s}", Routes: "{pool: app, request_body: stream}", More: "grace: 500ms"}
			c := alone(t, p, conf)
			conn, err := c.Dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1000000\r\n\r\nabc")
			queued(t, c.Gateway, 1)
			begun := time.Now()
			if cut {
				c.Gateway.Stop()
			} else {
				c.Gateway.Shutdown()
			}
			_ = c.Gateway.Wait() // where this machine is busy it was cut
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("Run returned after %s", took)
			}
			for _, l := range c.Gateway.Log.All() {
				if l.Text("msg") == "requests that were cut go on" {
					t.Errorf("the log has %v", l)
				}
			}
		}
	})
}
