package subscribe

import (
	"hash/maphash"
	"time"
)

// Signatures are verified so often in a second, for all senders together and for
// those that share a bucket. One of RSA 2048 takes 30 to 80 µs.
const (
	verifiesAll    = 2000
	verifiesSource = 1000
	buckets        = 64
)

// allowance bounds how many signatures are verified. It is not safe for concurrent
// use. It knows senders by a hash, so that no number of them costs memory.
type allowance struct {
	seed    maphash.Seed
	all     bucket
	sources [buckets]bucket
}

func newAllowance() allowance { return allowance{seed: maphash.MakeSeed()} }

// take reports whether one more signature of a sender may be verified.
func (a *allowance) take(from sender, now time.Time) bool {
	b := &a.sources[maphash.Comparable(a.seed, from.source())%buckets]
	return b.take(verifiesSource, now) && a.all.take(verifiesAll, now)
}

// bucket holds what is left of a second's worth. The zero value is full.
type bucket struct {
	used float64
	last time.Time
}

func (b *bucket) take(perSecond float64, now time.Time) bool {
	b.used = max(0, b.used-now.Sub(b.last).Seconds()*perSecond)
	b.last = now
	if b.used+1 > perSecond {
		return false
	}
	b.used++
	return true
}
