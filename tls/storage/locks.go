package storage

import (
	"context"
	"fmt"
	"sync"
)

// locks excludes goroutines of this process from each other, so that one of them
// at a time asks the kernel or the server, and remembers what is held. T is what
// is needed to give a lock back.
type locks[T any] struct {
	done chan struct{} // closed by close

	mu     sync.Mutex // guards the fields below
	closed bool
	turns  map[string]*turn
	held   map[string]T
}

// turn is taken by sending to it and given back by receiving.
type turn struct {
	taken chan struct{}
	users int // who has it or waits for it; guarded by locks.mu
}

func newLocks[T any]() *locks[T] {
	return &locks[T]{done: make(chan struct{}), turns: make(map[string]*turn), held: make(map[string]T)}
}

// take waits for the turn of name, which is given back by give.
func (l *locks[T]) take(ctx context.Context, name string) error {
	t, err := l.enter(name)
	if err != nil {
		return err
	}
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		err = fmt.Errorf("lock %q: it is held here: %w", name, ctx.Err())
	case <-l.done:
		err = errClosed
	}
	l.leave(name)
	return err
}

// try is take for those who do not wait.
func (l *locks[T]) try(name string) (bool, error) {
	t, err := l.enter(name)
	if err != nil {
		return false, err
	}
	select {
	case t.taken <- struct{}{}:
		return true, nil
	default:
		l.leave(name)
		return false, nil
	}
}

func (l *locks[T]) give(name string) {
	l.mu.Lock()
	t := l.turns[name]
	l.mu.Unlock()
	<-t.taken
	l.leave(name)
}

// keep remembers how to give back the lock of name, whose turn the caller has. It
// refuses once the storage is closed.
func (l *locks[T]) keep(name string, v T) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.held[name] = v
	return true
}

// drop forgets a lock that is held; the caller gives back the lock and the turn.
func (l *locks[T]) drop(name string) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.held[name]
	if l.closed {
		return v, errClosed
	}
	if !ok {
		return v, fmt.Errorf("unlock %q: it is not held here", name)
	}
	delete(l.held, name)
	return v, nil
}

// get returns what keep was given.
func (l *locks[T]) get(name string) (T, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v, ok := l.held[name]
	return v, ok
}

// close ends all waiting and returns what is held, once.
func (l *locks[T]) close() map[string]T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.done)
	held := l.held
	l.held = nil
	return held
}

// err is errClosed once the storage is closed.
func (l *locks[T]) err() error {
	select {
	case <-l.done:
		return errClosed
	default:
		return nil
	}
}

func (l *locks[T]) enter(name string) (*turn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	t := l.turns[name]
	if t == nil {
		t = &turn{taken: make(chan struct{}, 1)}
		l.turns[name] = t
	}
	t.users++
	return t, nil
}

func (l *locks[T]) leave(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.turns[name]
	if t.users--; t.users == 0 {
		delete(l.turns, name)
	}
}
