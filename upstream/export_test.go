package upstream

import (
	"net/netip"
	"time"
)

// Queue and Waiter let tests at the queue.
type (
	Queue  struct{ q queue }
	Waiter = waiter
)

// NewWaiter returns a waiter that knows its owner.
func NewWaiter(client netip.Addr, p Priority, since time.Time, returned bool, bound, owner any) *Waiter {
	return &waiter{client: client, priority: p, since: since, returned: returned, bound: bound, owner: owner}
}

func (w *waiter) Owner() any { return w.owner }
func (w *waiter) Bound() any { return w.bound }

func (q *Queue) Configure(limit int, timeout time.Duration, fair bool) {
	q.q.configure(limit, timeout, fair)
}
func (q *Queue) Len() int                                      { return q.q.len() }
func (q *Queue) Unbound() int                                  { return q.q.unbound() }
func (q *Queue) Push(w *Waiter, now time.Time) (*Waiter, bool) { return q.q.push(w, now) }
func (q *Queue) Next(now time.Time, m any) *Waiter             { return q.q.next(now, m) }
func (q *Queue) Take(w *Waiter) bool                           { return q.q.take(w, nil) }
func (q *Queue) TakeFor(w *Waiter, m any) bool                 { return q.q.take(w, m) }
func (q *Queue) Remove(w *Waiter) bool                         { return q.q.remove(w) }
func (q *Queue) Release(m any)                                 { q.q.release(m) }
func (q *Queue) Overloaded(now time.Time) bool                 { return q.q.overloaded(now) }

// Kept returns how many flows there are, and how many structures are kept for
// later ones.
func (q *Queue) Kept() (flows, spare int) {
	return len(q.q.flows), len(q.q.spare.flows) + len(q.q.spare.strands) + len(q.q.spare.bindings)
}
