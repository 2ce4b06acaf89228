package upstream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// work does what a pool needs in the background: it reaches for members that are
// away, checks, reads statistics, and wakes those who wait when time has passed
// that something depends on. It returns after its last goroutine, when ctx ends
// or a retired pool has nothing left to do.
func (p *Pool[T]) work(ctx context.Context) {
	var jobs sync.WaitGroup
	defer jobs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		p.mu.Lock()
		over := p.retired && p.queue.len() == 0 && p.inFlightLocked() == 0
		p.over = over
		var due []func(context.Context)
		var next time.Time
		if !over { // what is due is noted as under way, and must be
			due, next = p.dueLocked(now)
		}
		news := p.news
		p.news = nil
		refresh, ask := p.refreshersLocked(), p.waitersLocked()
		p.mu.Unlock()
		p.tell(news)
		for _, r := range refresh {
			r.Refresh()
		}
		if len(ask) > 0 {
			p.despair(ask)
		}
		if over {
			return
		}
		for _, job := range due {
			jobs.Go(func() { job(ctx) })
		}
		timer.Reset(max(0, next.Sub(now)))
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-timer.C:
		}
	}
}

// Times of work.
const (
	workIdle   = time.Minute            // nothing is due: look at least so often
	watchEvery = 50 * time.Millisecond  // what the kernel knows of members' slots
	watchAge   = 5 * time.Millisecond   // a request that is younger may just be on its way
	rampEvery  = 200 * time.Millisecond // shares of members in slow start
	statsEvery = time.Second
	jobTime    = 5 * time.Second // to reach a member, or to read its statistics
)

// dueLocked returns what is to be done now, and when to look again.
func (p *Pool[T]) dueLocked(now time.Time) (due []func(context.Context), next time.Time) {
	next = now.Add(workIdle)
	at := func(t time.Time) bool { // reports whether t is over, and sees to it that next is not later
		if now.Before(t) {
			if t.Before(next) {
				next = t
			}
			return false
		}
		return true
	}
	for _, m := range p.members {
		if m.leaving {
			continue
		}
		if f := p.dueOfLocked(m, at); f != nil {
			due = append(due, f)
		}
		if f := p.dueStatsLocked(m, now, at); f != nil {
			due = append(due, f)
		}
		switch m.health.state(now) {
		case healthEjected:
			at(m.health.until())
		case healthTrial:
			p.dispatchLocked(now)
		}
		p.rampLocked(m, now, at)
		if m.learns() && p.queue.len() > 0 {
			if next := m.limiter.rise(now); !next.IsZero() {
				p.dispatchLocked(now)
				at(next)
			}
		}
	}
	if !p.paused.IsZero() && at(p.paused) {
		p.paused = time.Time{}
		p.newsLocked(newsResumed, nil, errPauseOver)
		p.dispatchLocked(now)
	}
	if p.queue.len() > p.queue.unbound() {
		p.dispatchLocked(now) // who waits for a single one may have done so for long enough
		at(now.Add(awaitMost))
	}
	p.watchLocked(now, at)
	return due, next
}

// rampLocked lets the share of a member grow that is in slow start.
func (p *Pool[T]) rampLocked(m *member[T], now time.Time, at func(time.Time) bool) {
	if m.health.ramp == 0 {
		return
	}
	if end := m.health.since.Add(m.health.ramp); at(end) {
		m.health.ramp = 0 // once more, for its last step
	} else {
		at(now.Add(rampEvery))
	}
	p.weighLocked(now)
	p.dispatchLocked(now)
}

var errPauseOver = errors.New("the time of the pause is over")

// dueOfLocked returns what is to be done about one member: to reach for it while
// it is away, to check it while it is there.
func (p *Pool[T]) dueOfLocked(m *member[T], at func(time.Time) bool) func(context.Context) {
	switch {
	case !m.away.since.IsZero():
		if m.away.probing || !at(m.away.due) {
			return nil
		}
		m.away.probing = true
		return func(ctx context.Context) { p.reach(ctx, m) }
	case p.opts.Check.Enabled() && p.driver.Check != nil && !m.check.running && !m.drained && !p.retired:
		if !at(m.check.due) {
			return nil
		}
		if now := time.Now(); m.check.known && m.inFlight >= m.limit(now) {
			m.check.due = now.Add(p.opts.Check.Interval) // who has its slots says how it answers
			at(m.check.due)
			return nil
		}
		m.check.running = true
		m.inFlight++ // a check takes a slot as any other request
		return func(ctx context.Context) { p.examine(ctx, m) }
	}
	return nil
}

