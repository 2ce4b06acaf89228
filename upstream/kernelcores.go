package upstream

import "time"

const (
	kernelWindow  = 5 * time.Second // two of them make the recent past
	kernelSamples = 10              // with a backlog, at least, in each
	kernelFirst   = 3               // before the first is believed
)

// kernelCores counts a member's cores by what the kernel shows of its backlog.
// While a request lies there unread every core is busy, and what is read and
// not answered is on a core: cores = busy. Workers that restart make fewer for
// a moment, so the most that was seen recently counts.
type kernelCores struct {
	cores  int       // 0: not known yet
	most   int       // busy in this window
	before int       // busy in the window before
	seen   int       // samples with a backlog in this window
	since  time.Time // begin of this window
}

// sample counts one look at the kernel.
func (k *kernelCores) sample(now time.Time, busy, unread int) {
	if k.cores > 0 && busy > k.cores {
		k.cores = min(busy, limitMost)
		if unread == 0 { // nobody waits there: maybe more cores yet
			k.cores = min(busy+busy/2, limitMost)
		}
	}
	k.most = max(k.most, busy)
	if unread == 0 || busy == 0 { // not saturated, or nobody there
		return
	}
	k.seen++
	switch {
	case k.cores == 0 && k.seen >= kernelFirst:
		k.cores = min(k.most, limitMost)
		k.since = now
	case k.cores > 0 && k.seen >= kernelSamples && now.Sub(k.since) >= kernelWindow:
		k.shrink(now)
	}
}

// shrink begins a new window, and follows the most of the last two downwards,
// by a quarter at a time.
func (k *kernelCores) shrink(now time.Time) {
	if top := max(k.most, k.before); top < k.cores {
		k.cores = max(top, k.cores-max(1, k.cores/4))
	}
	k.before, k.most, k.seen, k.since = k.most, 0, 0, now
}

// forget drops the evidence and keeps the number until there is new evidence.
func (k *kernelCores) forget() {
	k.before, k.most, k.seen = 0, 0, 0
}
