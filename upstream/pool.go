package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Pool shares requests among the transports of its members. It is safe for
// concurrent use. Pools makes it, runs what it needs in the background, and keeps
// it while its name is in the configuration.
type Pool[T any] struct {
	name string
	log  *slog.Logger
	wake chan struct{} // capacity 1: there may be something to do for work

	resume func()    // begins its work again, without the lock
	began  time.Time // for clock

	naming sync.Mutex // one change of the members at a time; held before mu

	mu      sync.Mutex // guards the fields below
	opts    Options    // with defaults
	driver  Driver[T]
	said    map[string][]Member // each source's last word, by its key
	order   []string            // of the keys of said
	sources *feeds              // those that it listens to, maybe with others of its family; nil: none any more
	members []*member[T]        // all that are there, those that leave included
	drained map[string]bool     // asked for by the operator, by address
	secret  []byte              // signs sticky cookies
	tags    map[string]*member[T]
	byCores bool // the cores of all members are known
	paused  time.Time
	queue   queue
	next    int           // where ties begin
	budget  budget        // of attempts after one that may have run
	unread  budget        // of those after one that never ran
	owing   int           // requests that wait for it
	stale   []string      // keys of said whose sources are not asked any more, until one of the new ones speaks
	service time.Duration // mean time that a request has a slot
	active  bool          // there were requests since work last looked
	refresh bool          // the sources are to look again
	retired bool          // it is not in the configuration any more
	gone    bool          // and has no members: there will be none, and nobody waits
	over    bool          // and its work has ended
	news    []news        // for the log, which work writes
	room    []*seat       // of pick, to be used again
	fits    []*member[T]  // likewise
}

// newPool makes a pool that listens to sources of its own; nil: to those.
func newPool[T any](name string, log *slog.Logger, sources *feeds) *Pool[T] {
	p := &Pool[T]{
		began: time.Now(),
		name:  name, log: log.With("pool", name), wake: make(chan struct{}, 1),
		said: make(map[string][]Member), drained: make(map[string]bool),
		budget: newBudget(), unread: newUnreadBudget(), sources: sources,
	}
	if sources == nil {
		p.sources = &feeds{log: p.log, hear: p.heard, all: make(map[string]*feed)}
	}
	return p
}

// clock is time.Now for less: what it tells is good for comparing and subtracting.
func (p *Pool[T]) clock() time.Time { return p.began.Add(time.Since(p.began)) }

// Name returns the pool's name. That of a pool of a family is the family's, a slash
// and the key.
func (p *Pool[T]) Name() string { return p.name }

// Options returns the options with their defaults.
func (p *Pool[T]) Options() Options {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opts
}

// Acquire gives r a slot at the member that the pool's balance chooses, one that
// it has not been given to before if there is such. With a free slot it does not
// block. Otherwise, and while the pool is paused or no member can be reached, it
// waits in the queue, in all attempts together for queue.timeout. The error is a
// *WaitError or the context's.
func (p *Pool[T]) Acquire(ctx context.Context, r *Request[T]) (Lease[T], error) {
	now := p.clock()
	p.mu.Lock()
	if !r.counted {
		r.counted = true
		r.waiter.since = now
		p.budget.earn(p.opts.Retry.Budget)
		p.unread.earn(p.opts.Retry.Budget)
	}
	if !p.active {
		p.active = true
		p.nudge()
	}
	if p.queue.unbound() == 0 && p.awaitedLocked(r, now) == nil {
		if m := p.pickLocked(r, now, false); m != nil {
			l := p.claimLocked(m, r, now)
			p.unlock()
			return l, nil
		}
	}
	return p.enqueue(ctx, r, now)
}

// unlock gives the lock up. A request may come to a pool that is retired and has
// ended its work, since it was on its way, or its body was being read: then the
// work begins again, for as long as there are such.
func (p *Pool[T]) unlock() {
	late := p.over
	p.over = false
	p.mu.Unlock()
	if late {
		p.resume()
	}
}

// claimLocked gives a slot of m to r.
func (p *Pool[T]) claimLocked(m *member[T], r *Request[T], now time.Time) Lease[T] {
	m.inFlight++
	m.requests++
	m.health.begin(now)
	r.add(m)
	r.leased = true
	l := Lease[T]{pool: p, member: m, about: m.Member, transport: m.transport, begun: now, inFlight: m.inFlight}
	if m.tag != r.Sticky {
		l.cookie = m.tag
	}
	return l
}

// answered takes in what the head of an answer says of its member.
func (p *Pool[T]) answered(l *Lease[T], status int) {
	now := p.clock()
	m := l.member
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answeredLocked(m, l, status, now)
	if p.queue.len() > 0 {
		p.dispatchLocked(now) // its limit may be a higher one, or its trial over
	}
}

