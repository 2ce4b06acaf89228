package worker

import (
	"slices"
	"time"

	"headgate/upstream/worker/python"
)

// Snapshot is what the workers of a pool are doing at a moment.
type Snapshot struct {
	State   State
	App     string // as the options say it
	Server  string // uwsgi, gunicorn, builtin or command; "": none yet
	Version string // what was found, for people: "Django 3.2.19, Python 3.11.2"
	Chose   []string
	Found   python.App // the app; the zero App: none yet, or it is a command

	Processes, Threads int // of each process; Processes is how many are wanted
	Generation         int // how often they were started anew
	Restarts           uint64
	Reloads            uint64
	Requests           uint64    // of the pool, since it is there
	Since              time.Time // of State
	RetryAt            time.Time // of the next start, after one that came to nothing
	Error              string    // why the last start or reload came to nothing; ""
	Tail               []string  // the last lines that it wrote
	Workers            []Worker
}

// Worker is a process.
type Worker struct {
	PID        int
	Leader     bool // the others are its children
	Generation int
	RSS        int64
	Since      time.Time
	Leaving    bool // replaced, with requests under way
}

// State is what the workers of a pool are doing.
type State string

// The states.
const (
	StateStarting  State = "starting"  // none serves yet
	StateReady     State = "ready"     // they serve
	StateReloading State = "reloading" // they serve, and are being replaced
	StateIdle      State = "idle"      // stopped for want of requests
	StateCrashed   State = "crashed"   // they have ended, and are started again at RetryAt
	StateStopped   State = "stopped"   // for good
)

// view is what a runner lets others see of it. Nothing in it is changed later.
type view struct {
	state       State
	since       time.Time
	app         string
	server      string
	version     string
	chose       []string
	found       python.App
	processes   int
	threads     int
	counts      counts
	retryAt     time.Time
	generations []*generation
}

// counts are numbers of a runner.
type counts struct {
	generation int
	restarts   uint64
	reloads    uint64
	failed     *TroubleError // the last start or reload; nil: it has not
}

// publish lets others see where r is, and answers those who have waited for that.
func (r *runner) publish() {
	r.show()
	r.reply()
}

// reply answers callers of Reload.
func (r *runner) reply() {
	for _, a := range r.answers {
		a.caller <- a.err // there is room for one
	}
	r.answers = nil
}

func (r *runner) show() {
	v := view{state: r.state(), counts: r.numbers}
	if r.phase == phaseWaiting {
		v.retryAt = r.retryAt
	}
	for _, g := range append([]*generation{r.current, r.next}, r.leaving...) {
		if g != nil {
			v.generations = append(v.generations, g)
		}
	}
	if o := r.wanted; o != nil {
		v.app, v.processes, v.threads = o.target(), o.count(), o.Threads
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := &r.view
	v.server, v.version, v.chose, v.found = old.server, old.version, old.chose, old.found
	if r.phase == phaseReady {
		g := r.current
		v.server, v.version, v.chose, v.found = g.serverName(), g.version(), g.plan.Chose, g.plan.App
		if g.growth.can {
			v.processes = g.growth.want
		}
	}
	if v.since = old.since; v.state != old.state {
		v.since = time.Now()
	}
	*old = v
}

func (r *runner) state() State {
	switch r.phase {
	case phaseReady, phaseDraining:
		if r.next != nil {
			return StateReloading
		}
		return StateReady
	case phaseIdle:
		return StateIdle
	case phaseWaiting, phaseBurying, phaseDown:
		return StateCrashed
	case phaseOver:
		return StateStopped
	}
	return StateStarting
}

func (g *generation) serverName() string {
	if g.plan.Command {
		return "command"
	}
	return g.plan.Server.String()
}

func (g *generation) version() string {
	a := &g.plan.App
	switch {
	case a.Version == "":
		return a.Framework
	case a.Framework == "":
		return "Python " + a.Version
	}
	return a.Framework + ", Python " + a.Version
}

// Snapshot returns what the workers are doing. The caller owns it. It looks at all
// processes of the machine, but not more than once a second for all supervisors that
// share their Setup.Shared.
func (s *Supervisor) Snapshot() Snapshot {
	s.mu.Lock()
	v := s.view
	s.mu.Unlock()
	out := Snapshot{
		State: v.state, App: v.app, Server: v.server, Version: v.version, Chose: slices.Clone(v.chose), Found: v.found,
		Processes: v.processes, Threads: v.threads,
		Generation: v.counts.generation, Restarts: v.counts.restarts, Reloads: v.counts.reloads,
		Requests: s.setup.Load().Requests, Since: v.since, RetryAt: v.retryAt,
	}
	if t := v.counts.failed; t != nil {
		out.Error, out.Tail = t.Cause, slices.Clone(t.Tail)
	}
	out.Found.Static = slices.Clone(out.Found.Static)
	for _, g := range v.generations {
		if g.alive() {
			out.Workers = append(out.Workers, s.workers(g)...)
		}
	}
	return out
}

// workers returns the processes of a generation, the leader first.
func (s *Supervisor) workers(g *generation) []Worker {
	g.mu.Lock()
	p, since := g.leader, g.since
	g.mu.Unlock()
	all := []Worker{{PID: p.PID(), Leader: true, Generation: g.number, Since: since, Leaving: g.leaving.Load()}}
	for _, one := range s.world.family(p) {
		if one.PID == p.PID() {
			all[0].RSS = one.RSS
			continue
		}
		all = append(all, Worker{PID: one.PID, Generation: g.number, RSS: one.RSS, Since: one.Started, Leaving: all[0].Leaving})
	}
	return all
}
