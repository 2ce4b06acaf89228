package upstream

import "context"

// What a pool of a family does otherwise than one that is alone: its sources are the
// family's.

// deserted reports whether there is no member, other than those that leave.
func (p *Pool[T]) deserted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nobodyLocked()
}

// workAlone is run without the sources.
func (p *Pool[T]) workAlone(ctx context.Context) {
	p.work(ctx)
	p.finish()
}

// outliveAlone is outlive for a caller that does not hold naming.
func (p *Pool[T]) outliveAlone(ended []string, began, none bool) {
	p.naming.Lock()
	defer p.naming.Unlock()
	p.outlive(ended, began, none)
}

// leave is retire without ending the sources.
func (p *Pool[T]) leave(begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources = nil
	p.retireLocked(begun)
}

// expire retires a pool without members, whose work has begun, and ends all waits,
// unless it is paused.
func (p *Pool[T]) expire() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused.IsZero() {
		return false
	}
	p.sources = nil
	p.retireLocked(true)
	return true
}
