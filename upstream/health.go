package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// EjectOptions say when a member that answers badly is left alone for a while.
// The zero value is 5 failures in a row, for 5 s at first.
type EjectOptions struct {
	Failures int           `yaml:"failures"` // in a row that eject a member (5); off: none is ever ejected
	Time     time.Duration `yaml:"time"`     // of the first ejection (5s); each further one is twice as long, up to 5 min
}

// Defaults of EjectOptions.
const (
	DefaultEjectFailures = 5
	DefaultEjectTime     = 5 * time.Second
)

// ejectTimeMost is what ejections double up to.
const ejectTimeMost = 5 * time.Minute

// Validate reports every mistake; each message begins with its key in Options.
func (o EjectOptions) Validate() error {
	var errs []error
	if o.Failures > 1000 {
		errs = append(errs, fmt.Errorf("eject.failures: %d is out of range: write a number from 1 to 1000, or off", o.Failures))
	}
	if o.Time < 0 || o.Time > ejectTimeMost {
		errs = append(errs, fmt.Errorf("eject.time: %s is out of range: write a duration such as 5s, of at most %s", o.Time, ejectTimeMost))
	}
	return errors.Join(errs...)
}

func (o EjectOptions) withDefaults() EjectOptions {
	setDefault(&o.Failures, DefaultEjectFailures)
	setDefault(&o.Time, DefaultEjectTime)
	return o
}

// fault is what was wrong with an exchange.
type fault uint8

const (
	faultHard   fault = iota // no answer, one cut short, none that can be read, none in time
	faultAnswer              // the app's answer is a server error (5xx)
)

// healthState is what a member may be used for.
type healthState uint8

const (
	healthFit     healthState = iota
	healthEjected             // until its time is over
	healthTrial               // for one request at a time, until one is answered well
)

// health is what the outcomes of requests say of one member. The zero value is
// fit. It is not safe for concurrent use: the pool's lock guards it.
type health struct {
	row       int           // hard failures in a row
	ejections int           // so far
	out       bool          // ejected or in trial
	trying    bool          // the trial is under way
	since     time.Time     // out: of the ejection; otherwise of the return
	length    time.Duration // of the latest ejection
	term      time.Duration // the same without its jitter, less what is forgiven
	ramp      time.Duration // how long slow start takes; 0: there is none
	recent    window
}

// begin notes that a request was given to the member. In trial that is the trial.
func (h *health) begin(now time.Time) {
	if h.state(now) == healthTrial {
		h.trying = true
	}
}

// succeeded notes an answer that is no server error. In trial the member is fit
// again; slow start is for the caller to begin, by back.
func (h *health) succeeded(now time.Time) {
	h.row = 0
	if h.state(now) == healthTrial {
		h.back(now, -1)
	}
	h.recent.add(now, false)
}

// failed notes a failure. Whether that is enough to eject the member is for judge
// to say.
func (h *health) failed(now time.Time, f fault) {
	h.trying = false
	if f == faultHard {
		h.row++
	} else {
		h.row = 0 // somebody is there and answers, if only that the app is broken
	}
	h.recent.add(now, true)
}

// abandoned notes the end of a request that says nothing of the member: in trial
// another one may be tried.
func (h *health) abandoned() { h.trying = false }

// stale reports whether a request that began at the given time says nothing of
// the member as it is now: it was sent before the latest ejection or return.
// What was under way when a member was ejected fails for the same reason, maybe
// much later, and must neither count as its trial nor eject it once more.
func (h *health) stale(begun time.Time) bool { return begun.Before(h.since) }

// state says what the member may be used for.
func (h *health) state(now time.Time) healthState {
	switch {
	case !h.out:
		return healthFit
	case now.Before(h.until()):
		return healthEjected
	}
	return healthTrial
}

// until returns the end of the ejection, which may be over; zero for a fit member.
func (h *health) until() time.Time {
	if !h.out {
		return time.Time{}
	}
	return h.since.Add(h.length)
}

// mayTry reports whether nothing keeps a request from the member: it is fit, or
// in trial with no trial under way.
func (h *health) mayTry(now time.Time) bool {
	s := h.state(now)
	return s == healthFit || s == healthTrial && !h.trying
}

// eject leaves the member alone for twice as long as last time, give or take a
// tenth: members that failed together are not tried together.
func (h *health) eject(now time.Time, o EjectOptions) {
	o = o.withDefaults()
	if !h.out {
		h.forgive(now.Sub(h.since), o.Time)
	}
	h.ejections++
	h.term = max(o.Time, min(2*h.term, ejectTimeMost))
	h.length = h.term*9/10 + rand.N(h.term/5+1)
	h.out, h.trying, h.since, h.ramp = true, false, now, 0
}

// forgiveAfter times its last ejection is how long a member must have been fit
// for that to count half. One that lasts that long is left alone for a tenth of
// its time at most, however often it goes bad; one that does not is left alone
// longer and longer.
const forgiveAfter = 10

func (h *health) forgive(fit, first time.Duration) {
	for h.term > 0 && fit >= forgiveAfter*h.term {
		fit -= forgiveAfter * h.term
		if h.term /= 2; h.term < first {
			h.term = 0
		}
	}
}

