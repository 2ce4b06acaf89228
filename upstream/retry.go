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
// long as attempts, time and the pool's budget last; beyond the budget it waits
// for its turn. Otherwise an idempotent request goes again once, unless time ran
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
	if !never {
		if !a.Idempotent || r.ran || a.Took > longRun || timeout(a.Err) || blameless(a.Err) {
			return false
		}
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
// what never ran waits for it for as long as the request's time lasts.
func (p *Pool[T]) pay(ctx context.Context, r *Request[T], patient bool, wait, limit time.Duration) bool {
	for {
		if !sleep(ctx, wait) {
			return false
		}
		r.spent += wait
		p.mu.Lock()
		paid := p.budget.spend(p.opts.Retry.Budget)
		p.mu.Unlock()
		if paid || !patient || r.spent >= limit {
			return paid
		}
		wait = payWait
	}
}

const payWait = 100 * time.Millisecond

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
type budget struct{ tokens float64 }

const (
	budgetFirst = 10  // a pool without traffic may retry too
	budgetMost  = 100 // what a long quiet time can save up
)

func (b *budget) earn(share Percent) {
	if share > 0 {
		b.tokens = min(b.tokens+float64(share)/100, budgetMost)
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
