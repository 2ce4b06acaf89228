package upstream

import (
	"context"
	"errors"
	"time"
)

// Attempt says what a pool needs to know of an attempt that failed.
type Attempt struct {
	Err        error         // the transport's
	Took       time.Duration // how long the member had it
	Idempotent bool          // running it twice does no harm (RFC 9110, 9.2.2), or the app has said so
	Replayable bool          // its body, if any, can be read again from its beginning
}

// Retry reports whether r, whose last attempt failed, may be given to a member
// once more, and waits before that if it should. The lease must have been given
// back with Fail.
//
// What came to no connection was no attempt: it goes again as long as its time
// in the queue lasts, whatever its method. An error whose Unsent() bool is true
// proves that no worker ran the request: that goes again, whatever its method, as
// long as attempts, time and the pool's budget last; beyond the budget it waits a
// second for its turn. Otherwise an idempotent request goes again once, unless time ran
// out: one that kills its worker, or takes longer than anybody will wait, must
// not be spread over the whole pool.
func (p *Pool[T]) Retry(ctx context.Context, r *Request[T], a Attempt) bool {
	var waited *WaitError
	if errors.As(a.Err, &waited) || r.attempts == 0 || ctx.Err() != nil {
		return false // without a slot it has waited long enough, also between two attempts
	}
	if away(a.Err) || full(a.Err) {
		r.attempts--
		r.waited += a.Took
		return true
	}
	r.spent += a.Took
	o := p.Options()
	if !a.Replayable || r.attempts >= o.Retry.Attempts || r.spent >= o.Retry.Timeout {
		return false
	}
	never := unsent(a.Err)
	switch {
	case blameless(a.Err): // it is about the request: another member may take it, and that costs nobody anything
		return never && p.Fresh(r)
	case never:
	case !a.Idempotent, r.ran, a.Took > longRun, timeout(a.Err):
		return false
	default:
		r.ran = true
	}
	wait := time.Duration(0)
	if !p.Fresh(r) {
		wait = retryWait << (r.attempts - 1)
	}
	return p.pay(ctx, r, never, wait, o.Retry.Timeout)
}

// longRun is the time after which a worker that gives no answer was rather killed
// for the request (harakiri, memory) than by chance.
const longRun = 5 * time.Second

// retryWait is the wait before the second attempt when no other member is left;
// it doubles. A worker that is being replaced refuses for some tens of
// milliseconds.
const retryWait = 50 * time.Millisecond

// Fresh reports whether a member is there that r has not been given to.
func (p *Pool[T]) Fresh(r *Request[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if m.there(p.opts.Check.Enabled()) && !r.has(m) {
			return true
		}
	}
	return false
}

// pay waits, and takes an attempt out of the pool's budget. Without one there,
// what never ran waits for it for a moment, unless too many do so.
func (p *Pool[T]) pay(ctx context.Context, r *Request[T], never bool, wait, limit time.Duration) bool {
	if !sleep(ctx, wait) {
		return false
	}
	r.spent += wait
	if p.spend(never) {
		return true
	}
	if !never || !p.owe() {
		return false
	}
	defer p.settle()
	for end := min(limit, r.spent+payPatience); r.spent < end; r.spent += payWait {
		if !sleep(ctx, payWait) {
			return false
		}
		if p.spend(never) {
			return true
		}
	}
	return false
}

const (
	payWait     = 100 * time.Millisecond
	payPatience = time.Second
)

func (p *Pool[T]) spend(never bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if never {
		return p.unread.spend(p.opts.Retry.Budget)
	}
	return p.budget.spend(p.opts.Retry.Budget)
}

// owe counts a request that waits for the budget, if there is room for one more.
func (p *Pool[T]) owe() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len()+p.owing >= p.opts.Queue.Limit {
		return false
	}
	p.owing++
	return true
}

func (p *Pool[T]) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owing--
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// budget bounds the attempts after the first to a share of the pool's requests,
// so that retries never make an outage worse. It is a bucket: every request puts
// its share in, every further attempt takes one out.
//
// What may have run and what never ran have a bucket each. The latter has cost the
// member next to nothing, and comes all at once: a server that stops resets
// everything that lies in its listen backlog.
type budget struct{ tokens, most float64 }

func newBudget() budget { return budget{tokens: 10, most: 100} }

// newUnreadBudget has room for the backlogs of a few members.
func newUnreadBudget() budget { return budget{tokens: 256, most: 1024} }

func (b *budget) earn(share Percent) {
	if share > 0 {
		b.tokens = min(b.tokens+float64(share)/100, b.most)
	}
}

func (b *budget) spend(share Percent) bool {
	if share < 0 {
		return true
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
