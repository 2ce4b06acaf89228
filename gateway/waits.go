package gateway

import (
	"context"
	"errors"
	"sync"
)

// errStopping ends waits for slots when the gateway stops.
var errStopping = errors.New("the gateway is stopping")

// waits knows the requests that have waited for a slot and may wait again, so that
// a stop can answer them. The zero value is ready to use.
type waits struct {
	mu   sync.Mutex // guards the fields below
	open map[*wait]struct{}
	over bool // nobody waits any more: endAll was called
}

// wait is the context in which a request waits for slots: that of the request,
// which ends with errStopping when the gateway stops. What the request does at a
// member goes on. It costs nothing until somebody waits. It belongs to one
// goroutine.
type wait struct {
	context.Context // of the request

	of    *waits
	pool  *pool
	inner context.Context // nil: nobody has waited yet
	end   context.CancelCauseFunc
}

// Done implements context.Context.
func (w *wait) Done() <-chan struct{} {
	if w.inner == nil {
		w.inner, w.end = context.WithCancelCause(w.Context)
		w.of.add(w)
	}
	return w.inner.Done()
}

// Err implements context.Context.
func (w *wait) Err() error {
	if w.inner == nil {
		return w.Context.Err()
	}
	return w.inner.Err()
}

// Value implements context.Context.
func (w *wait) Value(key any) any {
	if w.inner == nil {
		return w.Context.Value(key)
	}
	return w.inner.Value(key) // context.Cause asks for the context that has ended
}

// forget ends w: its request waits no more.
func (w *wait) forget() {
	if w.inner != nil {
		w.of.remove(w)
		w.end(nil)
	}
}

func (s *waits) add(w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		w.end(errStopping)
		return
	}
	if s.open == nil {
		s.open = make(map[*wait]struct{})
	}
	s.open[w] = struct{}{}
}

func (s *waits) remove(w *wait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, w)
}

// endPaused ends the waits for pools that are paused: they may last longer than
// anybody waits for a stop.
func (s *waits) endPaused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	paused := make(map[*pool]bool)
	for w := range s.open {
		is, known := paused[w.pool]
		if !known {
			is = !w.pool.Snapshot().Paused.IsZero()
			paused[w.pool] = is
		}
		if is {
			w.end(errStopping)
		}
	}
}

// endAll ends every wait, now and later.
func (s *waits) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for w := range s.open {
		w.end(errStopping)
	}
}
