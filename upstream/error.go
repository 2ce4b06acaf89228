package upstream

import (
	"errors"
	"time"
)

// The ways in which no slot was had. All are worth a 503 with Retry-After. All
// come after a wait, but for ErrQueueFull, and ErrNoMembers when waiting is no use.
var (
	ErrQueueFull    = errors.New("upstream: queue is full")
	ErrQueueTimeout = errors.New("upstream: no slot became free in time")
	ErrAway         = errors.New("upstream: no member could be reached in time")
	ErrPaused       = errors.New("upstream: the pool was paused for too long")
	ErrDrained      = errors.New("upstream: every member is drained")
	ErrNoMembers    = errors.New("upstream: pool has no members")
)

// WaitError is the error of a request that got no slot. errors.Is finds its
// Reason, and errors.As what lies behind it.
type WaitError struct {
	Reason     error         // one of the above
	Waited     time.Duration // in all attempts together
	RetryAfter time.Duration // when it is worth to ask again, by what the pool knows; whole seconds, at least 1
	Member     string        // with ErrAway: the member that Err is of
	Err        error         // why it could not be reached; with ErrNoMembers: why there is nobody; or nil
}

// Error implements error.
func (e *WaitError) Error() string {
	s := e.Reason.Error()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns reason and cause.
func (e *WaitError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// What errors of transports say of themselves. The packages agree on methods:
// none imports the other for it.

// unsent: no worker can have run the request.
func unsent(err error) bool {
	var e interface{ Unsent() bool }
	return errors.As(err, &e) && e.Unsent()
}

// timeout: time ran out.
func timeout(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}

// away: no connection was had, since the member is not there; waiting may help.
func away(err error) bool {
	var e interface{ Away() bool }
	return errors.As(err, &e) && e.Away()
}

// full: the member's listen backlog is full.
func full(err error) bool {
	var e interface{ Full() bool }
	return errors.As(err, &e) && e.Full()
}

// blameless: it says nothing of the member, such as a client that went away.
func blameless(err error) bool {
	var e interface{ Blameless() bool }
	return errors.As(err, &e) && e.Blameless()
}
