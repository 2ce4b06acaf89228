package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
)

// sleeper is an app that takes the time that the path says, and cannot be asked to end
// meanwhile.
const sleeper = `
import os, signal, time
def app(env, start):
    if env["PATH_INFO"] == "/hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("hangs", "w").write(str(os.getpid()))
        time.sleep(600)
    time.sleep(float(env["PATH_INFO"][1:] or 0))
    start("200 OK", [])
    return [b"ok"]
`

// supervising is a gateway that starts its workers itself.
type supervising struct {
	*gateway.Gateway
	t       testing.TB
	conf    atomic.Pointer[string]
	app     string
	address string
	end     context.CancelFunc
	ended   chan error
}

// workersConf is a configuration with pools of workers of the same app, the first of
// which serves.
func (s *supervising) workersConf(extra string, pools ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: {http: [%q]}\ngrace: 20s\n%s\npools:\n", s.address, extra)
	for _, name := range pools {
		fmt.Fprintf(&b, "  %s: {workers: {app: 'sleeper:app', chdir: %q, server: builtin, processes: 1, threads: 1, stop_timeout: 20s}}\n", name, s.app)
	}
	fmt.Fprintf(&b, "sites: [{hosts: [127.0.0.1], http: serve, routes: [{pool: %s}]}]\n", pools[0])
	return b.String()
}

func startSupervising(t *testing.T) *supervising {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "sleeper.py"), []byte(sleeper), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &supervising{t: t, app: dir, address: l.Addr().String(), ended: make(chan error, 1)}
	l.Close()
	s.set(s.workersConf("", "blog"))
	s.Gateway = gateway.New(gateway.Setup{
		Load:    func() (*config.Config, error) { return config.Parse("test.yaml", []byte(*s.conf.Load()), nil) },
		Runtime: filepath.Join(dir, "run"),
	})
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.ended <- s.Run(ctx)
	}()
	t.Cleanup(func() {
		s.Stop()
		cancel()
		<-over
	})
	wait(t, s.Ready(), "the gateway")
	if status := <-s.get("/"); status != http.StatusOK {
		t.Fatalf("the app does not serve: %d", status)
	}
	return s
}

func (s *supervising) set(conf string) { s.conf.Store(&conf) }

// get returns where the status of a request will be; 0 is none.
func (s *supervising) get(path string) <-chan int {
	code := make(chan int, 1)
	go func() {
		transport := &http.Transport{DisableKeepAlives: true}
		client := http.Client{Transport: transport, Timeout: patience}
		resp, err := client.Get("http://" + s.address + path)
		if err != nil {
			code <- 0
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		code <- resp.StatusCode
	}()
	return code
}

// busy waits until so many requests are at the workers or wait.
func (s *supervising) busy(inFlight, queued int64) {
	s.t.Helper()
	over := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		var now, waits int64
		for _, p := range s.Snapshot().Pools {
			waits += p.Queued
			for _, m := range p.Members {
				now += m.InFlight
			}
		}
		if now == inFlight && waits == queued {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			s.t.Fatalf("%d in flight, %d wait, want %d and %d", now, waits, inFlight, queued)
		}
	}
}

// TestPoolGoesWithItsRequests: the workers of a pool that is in the configuration no
// more answer whoever waits for them.
func TestPoolGoesWithItsRequests(t *testing.T) {
	t.Parallel()
	s := startSupervising(t)
	var codes []<-chan int
	for range 4 {
		codes = append(codes, s.get("/0.3"))
	}
	s.busy(1, 3)
	s.set(s.workersConf("", "news"))
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range codes {
		if code := <-c; code != http.StatusOK {
			t.Errorf("request %d: status %d", i, code)
		}
	}
	if code := <-s.get("/"); code != http.StatusOK {
		t.Errorf("the new pool: status %d", code)
	}
	s.set(s.workersConf("", "blog")) // it is there again while what it was may still end
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := <-s.get("/"); code != http.StatusOK {
		t.Errorf("the pool that came back: status %d", code)
	}
}

// TestRefusedReloadHasNoWorkers: what is refused leaves no pools to reload.
func TestRefusedReloadHasNoWorkers(t *testing.T) {
	t.Parallel()
	s := startSupervising(t)
	s.set(s.workersConf("cache: {dir: /proc/nope, disk: 1GiB}", "blog", "news"))
	if _, err := s.Reload(t.Context()); err == nil {
		t.Fatal("the configuration is not refused")
	}
	if err := s.ReloadWorkers(t.Context(), ""); err != nil {
		t.Errorf("all: %v", err)
	}
	var missing interface{ NotFound() bool }
	if err := s.ReloadWorkers(t.Context(), "news"); !errors.As(err, &missing) {
		t.Errorf("news: %v", err)
	}
}

// TestStopKillsWorkers: a second signal ends all, whatever workers do.
func TestStopKillsWorkers(t *testing.T) {
	t.Parallel()
	s := startSupervising(t)
	code := s.get("/hang")
	s.busy(1, 0)
	var pid int
	until(t, "the worker", func() bool {
		text, err := os.ReadFile(filepath.Join(s.app, "hangs"))
		_, scanned := fmt.Sscan(string(text), &pid)
		return err == nil && scanned == nil
	})
	s.end()
	begun := time.Now()
	s.Stop()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not end")
	}
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("took %s", d)
	}
	<-code
	until(t, "the end of the worker", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

// TestUnfitWorkersReplaceNobody: new workers that fail the check of the pool would get
// no request, and the old ones could not be had back.
func TestUnfitWorkersReplaceNobody(t *testing.T) {
	t.Parallel()
	s := startSupervising(t)
	s.set(strings.ReplaceAll(s.workersConf("", "blog"), "stop_timeout: 20s}", "stop_timeout: 20s, start_timeout: 2s}, check: {path: /0}"))
	if _, err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadWorkers(t.Context(), "blog"); err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(sleeper, `start("200 OK"`, `start("500 Oops"`, 1)
	if err := os.WriteFile(filepath.Join(s.app, "sleeper.py"), []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.ReloadWorkers(t.Context(), "blog"); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("err = %v", err)
	}
	if code := <-s.get("/"); code != http.StatusOK {
		t.Errorf("the old workers: status %d", code)
	}
}
