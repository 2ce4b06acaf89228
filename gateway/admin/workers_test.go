package admin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

func TestReloadWorkers(t *testing.T) {
	path := socketPath(t)
	var asked []string
	const tail = "pool shop: exited with status 1\n  Traceback (most recent call last):\n  ImportError: no shop"
	stop := serveAPI(t, &gateway{workers: func(_ context.Context, pool string) error {
		asked = append(asked, pool)
		switch pool {
		case "":
			return nil
		case "none":
			return unknownMember{errors.New(`there is no pool "none"`)}
		}
		return errors.New(tail + "\n")
	}}, path)
	c := admin.NewClient(path)
	if err := c.ReloadWorkers(t.Context(), ""); err != nil {
		t.Errorf("all: %v", err)
	}
	var refused *admin.RefusedError
	if err := c.ReloadWorkers(t.Context(), "sh op/?&"); !errors.As(err, &refused) || refused.Text != tail {
		t.Errorf("new workers that do not start: %v, want a RefusedError of %q", err, tail)
	}
	var unknown *admin.UnknownError
	if err := c.ReloadWorkers(t.Context(), "none"); !errors.As(err, &unknown) || unknown.Asked != "b:1" {
		t.Errorf("an unknown pool: %v, want an UnknownError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.ReloadWorkers(ctx, "shop"); err == nil || errors.As(err, &refused) {
		t.Errorf("a client that does not wait: %v", err)
	}
	if d := cmp.Diff([]string{"", "sh op/?&", "none"}, asked); d != "" {
		t.Errorf("what the gateway was asked (-want +got):\n%s", d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestReadinessTakesNoSnapshot: a snapshot looks at the memory of all workers, and
// balancers ask for readiness every second.
func TestReadinessTakesNoSnapshot(t *testing.T) {
	state := stats.StateStarting
	m := admin.NewMetrics(func() stats.Snapshot {
		t.Error("a snapshot was taken")
		return stats.Snapshot{}
	}, func() stats.State { return state }, nil)
	for _, want := range []struct {
		state stats.State
		code  int
	}{{stats.StateStarting, 503}, {stats.StateReady, 200}, {stats.StateDraining, 503}} {
		state = want.state
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != want.code {
			t.Errorf("%s: /readyz = %d, want %d", state, w.Code, want.code)
		}
	}
}
