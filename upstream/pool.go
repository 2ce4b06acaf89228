package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Member is one server of a pool, as a source names it. Members are compared.
type Member struct {
	Address string // as the transport's package reads it: unix:/run/app.sock, 10.0.0.7:3031
}

// The ways in which no slot was had. Both are worth a 503 with Retry-After.
var (
	ErrQueueFull    = errors.New("upstream: queue is full")
	ErrQueueTimeout = errors.New("upstream: no slot became free in time")
	ErrNoMembers    = errors.New("upstream: pool has no members")
)

// Pool shares requests among the transports of its members. It is safe for
// concurrent use and starts nothing.
type Pool[T any] struct {
	name    string
	opts    Options
	members []*member[T] // fixed

	next atomic.Uint32 // round robin, and the order of equals

	mu     sync.Mutex // guards the fields below; used only when slots are limited
	queue  waiters[T]
	queued atomic.Int64 // length of queue, readable without mu
}

type member[T any] struct {
	Member
	transport T
	inFlight  atomic.Int64 // with limited slots changed only under Pool.mu
	requests  atomic.Uint64
}

// NewPool makes a pool of members; dial makes the transport of each and must
// not block. Options must be valid.
func NewPool[T any](name string, o Options, members []Member, dial func(Member) (T, error)) (*Pool[T], error) {
	p := &Pool[T]{name: name, opts: o.withDefaults()}
	for _, m := range members {
		t, err := dial(m)
		if err != nil {
			return nil, fmt.Errorf("pool %s: member %s: %w", name, m.Address, err)
		}
		p.members = append(p.members, &member[T]{Member: m, transport: t})
	}
	return p, nil
}

// Name returns the pool's name.
func (p *Pool[T]) Name() string { return p.name }

// Members returns how many members the pool has.
func (p *Pool[T]) Members() int { return len(p.members) }

// Options returns the options with their defaults.
func (p *Pool[T]) Options() Options { return p.opts }

// Queued returns how many requests wait for a slot.
func (p *Pool[T]) Queued() int { return int(p.queued.Load()) }

// Each calls f for every member with its transport, its requests in flight and
// its requests so far.
func (p *Pool[T]) Each(f func(m Member, transport T, inFlight int64, requests uint64)) {
	for _, m := range p.members {
		f(m.Member, m.transport, m.inFlight.Load(), m.requests.Load())
	}
}

// Lease is the right to have one request in flight at a member. The zero value
// is of no member.
type Lease[T any] struct {
	pool   *Pool[T]
	member *member[T]
}

// Member returns the leased member.
func (l *Lease[T]) Member() Member { return l.member.Member }

// Transport returns the member's transport.
func (l *Lease[T]) Transport() T { return l.member.transport }

// Release gives the slot back; a second call does nothing. It never blocks.
func (l *Lease[T]) Release() {
	if l.member == nil {
		return
	}
	l.pool.release(l.member)
	l.member = nil
}

// Acquire returns a lease on the member that the pool's balance chooses, one
// that is not in tried if there is such. With a free slot it does not block;
// otherwise it waits in the queue. It fails with ErrQueueFull, ErrQueueTimeout,
// ErrNoMembers, or the context's error. A nil tried is an empty one.
func (p *Pool[T]) Acquire(ctx context.Context, tried *Tried) (Lease[T], error) {
	if len(p.members) == 0 {
		return Lease[T]{}, ErrNoMembers
	}
	m, err := p.claim(ctx, tried)
	if err != nil {
		return Lease[T]{}, err
	}
	m.requests.Add(1)
	if tried != nil {
		tried.add(m)
	}
	return Lease[T]{pool: p, member: m}, nil
}

func (p *Pool[T]) claim(ctx context.Context, tried *Tried) (*member[T], error) {
	if p.opts.Slots == 0 {
		m := p.pick(tried)
		m.inFlight.Add(1)
		return m, nil
	}
	p.mu.Lock()
	if p.queue.len() == 0 {
		if m := p.pick(tried); m != nil {
			m.inFlight.Add(1)
			p.mu.Unlock()
			return m, nil
		}
	}
	if p.queue.len() >= p.opts.Queue.Limit {
		p.mu.Unlock()
		return nil, ErrQueueFull
	}
	w := p.queue.push(tried)
	p.queued.Store(int64(p.queue.len()))
	p.mu.Unlock()
	return p.wait(ctx, w)
}

// wait blocks until release hands w a member that is already claimed for it.
func (p *Pool[T]) wait(ctx context.Context, w *waiter[T]) (*member[T], error) {
	timer := time.NewTimer(p.opts.Queue.Timeout)
	defer timer.Stop()
	var err error
	select {
	case m := <-w.ready:
		return m, nil
	case <-timer.C:
		err = ErrQueueTimeout
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	left := p.queue.remove(w)
	p.queued.Store(int64(p.queue.len()))
	p.mu.Unlock()
	if !left { // handed over in the same moment: take it to give it back
		p.release(<-w.ready)
	}
	return nil, err
}

// release frees a slot of m, or hands it to the first who waits.
func (p *Pool[T]) release(m *member[T]) {
	if p.opts.Slots == 0 {
		m.inFlight.Add(-1)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m.inFlight.Add(-1)
	for p.queue.len() > 0 {
		w := p.queue.first()
		next := p.pick(w.tried)
		if next == nil {
			return
		}
		next.inFlight.Add(1)
		p.queue.remove(w)
		p.queued.Store(int64(p.queue.len()))
		w.ready <- next // has room for one and is sent to once
	}
}

// pick chooses among the members with a free slot, or returns nil. A member in
// tried is chosen only when every other with a free slot is in tried too.
func (p *Pool[T]) pick(tried *Tried) *member[T] {
	n := uint32(len(p.members))
	if n == 1 {
		if m := p.members[0]; p.free(m) {
			return m
		}
		return nil
	}
	start := p.next.Add(1)
	if p.opts.Balance == Random {
		start = rand.Uint32N(n)
	}
	var best *member[T]
	bestTried := false
	for i := range n {
		m := p.members[(start+i)%n]
		if !p.free(m) {
			continue
		}
		again := tried != nil && tried.has(m)
		if best == nil || p.better(m, best, again, bestTried) {
			best, bestTried = m, again
		}
	}
	return best
}

func (p *Pool[T]) better(m, best *member[T], again, bestAgain bool) bool {
	if again != bestAgain {
		return bestAgain
	}
	return p.opts.Balance == LeastBusy && m.inFlight.Load() < best.inFlight.Load()
}

func (p *Pool[T]) free(m *member[T]) bool {
	return p.opts.Slots == 0 || m.inFlight.Load() < int64(p.opts.Slots)
}
