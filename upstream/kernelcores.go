package upstream

import "time"

const (
	kernelWindow  = 5 * time.Second  // two of them make the recent past
	kernelSamples = 10               // with a backlog, at least, in each
	kernelFirst   = 3                // before the first is believed
	kernelTight   = 10               // with all cores busy before more are tried, and with a backlog before that was too much
	kernelPause   = 2 * kernelWindow // after a try that was too much
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

	tight int       // samples in which all cores were busy and nobody waited there, less those in which one was idle
	base  int       // cores before more were tried; 0: they were not, or that is decided
	shown int       // the most that were busy since
	over  int       // samples with a backlog since
	tried time.Time // when a try was last found to be too much
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

// judge takes back a try that was too much: what is beyond the cores lies unread.
func (k *kernelCores) judge(now time.Time, busy, unread int) {
	switch {
	case unread > 0:
		k.tight = 0
		k.over++
	case busy >= k.cores:
		k.tight++
	default:
		k.tight = max(0, k.tight-1)
	}
	if k.shown = max(k.shown, busy); k.base > 0 && k.over >= kernelTight {
		k.cores = min(k.cores, max(k.base, k.shown))
		k.base, k.tried = 0, now
	}
}

// try raises the number by a quarter, or by half after a try that was right, when all cores have been busy for a while
// and nobody waited there. Without a request sent ahead nothing else shows that
// there are more than were counted, as while they start one by one.
func (k *kernelCores) try(now time.Time) {
	if k.tight >= kernelTight && now.Sub(k.tried) >= kernelPause {
		step := k.cores / 4
		if k.base > 0 { // the last try was right: there may be many more
			step = k.cores / 2
		}
		k.base, k.shown, k.over, k.tight = k.cores, 0, 0, 0
		k.cores = min(k.cores+max(1, step), limitMost)
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
	k.tight, k.base, k.tried = 0, 0, time.Time{}
}
