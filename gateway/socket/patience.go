package socket

import (
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long the calls of one direction may wait. The deadline of the
// connection below is armed when a call waits, and stays armed: if it fires before
// the wanted time it is armed anew, so calls that wait often for less than their
// timeout do not touch it. Moments are nanoseconds since born, 0 is never, and
// less is a time that was over when it was set.
type patience struct {
	below net.Conn
	write bool // which deadline of below it is
	born  time.Time

	call  sync.Mutex // held by the one call of this direction
	since int64      // guarded by call: when its wait began; 0: it has not waited

	deadline atomic.Int64 // written with mu held
	timeout  atomic.Int64
	waiting  atomic.Bool // a call waits; set with mu held

	mu    sync.Mutex // guards the field below
	armed int64      // the deadline that below has, unless it has fired
}

// past is the moment of a deadline that was over when it was set.
const past = -1

func (p *patience) now() int64 { return int64(time.Since(p.born)) + 1 }

// begin starts a call, when the one before it has ended. It reports whether it may
// go on: no deadline has passed. The call ends with done in either case.
func (p *patience) begin() bool {
	p.call.Lock()
	p.since = 0
	return p.inTime()
}

// inTime reports whether no deadline has passed.
func (p *patience) inTime() bool {
	d := p.deadline.Load()
	return d == 0 || d > 0 && p.now() < d
}

// wait makes below's deadline fire in time for a call that is about to wait. It
// reports false if the call has waited long enough.
func (p *patience) wait() bool {
	now := p.now()
	if p.since == 0 {
		p.since = now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	want := p.want()
	switch {
	case want == 0:
	case want <= now:
		return false
	case p.armed == 0 || p.armed > want:
		p.armLocked(want) // its only error is of a connection that was closed
	}
	p.waiting.Store(true)
	return true
}

// fired looks whether a deadline of below that has fired is the one that is
// wanted now. If not, it is armed anew and the call may go on.
func (p *patience) fired() (goOn bool) {
	now := p.now()
	if p.since == 0 {
		p.since = now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = 0
	want := p.want()
	if want != 0 && want <= now {
		return false
	}
	return p.armLocked(want) == nil
}

// done ends a call.
func (p *patience) done() {
	if p.waiting.Load() {
		p.waiting.Store(false)
	}
	p.call.Unlock()
}

// progress begins the timeout again.
func (p *patience) progress() { p.since = 0 }

// want is the moment at which the call that waits ends; 0: never.
func (p *patience) want() int64 {
	d := p.deadline.Load()
	if t := p.timeout.Load(); t > 0 {
		if end := after(p.since, t); d == 0 || end < d {
			return end
		}
	}
	return d
}

// after adds without overflow.
func after(moment, d int64) int64 {
	if moment > math.MaxInt64-d {
		return math.MaxInt64
	}
	return moment + d
}

func (p *patience) armLocked(moment int64) error {
	p.armed = moment
	var t time.Time
	if moment != 0 {
		t = p.born.Add(time.Duration(moment - 1))
	}
	if p.write {
		return p.below.SetWriteDeadline(t)
	}
	return p.below.SetReadDeadline(t)
}

func (p *patience) setTimeout(d time.Duration) { p.timeout.Store(int64(max(d, 0))) }

// setDeadline takes effect at once on a call that waits.
func (p *patience) setDeadline(t time.Time) error {
	moment := p.moment(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline.Store(moment)
	if moment == 0 || !p.waiting.Load() || p.armed != 0 && p.armed <= moment {
		return nil // what is armed fires in time, or the next call looks
	}
	return p.armLocked(moment)
}

func (p *patience) moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	left := time.Until(t)
	if left <= 0 {
		return past
	}
	return after(p.now(), int64(left))
}
