package upstream

import "time"

// Drain is that of a pool for the pools of all keys, those that come later too. It
// returns how many requests the member has in all of them.
func (f *Family[T]) Drain(address string, on bool) (inFlight int, found bool) {
	f.naming.Lock()
	defer f.naming.Unlock()
	all := f.children()
	for _, c := range all {
		n, is := c.pool.Drain(address, on)
		inFlight, found = inFlight+n, found || is
	}
	_, was := f.drained[address]
	switch {
	case !on:
		delete(f.drained, address)
		return inFlight, found || was
	case !found:
		return 0, false
	}
	if f.drained == nil {
		f.drained = make(map[string]bool)
	}
	f.drained[address] = true
	for _, c := range all {
		c.pool.drainLater(f.drained)
	}
	return inFlight, true
}

// Pause is that of a pool for the pools of all keys, those that come later too. It
// returns how many requests are at members.
func (f *Family[T]) Pause(until time.Time) (inFlight int) {
	f.naming.Lock()
	defer f.naming.Unlock()
	f.paused = until
	for _, c := range f.children() {
		inFlight += c.pool.Pause(until)
	}
	return inFlight
}

// Resume ends a pause and reports whether there was one.
func (f *Family[T]) Resume() (was bool) {
	f.naming.Lock()
	defer f.naming.Unlock()
	was = time.Now().Before(f.paused)
	f.paused = time.Time{}
	for _, c := range f.children() {
		was = c.pool.Resume() || was
	}
	return was
}

// Paused returns until when all keys are paused; zero: they are not.
func (f *Family[T]) Paused() time.Time {
	f.naming.Lock()
	defer f.naming.Unlock()
	if !time.Now().Before(f.paused) {
		return time.Time{}
	}
	return f.paused
}

// obeyNaming does to the pool of a new key what the operator has asked for.
func (f *Family[T]) obeyNaming(p *Pool[T]) {
	p.drainLater(f.drained)
	if time.Now().Before(f.paused) {
		p.Pause(f.paused)
	}
}

// drainLater notes that members at some addresses are drained when they come.
func (p *Pool[T]) drainLater(addresses map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for address := range addresses {
		p.drained[address] = true
	}
}
