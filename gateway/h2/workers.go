package h2

import (
	"sync"
	"time"
)

// task is what a worker does.
type task interface{ run() }

// workers are goroutines that wait for something to do: their stacks have grown
// already, which costs more than a small request. Those that were not needed for
// a while end. The zero value is ready.
type workers struct {
	mu     sync.Mutex // guards the fields below
	idle   []chan task
	low    int         // the fewest that were idle since the last sweep
	sweep  *time.Timer // nil until somebody is idle
	armed  bool
	closed bool
}

const (
	maxIdleWorkers = 512
	sweepEvery     = 5 * time.Second
)

// do runs t on a worker.
func (w *workers) do(t task) {
	w.mu.Lock()
	n := len(w.idle) - 1
	if n < 0 {
		w.mu.Unlock()
		go w.work(t)
		return
	}
	c := w.idle[n]
	w.idle[n] = nil
	w.idle = w.idle[:n]
	w.low = min(w.low, n)
	w.mu.Unlock()
	c <- t // it has room for one
}

func (w *workers) work(t task) {
	c := make(chan task, 1)
	for ok := true; ok; {
		t.run()
		if !w.rest(c) {
			return
		}
		t, ok = <-c
	}
}

// rest makes the worker of c idle, if there are not enough.
func (w *workers) rest(c chan task) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdleWorkers {
		return false
	}
	w.idle = append(w.idle, c)
	if !w.armed {
		w.armed = true
		w.low = 0
		if w.sweep == nil {
			w.sweep = time.AfterFunc(sweepEvery, w.sweepIdle)
		} else {
			w.sweep.Reset(sweepEvery)
		}
	}
	return true
}

// sweepIdle ends the workers that were idle all the time since it ran last.
func (w *workers) sweepIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.idle[:w.low] {
		close(c)
	}
	n := copy(w.idle, w.idle[w.low:])
	clear(w.idle[n:])
	w.idle = w.idle[:n]
	w.low = n
	if w.armed = n > 0; w.armed {
		w.sweep.Reset(sweepEvery)
	}
}

// stop ends the idle workers at once, and the others when they have done their task.
func (w *workers) stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.dismiss()
}

// dismiss ends the idle workers.
func (w *workers) dismiss() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.idle {
		close(c)
	}
	w.idle, w.low = nil, 0
	if w.sweep != nil {
		w.sweep.Stop()
		w.armed = false
	}
}
