package worker

import "time"

// idleness is how long a pool has had no request.
type idleness struct {
	requests uint64
	since    time.Time // zero: not looked at yet
}

// look takes in what the pool is doing, and returns how long it has had nothing to do.
func (i *idleness) look(now time.Time, l Load) time.Duration {
	if i.since.IsZero() || l.Requests != i.requests || l.InFlight > 0 || l.Queued > 0 {
		i.requests, i.since = l.Requests, now
	}
	return now.Sub(i.since)
}

// drainPatience is how long a request may take that has come in the moment in which
// workers were to become idle, before they are not.
const drainPatience = time.Second

// becomeIdle takes current out of the pool. It is stopped only when no request has
// come in between, see drainedAll.
func (r *runner) becomeIdle() {
	r.phase = phaseDraining
	r.drained = r.say()
	r.patience = time.After(drainPatience)
	if r.setup.Load().Queued > 0 {
		r.revive("a request came")
	}
}

// drainedAll stops current: who comes from now on finds no member and calls Refresh.
func (r *runner) drainedAll() {
	l := r.setup.Load()
	if l.Queued > 0 || l.InFlight > 0 {
		r.revive("a request came")
		return
	}
	g := r.current
	r.current, r.phase = nil, phaseIdle
	r.drained, r.patience = nil, nil
	r.log.Info("workers are idle: they are stopped", "generation", g.number, "idle", g.options.Idle.String())
	r.leave(g, nil, nil)
	r.pace()
}

// revive makes current be a member again.
func (r *runner) revive(why string) {
	r.log.Debug("workers are not idle", "why", why)
	r.phase = phaseReady
	r.drained, r.patience = nil, nil
	r.idle = idleness{}
	r.say(r.current.member())
	r.pace()
}

// woken sees to a request that waits for a member.
func (r *runner) woken() {
	switch r.phase {
	case phaseIdle:
		r.log.Info("workers are started for a request")
		r.current, r.phase, r.dirty = r.generation(r.wanted.count()), phaseWaiting, false
	case phaseDraining:
		r.revive("a request came")
	}
}
