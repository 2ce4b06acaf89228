package worker

import (
	"syscall"
	"time"

	"headgate/gateway/notation"
	"headgate/upstream/worker/python"
)

const (
	memoryEvery = 2 * time.Second // how often the memory of processes is looked at
	idleLeast   = 50 * time.Millisecond
	idleMost    = 5 * time.Second
)

// pace makes the ticker be as fast as what there is to look at needs it.
func (r *runner) pace() {
	every := time.Duration(0)
	sooner := func(d time.Duration) {
		if every == 0 || d < every {
			every = d
		}
	}
	if g := r.current; g != nil && r.phase == phaseReady {
		if g.growth.can {
			sooner(sampleEvery)
		}
		if g.options.Idle > 0 {
			sooner(min(max(g.options.Idle/10, idleLeast), idleMost))
		}
		if r.watchesMemory(g) {
			sooner(memoryEvery)
		}
	}
	if every == r.every {
		return
	}
	if r.every = every; r.ticker != nil {
		r.ticker.Stop()
		r.ticker = nil
	}
	if every > 0 {
		r.ticker = time.NewTicker(every)
	}
}

// look looks after current: its load, its memory, and whether it is needed.
func (r *runner) look() {
	g := r.current
	if r.phase != phaseReady || g == nil {
		return
	}
	now := time.Now()
	if r.watchesMemory(g) && now.Sub(r.looked) >= memoryEvery {
		r.looked = now
		r.lookAtMemory(g)
	}
	if r.next != nil {
		return
	}
	if g.growth.can {
		r.scale()
	}
	if g.options.Idle > 0 && r.idle.look(now, r.setup.Load()) >= g.options.Idle {
		r.becomeIdle()
	}
}

// watchesMemory reports whether the server of g does not do so itself.
func (r *runner) watchesMemory(g *generation) bool {
	return g.options.MaxRSS > 0 && g.options.App != "" && g.plan.Server == python.Gunicorn
}

// lookAtMemory ends the processes that have too much of it, gracefully: their leader
// starts others.
func (r *runner) lookAtMemory(g *generation) {
	leader := g.process()
	there := make(map[int]bool)
	for _, p := range r.world.family(leader) {
		if p.Parent != leader.PID() {
			continue
		}
		there[p.PID] = true
		if p.RSS <= int64(g.options.MaxRSS) || g.killed[p.PID] {
			continue
		}
		g.killed[p.PID] = true
		r.log.Warn("worker has too much memory: it is replaced", "pid", p.PID, "rss", notation.Size(p.RSS), "max_rss", g.options.MaxRSS)
		if err := r.world.signal(p.PID, syscall.SIGTERM); err != nil {
			r.log.Debug("worker was not told to end", "pid", p.PID, "err", err)
		}
	}
	for pid := range g.killed {
		if !there[pid] {
			delete(g.killed, pid)
		}
	}
}
