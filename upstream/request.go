package upstream

import (
	"net/netip"
	"time"
)

// maxAttempts bounds RetryOptions.Attempts.
const maxAttempts = 10

// Request is what a pool needs to know of a request, and what it remembers of it
// from one attempt to the next. The zero value is ready. It is not safe for
// concurrent use, belongs to one pool, and must not be copied or changed while
// Acquire runs.
type Request[T any] struct {
	Client   netip.Addr // who asks, for fairness and ip-hash
	Priority Priority
	Key      uint64 // of balance: {hash: ...}; see HashKey
	Sticky   string // value of the cookie of balance: {sticky: ...}; "" for none

	waiter waiter
	ready  chan struct{} // of the waiter; made when it first waits
	given  *member[T]    // what the waiter got
	err    *WaitError    // why the waiter got nothing

	tried    [maxAttempts]*member[T]
	attempts int
	counted  bool          // among those that pay for retries
	leased   bool          // it has had a slot before
	ran      bool          // a member may have run it
	waited   time.Duration // in the queue and for connections that were not had, in all
	awaiting time.Time     // when it first waited for one that is away, rather than to go to one that has failed it
	spent    time.Duration // by attempts and the waits between them, in all
}

// Attempts returns how often the request has been given to a member. Attempts
// that came to no connection do not count.
func (r *Request[T]) Attempts() int { return r.attempts }

func (r *Request[T]) add(m *member[T]) {
	if r.attempts < maxAttempts {
		r.tried[r.attempts] = m
		r.attempts++
	}
}

func (r *Request[T]) has(m *member[T]) bool {
	for _, t := range r.tried[:r.attempts] {
		if t == m {
			return true
		}
	}
	return false
}

// Lease is the right to have one request in flight at a member. The zero value
// is of no member. It must not be copied, and one goroutine at a time has it.
type Lease[T any] struct {
	pool      *Pool[T]
	member    *member[T]
	about     Member // as it was then
	transport T
	begun     time.Time
	inFlight  int  // at the member when it began, this one included
	answered  bool // what the answer says of the member is known to the pool
	cookie    string
}

// Member returns the leased member, as it was named when the slot was had.
func (l *Lease[T]) Member() Member { return l.about }

// Transport returns the member's transport.
func (l *Lease[T]) Transport() T { return l.transport }

// Begun returns when the slot was had.
func (l *Lease[T]) Begun() time.Time { return l.begun }

// Cookie returns the value of the sticky cookie that the client is to be sent,
// "" when it has the right one or the pool has none.
func (l *Lease[T]) Cookie() string { return l.cookie }

// Answered tells the pool of the head of the member's final answer: how long it
// took, and by its status how the member fares. It never blocks.
func (l *Lease[T]) Answered(status int) {
	if l.member != nil && !l.answered {
		l.answered = true
		l.pool.answered(l, status)
	}
}

// Release gives the slot back; a second call does nothing. It never blocks.
func (l *Lease[T]) Release() {
	if l.member != nil {
		l.pool.release(l, 0, nil)
		l.member = nil
	}
}

// Finish is Answered and Release at once, for less than both: it is for an answer
// that is complete when its head is read.
func (l *Lease[T]) Finish(status int) {
	if l.member == nil {
		return
	}
	if l.answered {
		status = 0
	}
	l.answered = true
	l.pool.release(l, status, nil)
	l.member = nil
}

// Fail is Release for an exchange that failed, before its answer or in it; err is
// the transport's. It tells the pool how the member fares.
func (l *Lease[T]) Fail(err error) {
	if l.member != nil {
		l.pool.release(l, 0, err)
		l.member = nil
	}
}
