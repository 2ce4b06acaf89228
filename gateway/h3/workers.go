package h3

import (
	"sync"
	"time"
)

// workers are goroutines that wait for streams: their stacks have grown already,
// which costs more than a small request. Those that were not needed for a while
// end. The zero value is ready.
type workers struct {
	mu     sync.Mutex // guards the fields below
	idle   []chan *stream
	low    int         // the fewest that were idle since the last sweep
	sweep  *time.Timer // nil until somebody was idle
	closed bool
}

const (
	maxIdleWorkers = 512
	sweepWorkers   = 5 * time.Second
)

// do lets a worker answer the request on x.
func (w *workers) do(x *stream) {
	w.mu.Lock()
	n := len(w.idle) - 1
	if n < 0 {
		w.mu.Unlock()
		go w.work(x)
		return
	}
	c := w.idle[n]
	w.idle[n] = nil
	w.idle = w.idle[:n]
	w.low = min(w.low, n)
	w.mu.Unlock()
	c <- x // it has room for one
}

func (w *workers) work(x *stream) {
	c := make(chan *stream, 1)
	for ok := true; ok; x, ok = <-c {
		x.run()
		if !w.rest(c) {
			return
		}
	}
}

// rest makes the worker of c idle, if there are not enough.
func (w *workers) rest(c chan *stream) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= maxIdleWorkers {
		return false
	}
	w.idle = append(w.idle, c)
	if w.sweep == nil {
		w.low = 0
		w.sweep = time.AfterFunc(sweepWorkers, w.sweepIdle)
	}
	return true
}

// sweepIdle ends the workers that were idle all the time since it ran last.
func (w *workers) sweepIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for _, c := range w.idle[:w.low] {
		close(c)
	}
	n := copy(w.idle, w.idle[w.low:])
	clear(w.idle[n:])
	w.idle = w.idle[:n]
	w.low = n
	if n > 0 {
		w.sweep.Reset(sweepWorkers)
	} else {
		w.sweep = nil
	}
}

// end lets the idle workers end now, and the others when they have answered.
func (w *workers) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.idle {
		close(c)
	}
	w.idle, w.low = nil, 0
	if w.sweep != nil {
		w.sweep.Stop()
	}
}
