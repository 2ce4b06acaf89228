package admin_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

// askEnv makes the test binary a client of the socket that it names.
const askEnv = "HEADGATE_TEST_ASK"

func TestMain(m *testing.M) {
	if socket := os.Getenv(askEnv); socket != "" {
		_, err := admin.NewClient(socket).Status(context.Background())
		fmt.Println(err)
		return
	}
	goleak.VerifyTestMain(m)
}

// gateway is a Gateway that a test scripts.
type gateway struct {
	snapshot stats.Snapshot
	reload   func(ctx context.Context) (stats.Generation, error)
	renew    func(ctx context.Context, name string) error
	revoke   func(name, reason string) error
	drain    func(pool, address string, on bool) (stats.PoolChange, error)
	pause    func(pool string, d time.Duration) (stats.PoolChange, error)
	maintain func(site string, on bool) (stats.SiteChange, error)
	purge    func(p stats.Purge) (stats.Purged, error)
	resume   func(pool string) (stats.PoolChange, error)
	workers  func(ctx context.Context, pool string) error
}

func (g *gateway) Snapshot() stats.Snapshot { return g.snapshot }

func (g *gateway) Reload(ctx context.Context) (stats.Generation, error) {
	if g.reload == nil {
		return g.snapshot.Generation, errors.New("not scripted")
	}
	return g.reload(ctx)
}

func (g *gateway) RenewCertificate(ctx context.Context, name string) error { return g.renew(ctx, name) }

func (g *gateway) RevokeCertificate(_ context.Context, name, reason string) error {
	return g.revoke(name, reason)
}

func (g *gateway) DrainMember(pool, address string, on bool) (stats.PoolChange, error) {
	return g.drain(pool, address, on)
}

func (g *gateway) PausePool(pool string, d time.Duration) (stats.PoolChange, error) {
	return g.pause(pool, d)
}

func (g *gateway) ResumePool(pool string) (stats.PoolChange, error) { return g.resume(pool) }

func (g *gateway) SetMaintenance(site string, on bool) (stats.SiteChange, error) {
	return g.maintain(site, on)
}

func (g *gateway) ReloadWorkers(ctx context.Context, pool string) error { return g.workers(ctx, pool) }

func (g *gateway) PurgeCache(p stats.Purge) (stats.Purged, error) { return g.purge(p) }

// socketPath returns a path for a socket; t.TempDir may be too long for one.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "run", "admin.sock")
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := admin.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// serveAPI serves g at path until the function that it returns is called.
func serveAPI(t *testing.T, g admin.Gateway, path string) (stop func() error) {
	t.Helper()
	ln := listen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- admin.NewAPI(g, nil).Serve(ctx, ln) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}
