package upstream

import (
	"errors"
	"time"
)

// Tried remembers the members that one request has been sent to. The zero value
// is ready to use; it is not safe for concurrent use.
type Tried struct {
	members [10]any // Options.Validate allows no more attempts
	n       int
	ran     bool // one of them may have run the request
}

func (t *Tried) add(member any) {
	if t.n < len(t.members) {
		t.members[t.n] = member
		t.n++
	}
}

func (t *Tried) has(member any) bool {
	for i := range t.n {
		if t.members[i] == member {
			return true
		}
	}
	return false
}

// Attempts returns how often the request has been sent.
func (t *Tried) Attempts() int { return t.n }

// Again reports whether a request that failed with err may be sent once more,
// and after which wait. took is how long its member had it; replayable means that its body, if any, can be read
// again; idempotent that running it twice does no harm (RFC 9110, 9.2.2).
//
// An error whose Unsent() bool is true proves that no worker ran the request:
// it goes again, whatever its method. Otherwise an idempotent request goes again
// once, unless time ran out: a request that kills its worker, or takes longer
// than anybody will wait, must not be spread over the whole pool.
func (o RetryOptions) Again(t *Tried, err error, took time.Duration, idempotent, replayable bool) (wait time.Duration, again bool) {
	attempts := o.Attempts
	if attempts == 0 {
		attempts = DefaultAttempts
	}
	if t.n == 0 || t.n >= attempts || !replayable || errors.Is(err, ErrQueueFull) || errors.Is(err, ErrQueueTimeout) {
		return 0, false // without a slot it has waited long enough, also between two attempts
	}
	if !unsent(err) {
		if !idempotent || t.ran || took > longRun || timeout(err) {
			return 0, false
		}
		t.ran = true
	}
	return retryWait << (t.n - 1), true
}

// longRun is the time after which a worker that gives no answer was rather killed
// for the request (harakiri, memory) than by chance.
const longRun = time.Second

// retryWait is the wait before the second attempt when no other member is left;
// it doubles. A worker that is being replaced refuses for some tens of
// milliseconds.
const retryWait = 50 * time.Millisecond

func unsent(err error) bool {
	var e interface{ Unsent() bool }
	return errors.As(err, &e) && e.Unsent()
}

func timeout(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}
