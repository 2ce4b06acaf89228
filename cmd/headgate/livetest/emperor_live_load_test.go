package livetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// emperorVisits are clients that ask many hosts, each time a random one.
type emperorVisits struct {
	wg     sync.WaitGroup
	stop   context.CancelFunc
	served atomic.Int64

	mu     sync.Mutex // guards the field below
	failed []string
}

func (e *emperor) visit(t testing.TB, n int, apps []string, protocols ...protocol) *emperorVisits {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	v := &emperorVisits{stop: cancel}
	for _, p := range protocols {
		for range n {
			client := e.client(t, p)
			v.wg.Go(func() {
				for ctx.Err() == nil {
					app := apps[rand.IntN(len(apps))]
					code, body := e.get(t, client, p, e.host(app), "/?s=0.01")
					if code != http.StatusOK || !strings.HasPrefix(body, e.name+app+" ") {
						v.mu.Lock()
						v.failed = append(v.failed, fmt.Sprintf("%s over %s: %d %.300s", app, p, code, body))
						v.mu.Unlock()
					}
					v.served.Add(1)
				}
			})
		}
	}
	t.Cleanup(func() { cancel(); v.wg.Wait() })
	return v
}

// end ends the emperorVisits, of which none may have failed.
func (v *emperorVisits) end(t testing.TB, least int64) {
	t.Helper()
	v.stop()
	v.wg.Wait()
	for i, f := range v.failed {
		if i < 10 {
			t.Error(f)
		}
	}
	if n := v.served.Load(); n < least {
		t.Errorf("%d requests, want %d", n, least)
	}
	t.Logf("%d requests, %d failed", v.served.Load(), len(v.failed))
}
