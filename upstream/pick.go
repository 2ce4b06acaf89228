package upstream

import (
	"math/rand/v2"
	"time"
)

// twoChoices is the number of members above which least-busy looks at two of
// them: the power of two choices (Mitzenmacher 2001).
const twoChoices = 8

// pickLocked chooses a member with a free slot for r, or nil. Of the best class
// that there is, busy or not, it takes one with a free slot by the rule of
// balance: a request rather waits for a fit member than goes to one that is not.
// One that comes back takes the best that is free: it stands first in the queue,
// and must not keep the others from what is free. One that any member will do for in
// the queue does not wait for that of its cookie either.
func (p *Pool[T]) pickLocked(r *Request[T], now time.Time, queued bool) *member[T] {
	if !p.paused.IsZero() {
		return nil
	}
	if len(p.members) == 1 && r.attempts == 0 {
		m := p.members[0]
		if m.there(p.opts.Check.Enabled()) && m.inFlight < m.limit(now) {
			return m
		}
		return nil
	}
	if m, stays := p.stickyLocked(r, now); stays && m.inFlight < m.limit(now) {
		return m
	} else if stays && !queued && !m.Backup {
		return nil
	}
	if len(p.members) > twoChoices && r.attempts == 0 && p.opts.Balance.Rule == LeastBusy && !p.opts.Balance.hashes() {
		if m := p.ofTwoLocked(now); m != nil {
			return m
		}
	}
	p.candidatesLocked(r, now)
	if len(p.fits) == 0 {
		return nil
	}
	p.next++
	key := r.Key
	if p.opts.Balance.Rule == IPHash {
		key = clientKey(r.Client)
	}
	return p.fits[p.opts.Balance.choose(p.room, p.next, key)]
}

// class says how good a member is for a request; lower is better.
type class int

const (
	classFit    class = iota
	classBackup       // fit, for when no other is
	classUnfit        // ejected, or failing its checks: better than nobody
	classTried        // fit, but the request failed there
	classUnfitTried
	classNone
)

func (p *Pool[T]) classOf(m *member[T], r *Request[T], now time.Time) class {
	if !m.there(p.opts.Check.Enabled()) {
		return classNone
	}
	fit := m.fit(now)
	switch tried := r.attempts > 0 && r.has(m); {
	case fit && !tried && !m.Backup:
		return classFit
	case fit && !tried:
		return classBackup
	case !tried:
		return classUnfit
	case fit:
		return classTried
	}
	return classUnfitTried
}

// candidatesLocked puts the members of the best class that have a free slot into
// fits, and their seats into room.
func (p *Pool[T]) candidatesLocked(r *Request[T], now time.Time) {
	best := classNone
	unchecked := p.uncheckedLocked()
	for _, m := range p.members {
		c := p.classOf(m, r, now)
		if c > best {
			continue
		}
		free := m.inFlight == 0 || m.inFlight < m.limit(now) // no limit is below 1
		if c == classNone || r.attempts > 0 && !free || m.check.failing && unchecked {
			continue
		}
		if c < best {
			best = c
			p.fits, p.room = p.fits[:0], p.room[:0]
		}
		if free {
			p.fits, p.room = append(p.fits, m), append(p.room, &m.seat)
		}
	}
	if best == classNone {
		p.fits, p.room = p.fits[:0], p.room[:0]
	}
}

// uncheckedLocked reports whether a member has yet to have its first check. Until
// then it is not known that all fail, which is when a check is not believed.
func (p *Pool[T]) uncheckedLocked() bool {
	if !p.opts.Check.Enabled() {
		return false
	}
	for _, m := range p.members {
		if m.there(false) && !m.check.known {
			return true
		}
	}
	return false
}

// ofTwoLocked returns the less busy of two members taken at random, if both are
// fit, no backups, and one has a free slot.
func (p *Pool[T]) ofTwoLocked(now time.Time) *member[T] {
	n := len(p.members)
	i, j := rand.IntN(n), rand.IntN(n-1)
	if j >= i {
		j++
	}
	a, b := p.members[i], p.members[j]
	for _, m := range []*member[T]{a, b} {
		if m.Backup || !m.there(p.opts.Check.Enabled()) || !m.fit(now) {
			return nil
		}
	}
	if a.inFlight == 0 && b.inFlight == 0 {
		if rand.Float64()*(a.capacity+b.capacity) >= a.capacity {
			a = b
		}
	} else if busier(&a.seat, &b.seat) {
		a = b
	}
	if a.inFlight < a.limit(now) {
		return a
	}
	return nil
}

// stickyLocked returns the member that r's cookie names, and whether it is to have
// r: a backup only while no other member is fit.
func (p *Pool[T]) stickyLocked(r *Request[T], now time.Time) (m *member[T], stays bool) {
	if r.Sticky == "" || r.attempts > 0 {
		return nil, false
	}
	m = p.tags[r.Sticky]
	if m == nil || !m.there(p.opts.Check.Enabled()) || !m.fit(now) {
		return m, false
	}
	return m, !m.Backup || !p.primaryLocked(now)
}

// primaryLocked reports whether a member is fit that is no backup.
func (p *Pool[T]) primaryLocked(now time.Time) bool {
	for _, m := range p.members {
		if !m.Backup && m.there(p.opts.Check.Enabled()) && m.fit(now) {
			return true
		}
	}
	return false
}