// back puts the member into service, with a share that grows over slowStart (0:
// DefaultSlowStart; below 0: it has all of it at once). It ends an ejection: who
// calls it knows better. What was counted is over, but a next ejection is still
// the longer for those before.
func (h *health) back(now time.Time, slowStart time.Duration) {
	setDefault(&slowStart, DefaultSlowStart)
	h.row, h.out = 0, false
	h.since, h.ramp = now, max(slowStart, 0)
	h.recent = window{}
}

// shareFirst is the share that slow start begins with: enough to warm up by.
const shareFirst = 0.1

// share is the part of its usual load that the member should have now: 1, and in
// slow start less.
func (h *health) share(now time.Time) float64 {
	if !h.ramping(now) {
		return 1
	}
	done := float64(now.Sub(h.since)) / float64(h.ramp)
	return shareFirst + (1-shareFirst)*max(done, 0)
}

// ramping reports whether the member is in slow start.
func (h *health) ramping(now time.Time) bool {
	return h.ramp > 0 && now.Sub(h.since) < h.ramp
}

// errorRate is the part of the requests of the last 10 s that failed, server
// errors included; 0 when there was none.
func (h *health) errorRate(now time.Time) float64 {
	h.recent.advance(now)
	if h.recent.sum.all == 0 {
		return 0
	}
	return float64(h.recent.sum.bad) / float64(h.recent.sum.all)
}

// judge decides, after a failure of h, whether it is to be ejected. all are the
// members that are there, h among them: none that is drained or away.
//
// At most half of them are out at a time, in trial included, so that one is
// always left, and a single one is never ejected. Within that a member goes when
// it failed o.Failures times in a row, when it is much worse than the others, or
// when its trial failed. In trial, false means that h is to be taken back: it
// answers, and no worse than the others, or they need it.
func judge(now time.Time, o EjectOptions, all []*health, h *health) bool {
	o = o.withDefaults()
	if o.Failures < 0 || !spare(all, h) {
		return false
	}
	switch h.state(now) {
	case healthEjected:
		return false
	case healthTrial:
		return h.row > 0 || worse(tally{all: 1, bad: 1}, peers(now, all, h))
	}
	if h.row >= o.Failures {
		return true
	}
	own := h.recent.sum
	if own.all < judgeFrom || 2*own.bad < own.all {
		return false
	}
	others := peers(now, all, h)
	return others.all >= judgeFrom && worse(own, others) && certain(own, others)
}

// spare reports whether the members can do without h.
func spare(all []*health, h *health) bool {
	out := 1
	for _, p := range all {
		if p != h && p.out {
			out++
		}
	}
	return out <= len(all)/2
}

// peers sums up what the other members that are fit did lately. One that is out
// is no measure: beside it anybody looks good.
func peers(now time.Time, all []*health, h *health) (sum tally) {
	for _, p := range all {
		if p != h && !p.out {
			p.recent.advance(now)
			sum.all += p.recent.sum.all
			sum.bad += p.recent.sum.bad
		}
	}
	return sum
}

// What it takes to be judged by the rate of errors. With half of its requests
// failed a member is worse than its peers by thrice only if of theirs no third
// failed: a bad release, of which all of them fail, ejects nobody. What is left
// is chance, for judge is asked after each failure: of two members that both fail
// 3 to 4 of 10, at 2.5 requests a second, it would eject one every ten minutes,
// and with the distance asked for one in several hours (simulated).
const (
	judgeFrom     = 20 // requests in the window, of the member and of its peers
	judgeTimes    = 3  // the rate of the peers together
	judgeDistance = 4  // standard deviations between both rates
)

// worse reports whether own errors are far more frequent than those of others.
func worse(own, others tally) bool {
	return own.bad*others.all >= judgeTimes*others.bad*own.all
}

// certain reports whether chance hardly explains how own and others differ: the
// two-proportion z-test. Neither may be empty.
func certain(own, others tally) bool {
	n, m := float64(own.all), float64(others.all)
	distance := float64(own.bad)/n - float64(others.bad)/m
	rate := float64(own.bad+others.bad) / (n + m)
	return distance*distance >= judgeDistance*judgeDistance*rate*(1-rate)*(1/n+1/m)
}

// tally counts requests.
type tally struct{ all, bad int }

const (
	windowBuckets = 10
	bucketTime    = time.Second
)

// window counts requests of the last 10 s, to the second. The zero value is empty.
type window struct {
	begin   time.Time // of the newest bucket
	newest  int
	buckets [windowBuckets]tally
	sum     tally // of all buckets
}

func (w *window) add(now time.Time, bad bool) {
	w.advance(now)
	b := &w.buckets[w.newest]
	b.all++
	w.sum.all++
	if bad {
		b.bad++
		w.sum.bad++
	}
}

// advance drops what is too old. A time before that of an earlier call, as those
// that wait for the lock have, counts as that.
func (w *window) advance(now time.Time) {
	over := now.Sub(w.begin)
	if over < bucketTime {
		return
	}
	if over >= windowBuckets*bucketTime {
		*w = window{begin: now}
		return
	}
	for ; over >= bucketTime; over -= bucketTime {
		w.begin = w.begin.Add(bucketTime)
		w.newest = (w.newest + 1) % windowBuckets
		b := &w.buckets[w.newest]
		w.sum.all -= b.all
		w.sum.bad -= b.bad
		*b = tally{}
	}
}
