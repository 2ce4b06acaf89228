package stats

import (
	"sync/atomic"
	"time"
)

// buckets is the number of finite upper bounds; one more bucket has no bound.
const buckets = 14

// bounds are the upper bounds of the buckets, in the order of the buckets. They
// reach from a static file to the longest timeouts that people configure.
var bounds = [buckets]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	30 * time.Second, time.Minute,
}

// Histogram counts durations in fixed buckets. The zero value is empty and
// ready; every method may be called by any number of goroutines at once, takes
// no lock and allocates nothing. It must not be copied.
type Histogram struct {
	counts [buckets + 1]atomic.Uint64
	micros atomic.Uint64 // microseconds: nanoseconds of 10000 requests at a time would overflow in weeks
}

// Observe counts d; a negative d (a clock that was set back) counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < buckets && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(uint64(d / time.Microsecond))
}

// Count returns how many durations were observed.
func (h *Histogram) Count() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Snapshot returns what was counted so far.
func (h *Histogram) Snapshot() Distribution {
	d := Distribution{Buckets: make([]Bucket, buckets)}
	for i := range buckets {
		d.Count += h.counts[i].Load()
		d.Buckets[i] = Bucket{LE: bounds[i].Seconds(), Count: d.Count}
	}
	d.Count += h.counts[buckets].Load()
	d.Sum = float64(h.micros.Load()) / 1e6
	return d
}

// Distribution is what a Histogram counted. The zero value is empty.
type Distribution struct {
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum_seconds"`
	Buckets []Bucket `json:"buckets"` // ascending; the bucket without a bound is Count
}

// Bucket says how many observations were at most LE seconds long.
type Bucket struct {
	LE    float64 `json:"le"`
	Count uint64  `json:"count"`
}

// Quantile estimates the value in seconds below which the share q (0 to 1) of
// the observations lies, by interpolation within a bucket. It is 0 when nothing
// was observed, and the highest bound when the share lies above it.
func (d Distribution) Quantile(q float64) float64 {
	rank := q * float64(d.Count)
	low, below := 0.0, uint64(0)
	for _, b := range d.Buckets {
		if b.Count > below && float64(b.Count) >= rank {
			return low + (b.LE-low)*(rank-float64(below))/float64(b.Count-below)
		}
		low, below = b.LE, b.Count
	}
	if d.Count == 0 {
		return 0
	}
	return low
}
