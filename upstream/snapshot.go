package upstream

import (
	"slices"
	"strings"
	"time"
)

// PoolState is what a pool is doing at a moment.
type PoolState struct {
	Queued     int
	Paused     time.Time // until when; zero: it is not paused
	Overloaded bool      // of those that any member will do for the newest go first
	Members    []MemberState
}

// MemberState is how one member fares.
type MemberState struct {
	Member
	State    State
	Cause    string    // of State, or ""
	Since    time.Time // of being away, or the end of an ejection; else zero
	InFlight int
	Slots    int    // as configured, announced, read or counted; 0: not known
	Limit    int    // requests in flight that are allowed now
	Known    string // who says so: config, stats, kernel, learned or default
	Requests uint64
	Aways    uint64  // times that it could not be connected to any more
	Ejects   uint64  // times that it was ejected
	Share    float64 // below 1 in slow start
	Load     Load    // of its own statistics
	HasLoad  bool
}

// State says whether a member gets requests.
type State string

// The states.
const (
	StateUp       State = "up"
	StateAway     State = "away"     // cannot be connected to
	StateChecking State = "checking" // has not been checked yet
	StateFailing  State = "failing"  // fails its checks
	StateEjected  State = "ejected"  // answers badly
	StateTrial    State = "trial"    // one request at a time decides whether it returns
	StateDrained  State = "drained"  // by the operator
	StateLeaving  State = "leaving"  // not listed any more, with requests under way
)

// Snapshot returns what the pool is doing, its members in the order of their
// addresses. The caller owns it.
func (p *Pool[T]) Snapshot() PoolState {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PoolState{Queued: p.queue.len(), Paused: p.paused, Overloaded: p.queue.overloaded(now)}
	for _, m := range p.members {
		s.Members = append(s.Members, p.stateLocked(m, now))
	}
	slices.SortStableFunc(s.Members, func(a, b MemberState) int { return strings.Compare(a.Address, b.Address) })
	return s
}

func (p *Pool[T]) stateLocked(m *member[T], now time.Time) MemberState {
	s := MemberState{
		Member: m.Member, State: StateUp, InFlight: m.inFlight, Slots: m.cores(), Limit: m.limit(now),
		Known: "config", Requests: m.requests, Aways: m.aways, Ejects: m.ejects, Share: 1, Load: m.stats.load, HasLoad: m.stats.known,
	}
	if m.learns() {
		s.Known = m.limiter.source()
	}
	if m.health.ramping(now) {
		s.Share = m.health.share(now)
	}
	var err error
	switch {
	case m.leaving:
		s.State = StateLeaving
	case m.drained:
		s.State = StateDrained
	case !m.away.since.IsZero():
		s.State, s.Since, err = StateAway, m.away.since, m.away.err
	case p.opts.Check.Enabled() && !m.check.known:
		s.State = StateChecking
	case m.check.failing:
		s.State, err = StateFailing, m.check.err
	case m.health.state(now) == healthEjected:
		s.State, s.Since, err = StateEjected, m.health.until(), m.lastErr
	case m.health.state(now) == healthTrial:
		s.State, err = StateTrial, m.lastErr
	}
	if err != nil {
		s.Cause = err.Error()
	}
	return s
}

// Each calls f for the transport of every member that has not been taken out.
func (p *Pool[T]) Each(f func(Member, T)) {
	type pair struct {
		m Member
		t T
	}
	p.mu.Lock()
	var all []pair
	for _, m := range p.members {
		if !m.leaving {
			all = append(all, pair{m.Member, m.transport})
		}
	}
	p.mu.Unlock()
	for _, one := range all {
		f(one.m, one.t)
	}
}
