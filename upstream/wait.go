package upstream

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"
)

// enqueue waits until r is given a slot. The caller holds the lock, which is
// given up.
func (p *Pool[T]) enqueue(ctx context.Context, r *Request[T], now time.Time) (Lease[T], error) {
	patience := p.opts.Queue.Timeout - r.waited
	if patience <= 0 {
		err := p.waitErrorLocked(ErrQueueTimeout, r, now)
		p.mu.Unlock()
		return Lease[T]{}, err
	}
	nobody := p.nobodyLocked()
	if nobody {
		if err := p.refusedLocked(r, now); err != nil {
			p.askLocked()
			p.mu.Unlock()
			return Lease[T]{}, err
		}
	}
	if evicted, ok := p.pushLocked(r, now); !ok {
		err := p.waitErrorLocked(ErrQueueFull, r, now)
		p.mu.Unlock()
		return Lease[T]{}, err
	} else if evicted != nil {
		p.evictLocked(evicted, now)
	}
	if nobody { // or there is by now
		p.askLocked()
		p.dispatchLocked(now)
	}
	if r.attempts > 0 {
		p.dispatchLocked(now) // what is free to it alone: a backup, or an ejected member
	}
	if p.risingLocked() {
		p.nudge()
	}
	p.unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	var gone error
	select {
	case <-r.ready:
	case <-timer.C:
	case <-ctx.Done():
		gone = context.Cause(ctx)
	}
	begun := time.Now()
	p.mu.Lock()
	r.waited += begun.Sub(now)
	closing, l, err := p.leaveQueueLocked(r, begun, gone)
	p.mu.Unlock()
	if closing != nil {
		closing()
	}
	return l, err
}

// leaveQueueLocked ends r's wait: with what it was given, or without. What it
// returns as closing, if anything, is to be called without the lock.
func (p *Pool[T]) leaveQueueLocked(r *Request[T], now time.Time, gone error) (closing func(), l Lease[T], err error) {
	in := p.queue.remove(&r.waiter)
	select {
	case <-r.ready: // nobody has waited for it: the channel is used again
	default:
	}
	m, evicted := r.given, r.err
	r.given, r.err = nil, nil
	if p.retired {
		p.nudge()
	}
	switch {
	case !in && m == nil:
		evicted.Waited = r.waited
		return nil, l, evicted
	case !in && gone != nil: // given in the same moment: it goes to the next
		m.inFlight--
		m.health.abandoned()
		p.dispatchLocked(now)
		_, closing = p.leftLocked(m)
		return closing, l, gone
	case !in:
		m.inFlight--
		return nil, p.claimLocked(m, r, now), nil
	case gone != nil:
		return nil, l, gone
	}
	return nil, l, p.waitErrorLocked(ErrQueueTimeout, r, now)
}

func (p *Pool[T]) pushLocked(r *Request[T], now time.Time) (evicted *waiter, ok bool) {
	w := &r.waiter
	w.client, w.priority, w.returned, w.owner = r.Client, r.Priority, r.leased, r
	w.bound = nil
	if m := p.boundLocked(r, now); m != nil {
		w.bound = m
		if r.attempts > 0 && r.awaiting.IsZero() {
			r.awaiting = now
			p.nudge()
		}
	}
	if r.ready == nil {
		r.ready = make(chan struct{}, 1)
	}
	return p.queue.push(w, now)
}

// boundLocked returns the only member that r waits for, or nil. Nobody waits for
// a backup: while others are fit it has no part in the queue.
func (p *Pool[T]) boundLocked(r *Request[T], now time.Time) *member[T] {
	if m, stays := p.stickyLocked(r, now); stays && !m.Backup {
		return m
	}
	return p.awaitedLocked(r, now)
}

// awaitedLocked returns a member that is away and that r, which has failed
// elsewhere, rather waits for: when all who are there answer badly and have had r
// already, only that one can answer it. After a while it takes one that is there
// and not ejected once more.
func (p *Pool[T]) awaitedLocked(r *Request[T], now time.Time) *member[T] {
	if r.attempts == 0 {
		return nil
	}
	impatient := !r.awaiting.IsZero() && now.Sub(r.awaiting) >= awaitMost
	var awaited *member[T]
	for _, m := range p.members {
		switch tried := r.has(m); {
		case m.there(p.opts.Check.Enabled()):
			if !tried || m.fit(now) && (impatient || m.health.row < 2 || m.health.out) { // the one failure is r's own, or it may be the trial
				return nil
			}
		case !tried && !m.leaving && !m.drained && !m.away.since.IsZero():
			awaited = m
		}
	}
	return awaited
}

// risingLocked reports whether a member's limit will rise by itself.
func (p *Pool[T]) risingLocked() bool {
	for _, m := range p.members {
		if m.learns() && !m.limiter.roof.next().IsZero() {
			return true
		}
	}
	return false
}

