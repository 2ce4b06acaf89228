package stats

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
)

// Failure says why an attempt at a pool failed. The set is small and fixed, so
// that it can be a label; String gives the names that upstream/uwsgi gives to
// its kinds, followed by those of the queue.
type Failure uint8

// The kinds of failure.
const (
	FailureOther        Failure = iota // none of the others
	FailureTooLarge                    // the request fits no member's limits
	FailureUnavailable                 // no connection
	FailureTimeout                     // to connect, or to answer
	FailureNoAnswer                    // closed without an answer
	FailureBadAnswer                   // an answer that is not valid
	FailureCut                         // the answer's body ended too early
	FailureBody                        // the request's body could not be read
	FailureCanceled                    // the client went away
	FailureQueueFull                   // no room in the pool's queue
	FailureQueueTimeout                // no slot became free in time
	FailureNoMember                    // the pool had nobody to ask
	FailureAway                        // no member could be reached in time
	FailurePaused                      // the operator's pause was longer than the wait
	FailureDrained                     // the operator has drained every member
	FailureStopping                    // the gateway stopped before there was a slot
	failures                           // how many there are
)

// failureNames has the name of every Failure, by its number.
var failureNames = [failures]string{
	"other", "too_large", "unavailable", "timeout", "no_answer", "bad_answer",
	"cut", "body", "canceled", "queue_full", "queue_timeout", "no_member",
	"away", "paused", "drained", "stopping",
}

// String returns the name that metrics and logs use.
func (f Failure) String() string {
	if f >= failures {
		f = FailureOther
	}
	return failureNames[f]
}

// FailureNamed returns the Failure whose String is name, and FailureOther for a
// name that it does not know: gateway turns the kinds of other packages into
// labels with it.
func FailureNamed(name string) Failure {
	for i, n := range failureNames {
		if n == name {
			return Failure(i)
		}
	}
	return FailureOther
}

// FailureCounter counts failures by kind. The zero value is ready; it may be
// used by any number of goroutines and must not be copied.
type FailureCounter struct {
	counts [failures]atomic.Uint64
}

// Add counts one failure. It allocates nothing.
func (c *FailureCounter) Add(f Failure) {
	if f >= failures {
		f = FailureOther
	}
	c.counts[f].Add(1)
}

// Snapshot returns what was counted so far.
func (c *FailureCounter) Snapshot() Failures {
	var out Failures
	for i := range c.counts {
		out[i] = c.counts[i].Load()
	}
	return out
}

// Failures are numbers by Failure. In JSON they are an object that leaves out
// the zeros.
type Failures [failures]uint64

// Plus returns the sum of f and g.
func (f Failures) Plus(g Failures) Failures {
	for i := range f {
		f[i] += g[i]
	}
	return f
}

// MarshalJSON writes {"timeout":3}.
func (f Failures) MarshalJSON() ([]byte, error) {
	m := make(map[string]uint64)
	for i, n := range f {
		if n > 0 {
			m[failureNames[i]] = n
		}
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON wrote; kinds that a newer headgate wrote
// and this one does not know are added to FailureOther.
func (f *Failures) UnmarshalJSON(b []byte) error {
	var m map[string]uint64
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("failures: %w", err)
	}
	*f = Failures{}
	for name, n := range m {
		f[FailureNamed(name)] += n
	}
	return nil
}
