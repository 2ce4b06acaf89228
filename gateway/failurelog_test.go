package gateway_test

import (
	"sync"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
)

// TestFloodOfFailuresDoesNotFloodTheLog: the access log has every one of them.
func TestFloodOfFailuresDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock"}, Pool: "queue: {timeout: 20ms}"}
	begin := time.Now()
	g := gatewaytest.Start(t, conf.String())
	c := g.Client(t, gatewaytest.H1)
	const n = 400
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				if got, err := c.Try(c.Request("GET", "/", nil)); err != nil || got.Code != 503 {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	most := 51 + 10*int(1+time.Since(begin)/time.Second)
	lines, skipped := 0, 0.0
	for _, l := range g.Log.All() {
		if l.Text("msg") == "request failed" {
			lines++
			skipped += l.Number("not_logged")
		}
	}
	if lines < 50 || lines > most || lines > n/2 {
		t.Errorf("%d lines for %d failures, want at most %d", lines, n, most)
	}
	if float64(lines)+skipped > n {
		t.Errorf("%d lines and %v that were not written make more than %d", lines, skipped, n)
	}
}
