package stats

import (
	"sync/atomic"
	"time"
)

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
// caller fills in what counters cannot know.
func (c *MemberCounters) Snapshot(address string) Member {
	return Member{
		Address:  address,
		Requests: c.requests.Load(),
		InFlight: c.inFlight.Load(),
		Failures: c.failures.Snapshot(),
	}
}

// Member are the numbers of one member, and how it fares.
type Member struct {
	Address  string    `json:"address"`
	Dialect  string    `json:"dialect,omitempty"` // uwsgi, gunicorn or http; "" while it is not known
	State    string    `json:"state,omitempty"`   // up, away, checking, failing, ejected, trial, drained or leaving
	Cause    string    `json:"cause,omitempty"`   // of a state other than up, where there is one
	Since    time.Time `json:"since,omitzero"`    // of being away
	Until    time.Time `json:"until,omitzero"`    // of being ejected
	Slots    int       `json:"slots,omitempty"`   // requests that it runs at once; 0: not known
	Limit    int       `json:"limit,omitempty"`   // requests in flight that are allowed now
	Known    string    `json:"known,omitempty"`   // who says how many slots there are: config, announced, stats, kernel, learned or default
	Weight   int       `json:"weight,omitempty"`
	Backup   bool      `json:"backup,omitempty"` // used only while no other is fit
	Share    float64   `json:"share,omitempty"`  // of what it gets at full strength; below 1 in slow start
	Load     *Load     `json:"load,omitempty"`   // of its own statistics; nil: none were read
	Requests uint64    `json:"requests"`

	Aways     uint64 `json:"aways"`     // times that it could not be connected to any more
	Ejections uint64 `json:"ejections"` // times that it was ejected

	InFlight int64    `json:"in_flight"`
	Failures Failures `json:"failures"`
}

// The states of a member that others than package upstream, which names them all,
// decide on.
const (
	MemberUp      = "up"      // nothing speaks against it
	MemberTrial   = "trial"   // one request at a time decides whether it is up again
	MemberDrained = "drained" // by the operator
	MemberLeaving = "leaving" // not a member any more, with requests under way
)

// Load is what a member says of itself, as uWSGI does in its statistics.
type Load struct {
	Slots     int `json:"slots"`     // processes times threads
	Accepting int `json:"accepting"` // slots that take requests at the moment
	Busy      int `json:"busy"`      // slots that run one
	Queued    int `json:"queued"`    // connections in its listen queue; unix sockets never tell
}
