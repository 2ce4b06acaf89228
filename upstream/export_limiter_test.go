package upstream

import "time"

// Limiter is limiter for black box tests.
type Limiter struct{ l limiter }

func (l *Limiter) Limit() int                             { return l.l.limit() }
func (l *Limiter) Source() string                         { return l.l.source() }
func (l *Limiter) Known(cores int, source string)         { l.l.known(cores, source) }
func (l *Limiter) Sample(now time.Time, busy, unread int) { l.l.sample(now, busy, unread) }
func (l *Limiter) Full(now time.Time, inFlight int)       { l.l.full(now, inFlight) }
func (l *Limiter) Refused(now time.Time)                  { l.l.refused(now) }
func (l *Limiter) Answered(now time.Time, ttfb time.Duration, inFlight int, waiting bool) {
	l.l.answered(now, ttfb, inFlight, waiting)
}
