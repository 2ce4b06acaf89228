package upstream

import (
	"context"
	"math"
	"time"
)

// member is one member of a pool, with everything that the pool knows of it. The
// pool's lock guards it. It outlives reloads as long as its address is named.
type member[T any] struct {
	Member
	seat
	transport T

	requests uint64
	aways    uint64
	ejects   uint64
	slots    int // of the pool's options; 0: auto
	health   health
	lastErr  error // that it was ejected for
	limiter  limiter
	away     absence
	check    verdict
	stats    reading

	drained   bool       // asked for by the operator
	leaving   bool       // no source names it any more
	departure *departure // with which it leaves
	tag       string     // its value of the sticky cookie
}

// absence is what is known of a member that cannot be connected to. The zero
// value is a member that is there.
type absence struct {
	since   time.Time // zero: it is there
	err     error     // of the last try; nil: it is new and has not been reached yet
	due     time.Time // of the next try
	wait    time.Duration
	probing bool
	ended   time.Time // when it was last reached again
	told    bool      // the log has it
}

// verdict is what active checks say of a member.
type verdict struct {
	known   bool // there was a check
	failing bool
	row     int // checks in a row that say the opposite
	err     error
	due     time.Time
	running bool
}

// reading is what a member's own statistics say.
type reading struct {
	known   bool
	load    Load
	err     error
	due     time.Time
	running bool
}

// Load is what a member says of itself: its slots, and how many of them are busy.
// Accepting is how many slots take requests at the moment.
type Load struct {
	Slots, Accepting, Busy int
	Queued                 int // in its listen queue; unix sockets never tell
}

// there reports whether requests may be given to m at all.
func (m *member[T]) there(checked bool) bool {
	return !m.leaving && !m.drained && m.away.since.IsZero() && (!checked || m.check.known)
}

// fit reports whether nothing speaks against m.
func (m *member[T]) fit(now time.Time) bool {
	if !m.health.out {
		return !m.check.failing
	}
	return !m.check.failing && (m.health.state(now) == healthFit || m.health.state(now) == healthTrial && m.health.mayTry(now))
}

// abandon notes that a request that began at that time ended without saying
// anything of m.
func (m *member[T]) abandon(begun time.Time) {
	if !m.health.stale(begun) {
		m.health.abandoned()
	}
}

// checkAnew notes that the check is another one. A member that was in service
// before there was a check stays there until one has failed.
func (m *member[T]) checkAnew(before, after CheckOptions) {
	switch {
	case before == after:
	case !after.Enabled():
		m.check = verdict{running: m.check.running}
	case !before.Enabled():
		m.check = verdict{running: m.check.running, known: true}
	default:
		m.check.row, m.check.due = 0, time.Time{}
	}
}

// rename takes in what is said of m now, at the same address.
func (m *member[T]) rename(said Member) {
	if m.Stats != said.Stats {
		m.unread()
	}
	m.Member = said
}

// unread forgets what m's statistics have said.
func (m *member[T]) unread() {
	if m.stats.known {
		m.limiter.known(0, "")
	}
	m.stats = reading{}
}

// limit is how many requests m may have in flight now.
func (m *member[T]) limit(now time.Time) int {
	n := m.limiter.limit()
	switch {
	case m.Slots > 0:
		n = m.Slots
	case m.slots > 0:
		n = m.slots
	}
	if m.health.ramping(now) {
		n = max(1, int(math.Ceil(float64(n)*m.health.share(now))))
	}
	if m.learns() && m.health.state(now) != healthFit { // its backlog is no place to wait
		n = min(n, max(m.cores(), ejectedLimit))
	}
	return n
}

// ejectedLimit is how many requests an ejected member of which nobody knows the
// cores may have, when there is nobody else.
const ejectedLimit = 4

// learns reports whether m's slots are to be found out.
func (m *member[T]) learns() bool { return m.Slots == 0 && m.slots == 0 }

// cores returns how many requests m can run at once as far as somebody has said
// it or it was counted; 0: nobody knows.
func (m *member[T]) cores() int {
	switch {
	case m.Slots > 0:
		return m.Slots
	case m.slots > 0:
		return m.slots
	}
	return m.limiter.cores()
}

// weigh brings what the rules of balance read up to date.
func (m *member[T]) weigh(now time.Time, byCores bool) {
	m.weight = float64(max(m.Weight, 1))
	if m.health.ramping(now) {
		m.weight *= m.health.share(now)
	}
	m.capacity = m.weight
	if byCores {
		m.capacity *= float64(m.cores())
	}
}

// goAway notes that m could not be connected to.
func (m *member[T]) goAway(now time.Time, err error) {
	a := &m.away
	switch {
	case !a.since.IsZero(): // others have noticed already
	case now.Sub(a.ended) < awayMemory: // it was reached, but by no request: do not start over
		a.since, a.wait = now, min(2*a.wait, awayWaitMost)
	default:
		a.since, a.wait = now, awayWait
	}
	a.err = err
	a.due = now.Add(a.wait)
}

// Waits between two tries to reach a member that is away. With nobody else to
// ask requests are waiting for it.
const (
	awayWait     = 10 * time.Millisecond
	awayWaitMost = 250 * time.Millisecond
	awayWaitIdle = 2 * time.Second // while others are there
	awayMemory   = time.Second
)

// stillAway notes that m could not be reached once more.
func (m *member[T]) stillAway(now time.Time, err error, others bool) {
	a := &m.away
	most := awayWaitMost
	if others {
		most = awayWaitIdle
	}
	a.err = err
	a.wait = min(2*a.wait, most)
	a.due = now.Add(a.wait)
}

// hurry sees to it that m, which is away, is tried as one that others wait for.
func (m *member[T]) hurry(now time.Time) {
	m.away.wait = min(m.away.wait, awayWaitMost)
	if soon := now.Add(m.away.wait); m.away.due.After(soon) {
		m.away.due = soon
	}
}

// comeBack notes that m can be reached again.
func (m *member[T]) comeBack(now time.Time) {
	m.away.since, m.away.ended, m.away.told = time.Time{}, now, false
}

// Driver is how the members of one pool are reached. Dial is required; what else
// is nil is not done. The functions may be called by any number of goroutines,
// and those with a context return when it ends.
type Driver[T any] struct {
	// Key says what transports are made from besides the member. When it is
	// another one, all transports of the pool are made anew.
	Key string

	Dial  func(Member) (T, error) // makes a transport; must not block
	Close func(T)                 // gives up what a transport keeps for later requests; those in flight go on
	Left  func(address string)    // a member has left, with its last request

	Reach func(context.Context, T) error                     // connects to the member, and no more
	Check func(context.Context, T, CheckOptions) error       // an active check; nil: it passed
	Stats func(context.Context, Member) (Load, error)        // reads Member.Stats
	Watch func(T, time.Duration) (busy, unread int, ok bool) // of the requests at the member: how many the kernel knows not to have been read
}
