package limit

import "time"

// quota is a rate in the terms of GCRA. A key has a time that is ahead of now by
// what it has taken: each request moves it by the emission.
type quota struct {
	emission time.Duration // one request
	ahead    time.Duration // how far ahead a key may be so that its next request passes at once
	delay    time.Duration // and how much farther if it waits
}

func newQuota(o Rate) quota {
	return quota{emission: o.emission(), ahead: o.span() - o.emission(), delay: max(o.Delay, 0)}
}

// limit is how far ahead a key may be so that its next request passes at all.
func (q quota) limit() time.Duration { return q.ahead + q.delay }

// span is after how long a key that nobody uses is as good as a new one.
func (q quota) span() time.Duration { return q.limit() + q.emission }

// wait is how long a request of a key that is ahead by that much waits for its turn.
func (q quota) wait(ahead time.Duration) time.Duration { return max(ahead-q.ahead, 0) }

// left is how many requests may come at once after that one.
func (q quota) left(ahead time.Duration) int64 { return max(int64((q.ahead-ahead)/q.emission), 0) }
