package livetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// inFlight sends path over every protocol and returns when the app has all of
// the requests; results gets what becomes of each.
func inFlight(t *testing.T, g *gateway, path string) (results chan error, wg *sync.WaitGroup) {
	t.Helper()
	results, wg = make(chan error, len(protocols)), new(sync.WaitGroup)
	for _, p := range protocols {
		client := g.client(t, p)
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url(path), strings.NewReader("once"))
			if err == nil {
				var resp *http.Response
				if resp, err = client.Do(r); err == nil {
					err = whole(resp)
				}
			}
			if err != nil {
				err = fmt.Errorf("%s: %w", p, err)
			}
			results <- err
		})
	}
	ok := eventually(10*time.Second, func() bool {
		stdout, _, _ := run(t, headgate, "status", "--json", "--socket", g.admin)
		return strings.Contains(stdout, fmt.Sprintf(`"in_flight": %d`, len(protocols)))
	})
	if !ok {
		t.Error("the requests did not arrive")
	}
	return results, wg
}

// TestStopWaits: one signal lets the requests that run end, and no longer.
func TestStopWaits(t *testing.T) {
	a := startApp(t, "--processes", "5")
	g := startGateway(t, conf{socket: a.socket})
	results, wg := inFlight(t, g, "/nap?s=2")
	begin := time.Now()
	g.stop(syscall.SIGTERM)
	took := time.Since(begin)
	wg.Wait()
	close(results)
	for err := range results {
		if err != nil {
			t.Error(err)
		}
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 || took > 6*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
}

// TestSecondSignal ends at once, and the requests that run are cut.
func TestSecondSignal(t *testing.T) {
	a := startApp(t, "--processes", "5")
	g := startGateway(t, conf{socket: a.socket})
	results, wg := inFlight(t, g, "/nap?s=8")
	begin := time.Now()
	g.signal(t, syscall.SIGINT)
	if !eventually(5*time.Second, func() bool { return strings.Contains(g.said(), "stopping") }) {
		t.Error("the first signal did nothing")
	}
	g.stop(syscall.SIGINT)
	took := time.Since(begin)
	wg.Wait()
	close(results)
	for err := range results {
		if err == nil {
			t.Error("a request that was cut looks well")
		}
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 1 || took > 3*time.Second {
		t.Errorf("exit code %d after %v", code, took)
	}
}

// TestStopIsOneSignal: the first signal is never taken for the second. It
// reaches two readers in the process, in any order.
func TestStopIsOneSignal(t *testing.T) {
	for range 10 {
		g := startGateway(t, conf{socket: "/nobody.sock"})
		g.stop(syscall.SIGTERM)
		if code := g.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(g.said(), "second signal") {
			t.Fatalf("exit code %d:\n%s", code, g.said())
		}
	}
}
