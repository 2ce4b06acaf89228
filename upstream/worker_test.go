package upstream_test

import (
	"context"
	"sync"
	"testing"
	"time"
)

// worker is a simulated member: cores that run requests, and a backlog in which
// those wait that it has not read.
type worker struct {
	address string
	slots   int // the pool's idea of it
	backlog int // room in it

	mu      sync.Mutex
	cores   chan struct{} // a token each
	absent  bool
	broken  bool          // answers with 500
	killed  chan struct{} // closes when those that run die
	flushed chan struct{} // closes when those that wait are reset
	unread  int
	leased  int
}

// job is one request of a client with what became of it.
type job struct {
	post       bool // must not run twice
	replayable bool
	accepted   int // members that had its body
	runs       int
}

// do has the worker run one request, as a transport does it.
func (w *worker) do(ctx context.Context, j *job, service time.Duration) (status int, err error) {
	w.mu.Lock()
	killed, flushed := w.killed, w.flushed
	switch {
	case w.absent:
		w.mu.Unlock()
		return 0, errRefused
	case w.unread >= w.backlog:
		w.mu.Unlock()
		return 0, errFull
	}
	w.unread++
	j.accepted++
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.unread--
		w.mu.Unlock()
	}()
	select {
	case <-w.cores:
	case <-flushed:
		return 0, errReset
	case <-ctx.Done():
		return 0, errClient
	}
	defer func() { w.cores <- struct{}{} }()
	j.runs++
	select {
	case <-time.After(service):
	case <-killed:
		return 0, errClosed
	case <-ctx.Done():
		return 0, errClient
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return 500, nil
	}
	return 200, nil
}

// flush resets those that wait; kill ends those that run too.
func (w *worker) flush(kill, absent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.flushed)
	w.flushed = make(chan struct{})
	if kill {
		close(w.killed)
		w.killed = make(chan struct{})
	}
	w.absent = absent
}

func (w *worker) set(absent, broken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absent, w.broken = absent, broken
}

func (w *worker) reach() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.absent {
		return errRefused
	}
	return nil
}

// lease counts the requests that the pool has given to the worker: never more than
// it has slots.
func (w *worker) lease(t *testing.T, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.leased += n; w.leased > w.slots {
		t.Errorf("%s has %d requests and %d slots", w.address, w.leased, w.slots)
	}
}
