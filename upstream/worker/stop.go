package worker

import (
	"syscall"
	"time"

	"headgate/upstream/worker/python"
)

const (
	stopLeast  = 5 * time.Second       // for workers without requests to end, however long these took
	drainEvery = 20 * time.Millisecond // how often the pool is asked whether it is idle
)

// retire waits until a generation carries no more requests (idle is closed, or
// done returns true; nil: there is none), stops it and removes what is left of it.
// All of it is bounded by Options.Stop, and stopLeast; and by Setup.AtOnce.
func (s *Supervisor) retire(g *generation, idle <-chan struct{}, drained func() bool) {
	defer g.place.close()
	p := g.process()
	if p == nil {
		return
	}
	over := time.Now().Add(g.options.Stop)
	if g.alive() {
		s.drain(p, over, idle, drained)
	}
	if g.alive() && !s.atOnce() {
		s.tellToStop(g, p)
	}
	s.awaitEnd(g, p, over)
	s.kill(p) // what is left of its group, too
	s.log.Info("workers have stopped", "generation", g.number, "pid", p.PID())
}

// awaitEnd waits until a leader that was told to stop has ended, or is to be killed.
func (s *Supervisor) awaitEnd(g *generation, p leader, over time.Time) {
	last := time.NewTimer(max(time.Until(over), min(g.options.Stop, stopLeast)))
	defer last.Stop()
	again := time.NewTicker(stopLeast)
	defer again.Stop()
	for {
		select {
		case <-p.Done():
			return
		case <-again.C:
			s.remind(g, p)
		case <-s.setup.AtOnce:
			s.log.Warn("workers are killed, and not asked to stop", "generation", g.number, "pid", p.PID())
			return
		case <-last.C:
			s.log.Warn("workers did not stop: they are killed", "generation", g.number, "pid", p.PID(), "stop_timeout", g.options.Stop.String())
			return
		}
	}
}

// remind tells the workers of a uWSGI that is to stop once more that they are to end. A
// worker that was still importing the app when it was told has not heard it, and its
// master waits for it and says it no more.
func (s *Supervisor) remind(g *generation, p leader) {
	if g.plan.Server != python.UWSGI || g.plan.Command {
		return
	}
	for _, one := range s.world.family(p) {
		if one.Parent != p.PID() {
			continue
		}
		if err := s.world.signal(one.PID, syscall.SIGHUP); err != nil {
			s.log.Debug("worker was not told to end", "pid", one.PID, "err", err)
		}
	}
}

// drain waits for the last request, the end of p, or that it is over.
func (s *Supervisor) drain(p leader, over time.Time, idle <-chan struct{}, drained func() bool) {
	if idle == nil && drained == nil {
		return
	}
	timer := time.NewTimer(time.Until(over))
	defer timer.Stop()
	var tick <-chan time.Time
	if drained != nil {
		if drained() {
			return
		}
		ticker := time.NewTicker(drainEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		select {
		case <-idle:
			return
		case <-p.Ended():
			return
		case <-s.setup.AtOnce:
			return
		case <-timer.C:
			s.log.Warn("workers are stopped with requests under way", "pid", p.PID())
			return
		case <-tick:
			if drained() {
				return
			}
		}
	}
}

// atOnce reports whether Setup.AtOnce is closed.
func (s *Supervisor) atOnce() bool {
	select {
	case <-s.setup.AtOnce:
		return true
	default:
		return false
	}
}

// tellToStop asks a leader to end its workers, and itself.
func (s *Supervisor) tellToStop(g *generation, p leader) {
	uwsgi := g.plan.Server == python.UWSGI && !g.plan.Command
	if g.plan.Fifo != "" && s.world.order(g.plan.Fifo, "q") == nil {
		return
	}
	sig := syscall.SIGTERM
	if uwsgi {
		sig = syscall.SIGINT // TERM may be a reload
	}
	if err := p.Signal(sig); err != nil {
		s.log.Debug("workers were not told to stop", "pid", p.PID(), "err", err)
	}
}

// bury waits until the orphans of a leader that has ended have no request (idle), or
// are gone, and kills those that are left. Package process does so itself after a
// while.
func (s *Supervisor) bury(g *generation, idle <-chan struct{}) {
	p := g.process()
	select {
	case <-idle:
	case <-p.Done():
	case <-s.setup.AtOnce:
	}
	s.kill(p)
}
