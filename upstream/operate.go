package upstream

import (
	"time"
)

// Drain takes a member out of service, or with on false back into it: it gets no
// new request, and those that it has go on. It holds until it is taken back, also
// over reloads, and also for a member of that address that comes later. It
// returns how many requests the member has, and whether there is such a member.
func (p *Pool[T]) Drain(address string, on bool) (inFlight int, found bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memberLocked(address)
	if m == nil {
		m = p.leavingLocked(address) // it may be named again before it has left
	}
	if on && m == nil {
		return 0, false
	}
	_, was := p.drained[address]
	if on {
		p.drained[address] = true
	} else {
		delete(p.drained, address)
	}
	if m == nil {
		return 0, was
	}
	was = m.drained
	if m.drained = on; on {
		p.queue.release(m)
	} else if was && !m.leaving {
		p.backLocked(m, now)
	}
	p.fewerLocked(now)
	p.dispatchLocked(now)
	p.nudge()
	return m.inFlight, true
}

// Pause holds back all requests that are not yet at a member, until the given
// time or Resume: they wait in the queue, within its limits. It returns how many
// requests are at members.
func (p *Pool[T]) Pause(until time.Time) (inFlight int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = until
	p.nudge()
	return p.inFlightLocked()
}

// Resume ends a pause and reports whether there was one.
func (p *Pool[T]) Resume() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := !p.paused.IsZero()
	p.paused = time.Time{}
	p.dispatchLocked(time.Now())
	p.nudge() // those who wait may do so in vain
	return was
}

func (p *Pool[T]) inFlightLocked() (n int) {
	for _, m := range p.members {
		n += m.inFlight
	}
	return n
}
