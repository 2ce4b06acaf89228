package upstream

import (
	"errors"
	"time"
)

// nobodyLocked reports whether there is no member, other than those that leave.
func (p *Pool[T]) nobodyLocked() bool {
	for _, m := range p.members {
		if !m.leaving {
			return false
		}
	}
	return true
}

// askLocked has the sources told that somebody waits in vain.
func (p *Pool[T]) askLocked() {
	p.refresh = true
	p.nudge()
}

// vainLocked returns the sources that may say that waiting is no use, if nobody is
// there to wait for. A pause holds whatever they say.
func (p *Pool[T]) vainLocked() []troubled {
	if !p.paused.IsZero() || !p.nobodyLocked() {
		return nil
	}
	return p.sources.troubled()
}

// troubleOf returns the first trouble. The pool's lock must not be held.
func troubleOf(sources []troubled) error {
	for _, s := range sources {
		if err := s.Trouble(); err != nil {
			return err
		}
	}
	return nil
}

// refusedLocked returns why a request that comes while nobody is there need not
// wait, or nil. It gives the lock up for a moment to ask: somebody may be there
// afterwards.
func (p *Pool[T]) refusedLocked(r *Request[T], now time.Time) error {
	var err error
	if sources := p.vainLocked(); len(sources) > 0 {
		p.mu.Unlock()
		err = troubleOf(sources)
		p.mu.Lock()
	}
	switch {
	case p.gone:
		return p.waitErrorLocked(ErrNoMembers, r, now)
	case err == nil, !p.paused.IsZero(), !p.nobodyLocked():
		return nil
	}
	return vain(err, r.waited)
}

// despair ends all waits if the sources say that they are in vain.
func (p *Pool[T]) despair(sources []troubled) {
	err := troubleOf(sources)
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused.IsZero() && p.nobodyLocked() {
		p.dismissLocked(func(r *Request[T]) *WaitError { return vain(err, r.waited) })
	}
}

// dismissLocked ends all waits with an error.
func (p *Pool[T]) dismissLocked(why func(*Request[T]) *WaitError) {
	for _, w := range p.queue.everybody() {
		r := w.owner.(*Request[T])
		p.queue.remove(w)
		r.err = why(r)
		r.ready <- struct{}{} // has room for one and is sent to once for each push
	}
}

// vain is the error of a wait that is no use.
func vain(trouble error, waited time.Duration) *WaitError {
	e := &WaitError{Reason: ErrNoMembers, Err: trouble, Waited: waited, RetryAfter: time.Second}
	var known interface{ RetryAfter() time.Duration }
	if errors.As(trouble, &known) {
		whole := (known.RetryAfter() + time.Second - 1).Truncate(time.Second)
		e.RetryAfter = max(time.Second, min(whole, retryAfterMost))
	}
	return e
}
