package stats

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// PoolCounters count what one pool did. The zero value is ready; every method
// may be called by any number of goroutines at once. All but Member, Forget and
// Snapshot take no lock and allocate nothing. They must not be copied.
type PoolCounters struct {
	failures FailureCounter
	retries  atomic.Uint64
	queued   atomic.Int64
	wait     Histogram

	mu      sync.Mutex                 // guards the fields below
	members map[string]*MemberCounters // by address
	holds   map[string]int             // by address
}

// Requests returns how often a slot was asked for.
func (c *PoolCounters) Requests() uint64 { return c.wait.Count() }

// Fail counts a failure that belongs to no member, such as a full queue.
func (c *PoolCounters) Fail(f Failure) { c.failures.Add(f) }

// Retry counts one more attempt at a request.
func (c *PoolCounters) Retry() { c.retries.Add(1) }

// Enqueue counts a request that begins to wait for a slot. Each needs one Dequeue.
func (c *PoolCounters) Enqueue() { c.queued.Add(1) }

// Dequeue counts a request that has stopped to wait, and for how long it did.
func (c *PoolCounters) Dequeue(waited time.Duration) {
	c.queued.Add(-1)
	c.wait.Observe(waited)
}

// Waited counts a wait without counting who waits: for a request that found a
// free slot at once (0), or when the number of waiters is known elsewhere.
func (c *PoolCounters) Waited(d time.Duration) { c.wait.Observe(d) }

// Member returns the counters of the member at address, new ones if it has none.
// Keep the result: the look-up takes a lock.
func (c *PoolCounters) Member(address string) *MemberCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.memberLocked(address)
}

func (c *PoolCounters) memberLocked(address string) *MemberCounters {
	m := c.members[address]
	if m == nil {
		if c.members == nil {
			c.members = make(map[string]*MemberCounters)
		}
		m = new(MemberCounters)
		c.members[address] = m
	}
	return m
}

// Hold is Member where several count for the same one: the member is forgotten when
// each of them has called release, of which only the first call counts.
func (c *PoolCounters) Hold(address string) (m *MemberCounters, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds == nil {
		c.holds = make(map[string]int)
	}
	c.holds[address]++
	return c.memberLocked(address), sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.holds[address]--; c.holds[address] == 0 {
			delete(c.holds, address)
			c.forgetLocked(address)
		}
	})
}

// Forget forgets the member at address, if there is one. Its failures stay in the
// numbers of the pool.
func (c *PoolCounters) Forget(address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked(address)
}

func (c *PoolCounters) forgetLocked(address string) {
	m := c.members[address]
	if m == nil {
		return
	}
	for kind, n := range m.failures.Snapshot() {
		c.failures.counts[kind].Add(n)
	}
	delete(c.members, address)
}

// Snapshot returns what was counted so far, under the name of the pool, its
// members in the order of their addresses.
func (c *PoolCounters) Snapshot(name string) Pool {
	p := Pool{
		Name:    name,
		Retries: c.retries.Load(),
		Queued:  c.queued.Load(),
		Wait:    c.wait.Snapshot(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Failures = c.failures.Snapshot()
	p.Members = make([]Member, 0, len(c.members))
	for _, address := range slices.Sorted(maps.Keys(c.members)) {
		m := c.members[address].Snapshot(address)
		p.Members = append(p.Members, m)
		p.Failures = p.Failures.Plus(m.Failures)
	}
	return p
}

// Pool are the numbers of one pool, and what it is doing.
type Pool struct {
	Name        string       `json:"name"`
	Members     []Member     `json:"members"`
	Failures    Failures     `json:"failures"` // of the pool and of all its members
	Retries     uint64       `json:"retries"`
	Queued      int64        `json:"queued"`                // waiting now
	Wait        Distribution `json:"wait"`                  // time in the queue
	PausedUntil time.Time    `json:"paused_until,omitzero"` // zero: it is not paused
	Overloaded  bool         `json:"overloaded,omitempty"`  // the newest requests go first
	Workers     *Workers     `json:"workers,omitempty"`     // nil: none were started from here
}

// InFlight returns how many requests are at members.
func (p Pool) InFlight() (n int64) {
	for _, m := range p.Members {
		n += m.InFlight
	}
	return n
}

// PoolChange is what has become of an operator's wish: to drain a member or to
// pause a pool, and to take that back.
type PoolChange struct {
	Pool        string    `json:"pool"`
	Member      string    `json:"member,omitempty"`      // its address; "": the wish was about the pool
	State       string    `json:"state,omitempty"`       // of the member now; "": it is none at the moment
	Changed     bool      `json:"changed"`               // false: it was so before
	InFlight    int64     `json:"in_flight"`             // at the member, or at all of the pool
	Queued      int64     `json:"queued"`                // waiting in the pool's queue
	Up          int       `json:"up"`                    // members of the pool that take requests
	PausedUntil time.Time `json:"paused_until,omitzero"` // zero: the pool is not paused
}
