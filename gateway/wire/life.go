package wire

import (
	"context"
	"sync"
	"time"
)

// Life is the context of one request: it ends when End is called. Engines make
// one for each request that asks for it.
type Life struct {
	watch func() // called once, when somebody begins to wait; or nil

	mu      sync.Mutex // guards the fields below
	watched bool
	done    chan struct{} // nil until somebody waits on it
	err     error
	after   []*afterFunc
}

type afterFunc struct{ f func() }

// NewLife returns a context that lives until End. watch is called when somebody
// first waits for its end (Done, AfterFunc), so that an engine which notices only
// then that a client goes may begin to; it must not call End itself, but another
// goroutine may at once. It may be nil.
func NewLife(watch func()) *Life { return &Life{watch: watch} }

// End ends the context. It may be called again.
func (l *Life) End() {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = context.Canceled
	if l.done != nil {
		close(l.done)
	}
	after := l.after
	l.after = nil
	l.mu.Unlock()
	for _, a := range after {
		go a.f()
	}
}

// Deadline implements context.Context: there is none.
func (l *Life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *Life) Done() <-chan struct{} {
	l.mu.Lock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	d := l.done
	watch := l.beginLocked()
	l.mu.Unlock()
	if watch != nil {
		watch()
	}
	return d
}

// beginLocked returns watch the first time.
func (l *Life) beginLocked() func() {
	if l.watched || l.err != nil {
		return nil
	}
	l.watched = true
	return l.watch
}

// Err implements context.Context.
func (l *Life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Value implements context.Context: there are none.
func (l *Life) Value(any) any { return nil }

// AfterFunc calls f in a goroutine of its own when l ends. stop keeps it from
// being called and reports whether it did. Package context uses it for every
// context that is made from l, which costs no goroutine then.
func (l *Life) AfterFunc(f func()) (stop func() bool) {
	a := &afterFunc{f}
	l.mu.Lock()
	ended := l.err != nil
	if !ended {
		l.after = append(l.after, a)
	}
	watch := l.beginLocked()
	l.mu.Unlock()
	if ended {
		go f()
		return func() bool { return false }
	}
	if watch != nil {
		watch()
	}
	return func() bool { return l.drop(a) }
}

func (l *Life) drop(a *afterFunc) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.after {
		if a == b {
			l.after[i] = l.after[len(l.after)-1]
			l.after = l.after[:len(l.after)-1]
			return true
		}
	}
	return false
}
