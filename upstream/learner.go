package upstream

import "time"

const (
	probeEvery = 10 * time.Second // of saturation, at least
	probeCost  = 20               // and so many times as long as the last probe went without cores

	learnedSpare     = 4 // above twice the cores
	learnedSpareMost = 32

	rateFell = 0.85 // of the throughput before: cores are idle now
	rateRose = 1.05 // cores were idle before
)

// A learner finds a member's cores from outside, by what it does under load.
// It works only while requests wait in our queue, and measures in epochs.
//
//   - A probe halves the limit, again and again, until throughput falls, and
//     rises again at twice that limit. Then cores were idle and nobody waited
//     in the backlog, which tells the cores (by how much throughput fell) and
//     the service time (the time to first byte there). The limit becomes twice
//     the cores and a few: room for errors of both.
//   - The next probe ends sooner, and costs nothing, if halving brings the
//     time to first byte down to the service time that was found before.
//   - Between probes, Little's law counts the backlog: answers a second times
//     (time to first byte - service time). Where it is empty although requests
//     wait here, the limit grows by half, as long as throughput does too.
//
// A fall of less than 15 % does not count: uneven requests make one of a few
// percent by chance, and a limit that is a little too low is found out when it
// is halved again.
type learner struct {
	limit   int           // 0: limitStart, nothing learned yet
	service time.Duration // without any wait; 0: not known
	from    int           // the limit before the probe that is under way; 0: none
	next    time.Time     // earliest next probe
	epoch   epoch

	rate     float64 // answers a second to be held in the probe
	variance float64 // of it, for one answer
	low      low     // of the probe, to be confirmed
	raised   float64 // answers a second before the limit was raised; 0: it was not
}

// A low is an epoch in which throughput seemed to have fallen. The zero value
// is none.
type low struct {
	limit int
	rate  float64
	ttfb  time.Duration
	cost  time.Duration // how long the limit was that low
}

// allowed returns the limit now.
func (l *learner) allowed() int {
	if l.limit == 0 {
		return limitStart
	}
	return l.limit
}

// answered counts one answer.
func (l *learner) answered(now time.Time, ttfb time.Duration, inFlight int, waiting bool) {
	if !waiting {
		l.interrupt(now)
		return
	}
	if !l.epoch.add(now, ttfb, inFlight) && !l.lost(now) {
		return
	}
	if l.from > 0 {
		l.probed(now)
	} else {
		l.measured(now)
	}
}

// lost reports that a probe has gone too low, before its epoch is complete: by
// four standard errors fewer answers than expected.
func (l *learner) lost(now time.Time) bool {
	e := &l.epoch
	if l.from == 0 || l.low.limit > 0 || e.answers == 0 {
		return false
	}
	want := l.rate * now.Sub(e.start).Seconds()
	lack := 1 - float64(e.answers)/want
	return lack > 1-rateFell && lack*lack*want > 16*max(l.variance, 0.25) && e.seconds() >= epochTime.Seconds()
}

// measured judges an epoch at the usual limit.
func (l *learner) measured(now time.Time) {
	limit, rate := l.allowed(), l.epoch.rate()
	if rate < rateRose*l.raised {
		l.service = 0 // it was wrong; no more of that until a probe has measured it
	}
	l.raised = 0
	switch {
	case l.service > 0 && l.epoch.cores(l.service) > 0.9*float64(limit):
		l.raised = rate
		l.set(now, limit+max(4, limit/2))
	case !now.Before(l.next):
		l.from = limit
		l.descend(now, rate, limit/2)
	default:
		l.epoch = epoch{}
	}
}

// probed judges an epoch of a probe.
func (l *learner) probed(now time.Time) {
	rate, ttfb := l.epoch.rate(), l.epoch.ttfb()
	switch {
	case l.low.limit > 0:
		l.doubted(now, rate)
	case rate < rateFell*l.rate:
		l.low = low{limit: l.limit, rate: rate, ttfb: ttfb, cost: now.Sub(l.epoch.after)}
		l.set(now, 2*l.limit)
	case l.limit == 1:
		l.service = ttfb
		l.settle(now, 1, 0)
	case 10*ttfb >= 9*l.service && 2*ttfb <= 3*l.service:
		l.settle(now, l.epoch.cores(l.service), 0)
	default:
		l.descend(now, rate, l.limit/2)
	}
}

// doubted judges an epoch at twice the limit at which throughput seemed to fall.
// If it does not rise there, it was chance, and the probe goes on.
func (l *learner) doubted(now time.Time, rate float64) {
	fell := l.low
	l.low = low{}
	if fell.rate >= rateFell*rate {
		l.descend(now, rate, fell.limit)
		return
	}
	l.service = fell.ttfb
	l.settle(now, float64(fell.limit)*rate/fell.rate, fell.cost)
}

// descend tries a lower limit next, against the rate of now.
func (l *learner) descend(now time.Time, rate float64, limit int) {
	l.rate, l.variance = rate, l.epoch.variance()
	l.set(now, limit)
}

// settle ends a probe that found cores and was without some for lost.
func (l *learner) settle(now time.Time, cores float64, lost time.Duration) {
	n := int(min(max(1, cores), limitMost) + 0.5)
	n += min(n, learnedSpareMost) + learnedSpare
	l.next = now.Add(max(probeEvery, probeCost*lost))
	n = min(n, max(l.from, limitStart)) // above that only by the backlog's being empty
	l.from = 0
	l.set(now, n)
}

// set changes the limit and begins to measure it.
func (l *learner) set(now time.Time, limit int) {
	l.limit = min(max(1, limit), limitMost)
	l.epoch = epoch{after: now}
}

// interrupt ends what depends on saturation.
func (l *learner) interrupt(now time.Time) {
	if l.from > 0 {
		l.limit, l.from, l.low = l.from, 0, low{}
		l.next = now.Add(epochTime)
	}
	l.epoch, l.raised = epoch{}, 0
}

// forget makes room for more cores than were found, and for a probe soon.
func (l *learner) forget() {
	l.limit = max(l.limit, l.from)
	if l.limit > 0 {
		l.limit = max(l.limit, min(2*l.limit, limitStart))
	}
	*l = learner{limit: l.limit}
}