// reach tries to connect to a member that is away.
func (p *Pool[T]) reach(ctx context.Context, m *member[T]) {
	p.mu.Lock()
	t, reach := m.transport, p.driver.Reach
	p.mu.Unlock()
	limit, cancel := context.WithTimeout(ctx, jobTime)
	defer cancel()
	var err error
	if reach != nil {
		err = reach(limit, t)
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	m.away.probing = false
	switch {
	case ctx.Err() != nil || m.away.since.IsZero() || m.leaving:
	case err != nil && (away(err) || full(err) || !unsent(err)):
		if !m.away.told && now.Sub(m.away.since) >= awayMemory {
			m.away.told = true
			p.newsLocked(newsAway, m, err)
		}
		m.stillAway(now, err, p.otherLocked(m))
		p.refresh = true
	default: // what stands in the way now is no matter of waiting: the next request says it
		long := m.away.err == nil || now.Sub(m.away.since) > awayMemory
		if m.away.told || m.away.err == nil {
			p.newsLocked(newsBack, m, nil)
		}
		m.comeBack(now)
		if long {
			p.backLocked(m, now)
		} else {
			p.fewerLocked(now) // in slow start since before, and those that carried it may have gone
		}
		p.dispatchLocked(now)
	}
	p.nudge()
}

// backLocked begins the slow start of m, unless nobody else can carry its part.
func (p *Pool[T]) backLocked(m *member[T], now time.Time) {
	m.health.back(now, p.opts.SlowStart)
	p.fewerLocked(now)
}

// carriedLocked reports whether another member can carry what m does not, yet: one
// that is fit and has its whole share. For one that is no backup a backup does not
// count, for that has no part in the queue while others are fit.
func (p *Pool[T]) carriedLocked(m *member[T], now time.Time) bool {
	for _, o := range p.members {
		if o != m && o.there(p.opts.Check.Enabled()) && o.fit(now) && !o.health.ramping(now) && (m.Backup || !o.Backup) {
			return true
		}
	}
	return false
}

// otherLocked reports whether another member than m is there.
func (p *Pool[T]) otherLocked(m *member[T]) bool {
	for _, o := range p.members {
		if o != m && o.there(false) {
			return true
		}
	}
	return false
}

// examine runs the active check of one member.
func (p *Pool[T]) examine(ctx context.Context, m *member[T]) {
	p.mu.Lock()
	t, check, o := m.transport, p.driver.Check, p.opts.Check
	p.mu.Unlock()
	limit, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	err := check(limit, t, o)
	now := time.Now()
	p.mu.Lock()
	m.inFlight--
	m.check.running = false
	m.check.due = now.Add(o.Interval)
	switch {
	case ctx.Err() != nil || m.leaving:
	case o != p.opts.Check: // that is asked no more
		m.check.due = now
	case away(err):
		m.check.due = now
		p.awayLocked(m, now, err)
	case full(err): // others keep it busy: that is no verdict
		if !m.check.known { // and until there is one nobody is served there
			m.check.due = now.Add(min(o.Interval, awayWaitMost))
		}
	default:
		p.verdictLocked(m, err, now)
	}
	p.dispatchLocked(now)
	gone, closing := p.leftLocked(m)
	p.nudge()
	p.mu.Unlock()
	if gone {
		closing()
	}
}

// verdictLocked takes in the outcome of a check.
func (p *Pool[T]) verdictLocked(m *member[T], err error, now time.Time) {
	v := &m.check
	first := !v.known
	v.known, v.err = true, err
	if (err != nil) == v.failing {
		v.row = 0
		return
	}
	v.row++
	switch {
	case err == nil && v.row >= p.opts.Check.Rise:
		v.failing, v.row = false, 0
		p.backLocked(m, now)
		p.newsLocked(newsPassing, m, nil)
	case err != nil && (first || v.row >= p.opts.Check.Fall):
		v.failing, v.row = true, 0
		p.newsLocked(newsFailing, m, err)
		if p.allFailLocked() {
			p.newsLocked(newsAllFail, nil, nil)
		}
		p.fewerLocked(now)
		p.unbindLocked(m)
	}
}

// allFailLocked reports whether every member that is there fails its check.
func (p *Pool[T]) allFailLocked() bool {
	if p.uncheckedLocked() {
		return false
	}
	for _, m := range p.members {
		if m.there(true) && !m.check.failing {
			return false
		}
	}
	return true
}

// dueStatsLocked returns what reads a member's statistics when that is due.
func (p *Pool[T]) dueStatsLocked(m *member[T], now time.Time, at func(time.Time) bool) func(context.Context) {
	s := &m.stats
	if m.Stats == "" || p.driver.Stats == nil || s.running || !at(s.due) {
		return nil
	}
	s.running = true
	s.due = now.Add(statsEvery)
	about, read := m.Member, p.driver.Stats
	return func(ctx context.Context) {
		limit, cancel := context.WithTimeout(ctx, jobTime)
		defer cancel()
		load, err := read(limit, about)
		p.mu.Lock()
		defer p.mu.Unlock()
		s.running = false
		if ctx.Err() == nil {
			p.readLocked(m, load, err)
		}
		p.nudge() // for the next time
	}
}

// readLocked takes in what a member says of itself. What it said last holds for
// the time in which it says nothing.
func (p *Pool[T]) readLocked(m *member[T], load Load, err error) {
	s := &m.stats
	if err != nil {
		if s.err == nil {
			p.newsLocked(newsNoStats, m, err)
		}
		s.err = err
		return
	}
	if s.err != nil {
		p.newsLocked(newsStats, m, nil)
	}
	s.known, s.load, s.err = true, load, nil
	if m.learns() && load.Slots > 0 {
		m.limiter.known(load.Slots, "stats")
		p.weighLocked(time.Now())
		p.dispatchLocked(time.Now())
	}
}

// watchLocked asks the kernel how many of the requests at the members have been
// read, as long as there is traffic.
func (p *Pool[T]) watchLocked(now time.Time, at func(time.Time) bool) {
	if p.driver.Watch == nil || !p.active {
		return
	}
	any := false
	for _, m := range p.members {
		any = any || m.inFlight > 0
		if m.inFlight < min(2, m.limit(now)) || m.inFlight == 0 || !m.learns() || m.stats.known {
			continue
		}
		if busy, unread, ok := p.driver.Watch(m.transport, watchAge); ok {
			m.limiter.sample(now, busy, unread)
		}
	}
	p.active = any // the next request wakes work
	if any {
		p.dispatchLocked(now)
		at(now.Add(watchEvery))
	}
}
