package uwsgi_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
)

// inFlight starts n requests; the returned function ends ctx and waits.
func inFlight(t *testing.T, tr *uwsgi.Transport, n int, req func() *uwsgi.Request) (wait func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			resp, err := tr.Do(ctx, req())
			var e *uwsgi.Error
			switch {
			case err == nil:
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			case errors.As(err, &e) && e.Kind != uwsgi.KindCanceled:
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return all.Wait
}

// held starts n requests that a real server's workers do not answer until the
// returned function is called, which waits for the answers.
func held(t *testing.T, tr *uwsgi.Transport, n int) (free func()) {
	t.Helper()
	return heldWith(t, tr, n, nil)
}

func heldWith(t *testing.T, tr *uwsgi.Transport, n int, header uwsgi.HeaderFields) (free func()) {
	t.Helper()
	sign := filepath.Join(shortDir(t), "go")
	wait := inFlight(t, tr, n, func() *uwsgi.Request {
		r := get("/hold")
		r.Query, r.Header = sign, header
		return r
	})
	return func() {
		if err := os.WriteFile(sign, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wait()
	}
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("there are no %s", what)
		}
	}
}
