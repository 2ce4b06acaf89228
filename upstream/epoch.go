package upstream

import (
	"math"
	"time"
)

const (
	epochTime  = 250 * time.Millisecond // at least
	epochBatch = 10                     // answers
	epochShort = 100                    // answers of the shortest epoch
	epochLong  = 500                    // answers of the longest
	epochNoise = 0.04                   // standard error of the rate that ends it before that
)

// An epoch is a measurement under one limit: it counts answers from the first
// to a request that was sent under this limit. It lasts until their rate is
// known well. The zero value waits for any answer.
type epoch struct {
	after    time.Time // when the limit was set
	start    time.Time // zero: still waiting
	last     time.Time
	answers  int
	sum      time.Duration // of the times to first byte
	inFlight int           // sum

	batch   time.Time // begin of this batch
	squares float64   // of the seconds that each batch took
}

// add counts one answer and reports whether the epoch is complete.
func (e *epoch) add(now time.Time, ttfb time.Duration, inFlight int) bool {
	if e.start.IsZero() {
		if now.Sub(e.after) >= ttfb {
			e.start, e.last, e.batch = now, now, now
		}
		return false
	}
	e.last = now
	e.answers++
	e.sum += ttfb
	e.inFlight += inFlight
	if e.answers%epochBatch > 0 {
		return false
	}
	t := now.Sub(e.batch).Seconds()
	e.batch = now
	e.squares += t * t
	if e.answers < epochShort || e.seconds() < epochTime.Seconds() {
		return false
	}
	return e.answers >= epochLong || e.variance() <= epochNoise*epochNoise*float64(e.answers)
}

// seconds returns how long the epoch is by now.
func (e *epoch) seconds() float64 {
	return max(e.last.Sub(e.start), time.Microsecond).Seconds()
}

// rate returns the answers per second of an epoch with answers.
func (e *epoch) rate() float64 {
	return float64(e.answers) / e.seconds()
}

// variance returns the square of the relative standard error that the rate of
// a single answer would have; that of n answers is an n-th of it.
func (e *epoch) variance() float64 {
	n := float64(max(1, e.answers/epochBatch))
	mean := e.seconds() / n
	return math.Max(0, e.squares/n/(mean*mean)-1) * epochBatch
}

// ttfb returns the mean time to first byte of an epoch with answers.
func (e *epoch) ttfb() time.Duration {
	return e.sum / time.Duration(e.answers)
}

// cores returns how many requests were on a core on average: those in flight
// less those in the backlog, which by Little's law are the rate times the wait.
func (e *epoch) cores(service time.Duration) float64 {
	backlog := e.rate() * (e.ttfb() - service).Seconds()
	return float64(e.inFlight)/float64(e.answers) - max(0, backlog)
}