// awaitMost is how long a request waits for a member that is away while another one
// is there that has failed it.
const awaitMost = 500 * time.Millisecond

// evictLocked tells a waiter that another has its place.
func (p *Pool[T]) evictLocked(w *waiter, now time.Time) {
	r := w.owner.(*Request[T])
	r.err = p.waitErrorLocked(ErrQueueFull, r, now)
	r.ready <- struct{}{} // has room for one and is sent to once for each push
}

// dispatchLocked gives free slots to those who wait, in their order.
func (p *Pool[T]) dispatchLocked(now time.Time) {
	if !p.paused.IsZero() {
		return
	}
	p.reboundLocked(now)
	for p.queue.len() > 0 && (p.dispatchBoundLocked(now) || p.dispatchOneLocked(now) || p.dispatchReturnedLocked(now)) {
	}
}

// reboundLocked lets those go to any member who wait for one that is away, and
// need not any more, since another can answer them by now.
func (p *Pool[T]) reboundLocked(now time.Time) {
	if p.queue.len() == p.queue.unbound() {
		return
	}
	for _, m := range p.members {
		p.queue.loosen(m, func(w *waiter) bool {
			r := w.owner.(*Request[T])
			return r.attempts > 0 && p.awaitedLocked(r, now) == nil // the others came with a cookie
		})
	}
}

// dispatchOneLocked gives a slot to the first of those who take any member.
func (p *Pool[T]) dispatchOneLocked(now time.Time) bool {
	w := p.queue.next(now, nil)
	if w == nil {
		return false
	}
	r := w.owner.(*Request[T])
	m := p.pickLocked(r, now, true)
	if m == nil {
		return false
	}
	p.giveLocked(w, r, m)
	return true
}

// dispatchReturnedLocked gives a slot to one who comes back and takes what those
// before him cannot take.
func (p *Pool[T]) dispatchReturnedLocked(now time.Time) bool {
	for i := range p.queue.free.parts {
		w := p.queue.free.parts[i].returned.first
		if w == nil {
			continue
		}
		r := w.owner.(*Request[T])
		if m := p.pickLocked(r, now, true); m != nil {
			p.giveLocked(w, r, m)
			return true
		}
	}
	return false
}

// dispatchBoundLocked gives a slot to one who waits for a single member, when it
// is his turn there.
func (p *Pool[T]) dispatchBoundLocked(now time.Time) bool {
	if p.queue.len() == p.queue.unbound() {
		return false
	}
	for _, m := range p.members {
		if !m.there(p.opts.Check.Enabled()) || !m.fit(now) || m.inFlight >= m.limit(now) {
			continue
		}
		if w := p.queue.next(now, m); w != nil && w.bound != nil {
			p.giveLocked(w, w.owner.(*Request[T]), m)
			return true
		}
	}
	return false
}

// giveLocked takes a slot of m for a waiter and wakes it.
func (p *Pool[T]) giveLocked(w *waiter, r *Request[T], m *member[T]) {
	p.queue.take(w, m)
	m.inFlight++
	m.health.begin(time.Now())
	r.given = m
	r.ready <- struct{}{} // has room for one and is sent to once for each push
}

// waitErrorLocked says why r got no slot.
func (p *Pool[T]) waitErrorLocked(reason error, r *Request[T], now time.Time) *WaitError {
	e := &WaitError{Reason: reason, Waited: r.waited, RetryAfter: p.retryAfterLocked(now)}
	if reason == ErrQueueFull {
		return e
	}
	present, drained, here := 0, 0, 0
	var lost *member[T]
	for _, m := range p.members {
		switch {
		case m.leaving:
		case m.drained:
			drained++
		case m.away.since.IsZero():
			present++
			here++
		default:
			present++
			lost = m
		}
	}
	switch {
	case !p.paused.IsZero():
		e.Reason, e.RetryAfter = ErrPaused, max(time.Second, min(p.paused.Sub(now).Round(time.Second), retryAfterMost))
	case present == 0 && drained > 0:
		e.Reason = ErrDrained
	case present == 0:
		e.Reason = ErrNoMembers
	case here == 0:
		e.Reason, e.Member, e.Err = ErrAway, lost.Address, lost.away.err
	}
	return e
}

const retryAfterMost = time.Minute

// retryAfterLocked is how long the queue needs to become empty.
func (p *Pool[T]) retryAfterLocked(now time.Time) time.Duration {
	slots := 0
	for _, m := range p.members {
		if m.there(p.opts.Check.Enabled()) {
			slots += m.limit(now) // in flight now: with their mean time that is what leaves the queue
		}
	}
	d := time.Second
	if slots > 0 {
		d = p.service * time.Duration(p.queue.len()) / time.Duration(slots)
	}
	return max(time.Second, min((d+time.Second/2).Round(time.Second), retryAfterMost))
}

// clientKey is the key of ip-hash.
func clientKey(a netip.Addr) uint64 {
	b := a.Unmap().As16()
	return mix(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]))
}
