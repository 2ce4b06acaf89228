package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	patience     = 5 * time.Second // for answers after the last request was sent
	rateMaxTotal = 50_000_000      // requests of one run: 16 bytes are remembered of each

	prSetTimerSlack = 29 // prctl: how late the kernel may wake a thread, 50 µs unless told
)

// A shooter sends requests that are due. fire does not wait for an answer, and
// is called by one goroutine.
type shooter interface {
	fire(i int)
	close()
}

// A schedule is an open load: the i-th request is due at i times the interval,
// whatever has become of those before it.
type schedule struct {
	interval float64 // nanoseconds
	start    time.Time
	sent     []time.Duration // when each was sent, from the start; the sender's
	took     []atomic.Int64  // nanoseconds from when it was due to its answer; 0 before that
	errors   atomic.Int64
	answered atomic.Int64
	why      atomic.Pointer[string] // the first error
}

func runRate(args []string, t Terminal) error {
	set := flags("rate", "URL", t)
	proto := set.String("proto", "h1", "h1 or h2")
	rate := set.Float64("rate", 1000, "requests a second")
	connections := set.Int("connections", 40, "connections, which take turns")
	duration := set.Duration("duration", 5*time.Second, "how long")
	if err := set.Parse(args); err != nil {
		return err
	}
	total := int(*rate * duration.Seconds())
	if total < 1 || total > rateMaxTotal || *connections < 1 {
		return fmt.Errorf("%d requests on %d connections cannot be", total, *connections)
	}
	target, err := targetOf(set.Arg(0), *proto)
	if err != nil {
		return err
	}
	if err := raiseFiles(*connections); err != nil {
		return err
	}
	// The sender's thread sleeps in the kernel; answers are read beside it, on
	// one processor too.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	s := &schedule{interval: 1e9 / *rate, sent: make([]time.Duration, total), took: make([]atomic.Int64, total)}
	lines, err := openLines(target, *proto, *connections, s)
	if err != nil {
		return err
	}
	if err := t.ready(); err != nil {
		return err
	}
	defer lines.close()
	s.run(lines)
	if err := t.print(s.result()); err != nil {
		return err
	}
	return t.over()
}

func openLines(t *target, proto string, n int, s *schedule) (shooter, error) {
	if proto == "h2" {
		return openLines2(t, n, s)
	}
	return openLines1(context.Background(), t, n, s)
}

func (s *schedule) due(i int) time.Duration {
	return time.Duration(float64(i) * s.interval)
}

// run sends all requests when they are due, and waits for their answers.
func (s *schedule) run(lines shooter) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Should it not be set, requests are later, which late_p99_ms tells.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0)
	s.start = time.Now()
	for i := range s.sent {
		if wait := s.due(i) - time.Since(s.start); wait > 0 {
			sleep(wait)
		}
		lines.fire(i)
		s.sent[i] = time.Since(s.start)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); sleep(time.Millisecond) {
		if s.answered.Load()+s.errors.Load() >= int64(len(s.sent)) {
			return
		}
	}
}

// sleep is more precise than time.Sleep, which waits in steps of the poller's.
func sleep(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // woken early, a request is sent early by as little
}

// done notes the answer to request i.
func (s *schedule) done(i int) {
	s.took[i].Store(int64(time.Since(s.start) - s.due(i)))
	s.answered.Add(1)
}

// failed notes that request i has no answer, or a wrong one.
func (s *schedule) failed(err error) {
	s.errors.Add(1)
	why := err.Error()
	s.why.CompareAndSwap(nil, &why)
}

// result is called when run has returned. What was not answered is an error.
func (s *schedule) result() Result {
	r := Result{Requests: int(s.answered.Load()), Seconds: time.Since(s.start).Seconds()}
	took := make([]time.Duration, 0, len(s.took))
	for i := range s.took {
		if ns := s.took[i].Load(); ns != 0 {
			took = append(took, time.Duration(ns))
		}
	}
	if r.Errors = len(s.took) - len(took); r.Errors > 0 {
		r.Why = errors.New("no answer in time").Error()
	}
	if why := s.why.Load(); why != nil {
		r.Why = *why
	}
	r.setLatencies(took)
	late := s.sent
	for i := range late {
		late[i] -= s.due(i)
	}
	slices.Sort(late)
	r.LateP99 = quantile(late, 0.99)
	return r
}
