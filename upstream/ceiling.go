package upstream

import "time"

const (
	ceilingPause    = time.Second     // between two steps up
	ceilingPauseMax = 8 * time.Second // a full backlog costs a connect, a low limit costs throughput
)

// A ceiling is where a member's backlog was last full. It rises by an eighth
// every second, and begins to after a pause that doubles each time when that
// was too much again at about the same place. The zero value is no ceiling.
type ceiling struct {
	at    int           // 0: none
	place int           // where it was full
	since time.Time     // last time it was full or rose
	risen bool          // since it was full
	pause time.Duration // before it first rises
}

// below returns the ceiling, or most if there is none.
func (c *ceiling) below(most int) int {
	if c.at == 0 {
		return most
	}
	return c.at
}

// full lowers the ceiling to inFlight, but not below 1.
func (c *ceiling) full(now time.Time, inFlight int) {
	at := min(max(1, inFlight), c.below(limitMost))
	switch {
	case c.at == 0:
		c.pause = ceilingPause
	case c.risen && at >= c.place-c.place/8-1: // again
		c.pause = min(2*c.pause, ceilingPauseMax)
	case c.risen:
		c.pause = ceilingPause
	}
	c.at, c.place, c.since, c.risen = at, at, now, false
}

// rise lifts the ceiling when its pause has passed, and drops it when it is
// far above the place where the backlog was full.
func (c *ceiling) rise(now time.Time) {
	if c.at == 0 || now.Before(c.next()) {
		return
	}
	c.at, c.since, c.risen = c.at+max(1, c.at/8), now, true
	if c.at > 2*c.place+limitStart {
		*c = ceiling{}
	}
}

// next returns when the ceiling rises next; zero when there is none.
func (c *ceiling) next() time.Time {
	switch {
	case c.at == 0:
		return time.Time{}
	case c.risen:
		return c.since.Add(ceilingPause)
	}
	return c.since.Add(c.pause)
}
