package stats

import "sync/atomic"

// MemberCounters count the requests of one member. The zero value is ready;
// every method may be called by any number of goroutines at once and allocates
// nothing. They must not be copied.
type MemberCounters struct {
	requests atomic.Uint64
	inFlight atomic.Int64
	failures FailureCounter
}

// Begin counts a request that is handed to the member. Each needs one End.
func (c *MemberCounters) Begin() {
	c.requests.Add(1)
	c.inFlight.Add(1)
}

// End counts that the member's slot is free again.
func (c *MemberCounters) End() { c.inFlight.Add(-1) }

// Fail counts a failure at this member.
func (c *MemberCounters) Fail(f Failure) { c.failures.Add(f) }

// Snapshot returns what was counted so far, under the member's address. The
// caller fills in what counters cannot know: dialect, state and slots.
func (c *MemberCounters) Snapshot(address string) Member {
	return Member{
		Address:  address,
		Requests: c.requests.Load(),
		InFlight: c.inFlight.Load(),
		Failures: c.failures.Snapshot(),
	}
}

// Member are the numbers of one member.
type Member struct {
	Address  string   `json:"address"`
	Dialect  string   `json:"dialect,omitempty"` // uwsgi or gunicorn; "" while it is not known
	State    string   `json:"state,omitempty"`   // as package upstream names it
	Slots    int      `json:"slots,omitempty"`   // 0: not known, or no cap
	Requests uint64   `json:"requests"`
	InFlight int64    `json:"in_flight"`
	Failures Failures `json:"failures"`
}
