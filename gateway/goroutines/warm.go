// Package goroutines keeps goroutines that have done something for the next thing
// to do.
package goroutines

import (
	"sync"
	"time"
)

// Task is something to do.
type Task interface{ Run() }

// Warm are goroutines that wait for something to do: their stacks have grown
// already, which costs more than a small request. Those that were not needed for
// 5 to 10 seconds end, and there are at most 512 that wait. The zero value is
// ready, and all methods may be called by several goroutines at once.
type Warm struct {
	mu     sync.Mutex // guards the fields below
	idle   []chan Task
	low    int         // the fewest that were idle since the last sweep
	sweep  *time.Timer // nil until somebody is idle
	armed  bool
	closed bool
}

const (
	maxIdle    = 512
	sweepEvery = 5 * time.Second
)

// Do has t run by one of them, or by a new one. It does not block.
func (w *Warm) Do(t Task) {
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

func (w *Warm) work(t Task) {
	c := make(chan Task, 1)
	for ok := true; ok; {
		t.Run()
		if !w.rest(c) {
			return
		}
		t, ok = <-c
	}
}

// rest makes the goroutine of c idle, if there are not enough.
func (w *Warm) rest(c chan Task) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdle {
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

// sweepIdle ends those that were idle all the time since it ran last.
func (w *Warm) sweepIdle() {
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

// Stop ends those that wait at once, and the others when they have done their task.
func (w *Warm) Stop() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.Dismiss()
}

// Dismiss ends those that wait.
func (w *Warm) Dismiss() {
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
