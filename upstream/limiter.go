package upstream

import (
	"math"
	"time"
)

const (
	limitStart = 64   // while nothing is known: below uWSGI's default backlog of 100 and its cores
	limitMost  = 4096 // of any member, whatever is said or learned
	spareMost  = 32   // requests beyond the cores that are known

	// hiddenWork is how much work may lie in a member's backlog, where neither
	// fairness, priorities nor deadlines reach it.
	hiddenWork = 5 * time.Millisecond

	// spareBelow is the mean service time up to which one request more than
	// there are cores is always sent ahead. Between an answer and the next
	// request lies our own turnaround, 0.1 to 1 ms on a busy machine: 2 % and
	// more of a core's time below this, and not worth a hidden request above.
	spareBelow = 50 * time.Millisecond

	forgetEvery = time.Second // however many requests a restart resets
)

// A limiter says how many requests one member may have in flight when the
// configuration does not. A WSGI member runs as many requests at once as it
// has cores (processes x threads) and leaves the others in its listen backlog;
// the limiter keeps them in our queue, yet never lets a core be idle.
//
// It believes, in this order, what it was told (known), what the kernel shows
// of the member's backlog (sample), and what throughput teaches (answered).
// In doubt it errs upwards: a limit that is too high costs some fairness, one
// that is too low costs throughput.
//
// The zero value knows nothing. Methods neither block nor allocate; the caller
// serialises them.
type limiter struct {
	told    int    // cores by somebody's word; 0: nobody's
	word    string // whose
	kernel  kernelCores
	learned learner
	roof    ceiling
	service serviceTime
	forgot  time.Time // when refused last had an effect
}

// limit returns how many requests may be in flight, between 1 and limitMost.
func (l *limiter) limit() int {
	n := l.learned.allowed()
	if cores := l.cores(); cores > 0 {
		n = cores + l.spare(cores)
	}
	return max(1, min(n, l.roof.below(limitMost), limitMost))
}

// source names what the limit rests on: the word that was given to known,
// "kernel", "learned" or "default".
func (l *limiter) source() string {
	switch {
	case l.told > 0:
		return l.word
	case l.kernel.cores > 0:
		return "kernel"
	case l.learned.limit > 0:
		return "learned"
	}
	return "default"
}

// known sets the exact number of cores; source says who told it ("announced",
// "stats"). 0 takes it back.
func (l *limiter) known(cores int, source string) {
	l.told, l.word = min(max(0, cores), limitMost), source
}

// sample reports what the kernel showed of the requests in flight for at least
// 5 ms: unread lie in the backlog, busy have been read or may have been. It is
// meant to be called some ten times a second while requests wait.
func (l *limiter) sample(now time.Time, busy, unread int) {
	l.kernel.sample(now, busy, unread)
	if l.told == 0 && l.kernel.cores > 0 {
		l.kernel.judge(now, busy, unread)
		if l.spare(l.kernel.cores) == 0 { // nothing sent ahead shows that there are more by now
			l.kernel.try(now)
		}
	}
}

// rise lifts the limit when it is time for that although nothing was answered.
// It returns when to call it next; zero: there is no need.
func (l *limiter) rise(now time.Time) (next time.Time) {
	l.roof.rise(now)
	return l.roof.next()
}

// answered reports that the first byte of an answer came ttfb after its
// request was sent, when inFlight requests, itself included, were in flight.
// waiting says that requests now wait for this member or one like it.
func (l *limiter) answered(now time.Time, ttfb time.Duration, inFlight int, waiting bool) {
	l.roof.rise(now)
	if cores := l.cores(); cores > 0 {
		l.service.add(ttfb, inFlight, cores)
		return
	}
	l.learned.answered(now, ttfb, inFlight, waiting)
}

// full reports that the member's backlog had no room while inFlight other
// requests of ours were in flight.
func (l *limiter) full(now time.Time, inFlight int) {
	l.roof.full(now, inFlight)
}

// refused reports a request that was reset unread: the member restarts, maybe
// with another number of cores, and what was learned of the old one may be
// wrong.
func (l *limiter) refused(now time.Time) {
	if !l.forgot.IsZero() && now.Sub(l.forgot) < forgetEvery {
		return
	}
	l.forgot = now
	l.roof = ceiling{}
	l.kernel.forget()
	l.learned.forget()
	l.service.forget()
}

// cores returns how many cores are known, or 0.
func (l *limiter) cores() int {
	if l.told > 0 {
		return l.told
	}
	return l.kernel.cores
}

// spare returns how many requests more than cores may be sent ahead.
func (l *limiter) spare(cores int) int {
	mean := l.service.mean
	if l.service.seen == 0 {
		return min(cores, spareMost)
	}
	if mean <= float64(hiddenWork)/spareMost {
		return spareMost
	}
	n := int(math.Round(float64(cores) * float64(hiddenWork) / mean))
	if n == 0 && mean <= float64(spareBelow) {
		n = 1
	}
	return min(n, spareMost)
}

// A serviceTime is the moving mean of the time one request keeps a core.
type serviceTime struct {
	mean float64 // nanoseconds
	seen int     // answers behind it, at most serviceMemory
}

// serviceMemory answers make the mean: enough that a rare slow request is not
// forgotten between two of its kind.
const serviceMemory = 128

// add counts one answer. Little's law takes the wait in the backlog out of the
// time to the first byte: with n > cores in flight, a request is served for
// cores/n of it.
func (s *serviceTime) add(ttfb time.Duration, inFlight, cores int) {
	t := float64(max(0, ttfb))
	if inFlight > cores {
		t *= float64(cores) / float64(inFlight)
	}
	s.seen = min(s.seen+1, serviceMemory)
	s.mean += (t - s.mean) / float64(s.seen)
}

// forget lets the next few answers outweigh the past.
func (s *serviceTime) forget() {
	s.seen = min(s.seen, 8)
}
