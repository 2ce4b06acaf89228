package worker

import (
	"math/rand/v2"
	"time"

	"headgate/upstream/worker/process"
)

// Waits before a restart.
const (
	fallWait     = 100 * time.Millisecond
	fallWaitMost = 30 * time.Second
	fallMemory   = 10 * time.Second // workers that have served so long are not in a loop
	longWait     = 2 * time.Second  // too long for a request
)

// backoff is how long to wait after so many falls in a row, without its jitter.
func backoff(falls int) time.Duration {
	if falls <= 1 {
		return 0
	}
	return min(fallWait<<min(falls-2, 20), fallWaitMost)
}

// wait makes current be started again after a while.
func (r *runner) wait() time.Duration {
	r.falls++
	d := backoff(r.falls)
	if d > 0 {
		d += rand.N(d/4) - d/8
	}
	r.phase = phaseWaiting
	r.retryAt = time.Now().Add(d)
	r.retry = time.After(d)
	return d
}

// crashed takes in that the leader of current, which served, has ended. Its orphans
// may go on with the requests that they have.
func (r *runner) crashed() {
	g := r.current
	g.serving.Store(false)
	draining := r.phase == phaseDraining
	r.drained, r.patience = nil, nil
	idle := r.say()
	if draining { // nobody needs them
		r.current, r.phase = nil, phaseIdle
		r.leave(g, nil, nil)
		return
	}
	r.phase = phaseBurying
	r.pace()
	r.help(func() {
		r.bury(g, idle)
		r.buried <- g
	})
}

// crashBuried takes in that nothing is left of a crash.
func (r *runner) crashBuried(g *generation) (leave bool) {
	r.helpers--
	if g != r.current { // others are in its place already
		return false
	}
	exit := g.process().Exit()
	if r.asksToLeave(&exit) {
		return true
	}
	if time.Since(g.ready) >= fallMemory {
		r.falls = 0
	}
	t := &TroubleError{Cause: exit.Cause, Tail: g.process().Tail()}
	d := r.wait()
	t.RetryAt = r.retryAt
	r.numbers.restarts++
	r.numbers.failed = t
	r.log.Error("workers have ended", "generation", g.number, "cause", t.Cause, "tail", t.Tail, "again", d.Round(time.Millisecond).String())
	if d >= longWait {
		r.despair(t)
	}
	return false
}

// asksToLeave reports whether the end of a command of the user's own is that of Run.
func (r *runner) asksToLeave(exit *process.Exit) bool {
	return len(r.current.options.Command) > 0 && r.setup.Ended != nil && r.setup.Ended(exitCode(*exit))
}

// startFailed takes in that current could not be started.
func (r *runner) startFailed(o outcome) (leave bool) {
	t := trouble(o.err)
	r.current.tried = true
	r.failures++
	d := r.wait()
	t.RetryAt = r.retryAt
	r.numbers.failed = t
	r.tell(r.rolling, t)
	r.rolling = wishes{}
	if o.exit != nil && r.asksToLeave(o.exit) {
		return true
	}
	r.log.Error("workers did not start", "generation", o.g.number, "cause", t.Cause, "tail", t.Tail, "again", d.Round(time.Millisecond).String())
	most := 3
	if !r.served {
		most = 2
	}
	if r.wanted.Watch || r.failures >= most || d >= longWait {
		r.despair(t)
	}
	return false
}

// despair lets nobody wait for workers any more.
func (r *runner) despair(t *TroubleError) {
	r.setTrouble(t)
	r.say()
}