func (p *Pool[T]) answeredLocked(m *member[T], l *Lease[T], status int, now time.Time) {
	if m.learns() {
		m.limiter.answered(now, now.Sub(l.begun), l.inFlight, p.queue.len() > 0)
	}
	switch {
	case m.health.stale(l.begun): // it was ejected meanwhile: that is no answer to its trial
	case status >= 500:
		p.failedLocked(m, now, faultAnswer, nil)
	case m.health.state(now) == healthTrial:
		m.health.succeeded(now)
		p.returnLocked(m, now)
	default:
		m.health.succeeded(now)
	}
}

// returnLocked puts a member whose trial is over back among the others.
func (p *Pool[T]) returnLocked(m *member[T], now time.Time) {
	p.backLocked(m, now)
	p.newsLocked(newsReturned, m, nil)
	p.nudge()
}

// failedLocked counts a failure of m and ejects it when that is due.
func (p *Pool[T]) failedLocked(m *member[T], now time.Time, f fault, err error) {
	trial := m.health.state(now) == healthTrial
	m.health.failed(now, f)
	var all []*health
	for _, o := range p.members {
		if o == m || o.there(p.opts.Check.Enabled()) && !o.check.failing {
			all = append(all, &o.health)
		}
	}
	switch {
	case judge(now, p.opts.Eject, all, &m.health):
		m.health.eject(now, p.opts.Eject)
		m.ejects++
		if err == nil {
			err = fmt.Errorf("%.0f %% of its requests of the last 10 s failed", 100*m.health.errorRate(now))
		}
		m.lastErr = err
		p.newsLocked(newsEjected, m, err)
		p.fewerLocked(now)
		p.unbindLocked(m)
		p.nudge()
	case trial:
		p.returnLocked(m, now)
	}
}

// release gives a slot back; err is why the exchange failed, if it did. With a
// status the answer has not been told before.
func (p *Pool[T]) release(l *Lease[T], status int, err error) {
	now := p.clock()
	m := l.member
	p.mu.Lock()
	if status > 0 {
		p.answeredLocked(m, l, status, now)
	}
	m.inFlight--
	if err == nil || !away(err) && !full(err) {
		p.servedLocked(now.Sub(l.begun))
	}
	if err != nil {
		p.faultLocked(m, l, err, now)
	} else if !l.answered {
		m.abandon(l.begun)
	}
	if p.queue.len() > 0 {
		p.dispatchLocked(now)
	}
	if p.retired {
		p.nudge()
	}
	if !m.leaving {
		p.mu.Unlock()
		return
	}
	gone, closing := p.leftLocked(m)
	p.mu.Unlock()
	if gone {
		closing()
	}
}

// servedLocked counts how long a request had its slot.
func (p *Pool[T]) servedLocked(d time.Duration) {
	if p.service == 0 {
		p.service = d
	}
	p.service += (d - p.service) / 64
}

// faultLocked takes in what a failure says of m.
func (p *Pool[T]) faultLocked(m *member[T], l *Lease[T], err error, now time.Time) {
	switch {
	case full(err):
		m.limiter.full(now, m.inFlight)
		m.abandon(l.begun)
		if m.inFlight == 0 || !m.learns() { // nothing will keep requests back until there is room
			p.awayLocked(m, now, err)
		}
	case away(err):
		m.abandon(l.begun)
		if !l.begun.Before(m.away.ended) { // otherwise it has been reached since
			p.awayLocked(m, now, err)
		}
	case blameless(err):
		m.abandon(l.begun)
	default:
		if unsent(err) {
			m.limiter.refused(now)
		}
		if !m.health.stale(l.begun) {
			p.failedLocked(m, now, faultHard, err)
		}
	}
}

// awayLocked takes m out until it can be reached again.
func (p *Pool[T]) awayLocked(m *member[T], now time.Time, err error) {
	again := now.Sub(m.away.ended) < awayMemory // comes and goes: once is enough for the log
	if m.away.since.IsZero() {
		m.aways++
	}
	if m.away.since.IsZero() && !again {
		m.away.told = true
		p.newsLocked(newsAway, m, err)
	}
	m.goAway(now, err)
	p.refresh = true
	p.fewerLocked(now)
	p.unbindLocked(m)
	p.nudge()
}

// fewerLocked is for when a member cannot be used any more. Without another one
// nobody is to wait for a try that was put off, and without one that carries its
// whole share for a slow start.
func (p *Pool[T]) fewerLocked(now time.Time) {
	p.fits = p.fits[:0] // those whose slow start ends: together, or the first would carry the others
	for _, m := range p.members {
		if m.health.ramp > 0 && !p.carriedLocked(m, now) {
			p.fits = append(p.fits, m)
		}
		if !m.away.since.IsZero() && !p.otherLocked(m) {
			m.hurry(now)
		}
	}
	for _, m := range p.fits {
		m.health.ramp = 0
	}
	p.weighLocked(now)
}

// unbindLocked lets those who wait for m alone have any member.
func (p *Pool[T]) unbindLocked(m *member[T]) {
	p.queue.release(m)
	p.dispatchLocked(time.Now())
}

// nudge makes work look for something to do.
func (p *Pool[T]) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
