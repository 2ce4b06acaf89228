package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"headgate/upstream"
	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
)

// generation is one set of workers with a socket of its own. What is not said to
// be guarded belongs to one goroutine at a time: that of a start or a stop while
// there is one, else that of Run.
type generation struct {
	number  int
	options Options
	count   int // processes to begin with

	replaces bool // others, which serve while it is started
	fit      bool // and has passed the check of its pool

	place *place // nil: not made yet
	user  *process.User
	plan  *python.Plan // nil: to be made
	tried bool         // a start with this plan has come to nothing
	ready time.Time    // when it last began to serve

	growth  growth
	killed  map[int]bool   // processes that were told to go, for their memory
	waiting []chan<- error // who is told when it has ended: callers of Reload

	serving atomic.Bool // what it writes is for the log
	leaving atomic.Bool

	mu     sync.Mutex // guards the fields below
	leader leader     // the one that was started last; nil: none yet
	since  time.Time  // when
}

func (g *generation) process() leader {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leader
}

func (g *generation) setProcess(p leader) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader, g.since = p, time.Now()
}

// alive reports whether the leader runs.
func (g *generation) alive() bool {
	p := g.process()
	return p != nil && !ended(p)
}

// member is how the pool has it.
func (g *generation) member() upstream.Member {
	m := upstream.Member{Address: g.place.address(), Slots: g.slots(), Dialect: g.plan.Dialect, Checked: g.fit}
	if m.Slots == 0 && g.plan.Stats != "" {
		m.Stats = "unix:" + g.plan.Stats
	}
	return m
}

// slots is how many requests at once the pool may send it.
func (g *generation) slots() int {
	if g.growth.can {
		return g.growth.said * g.options.Threads
	}
	return g.plan.Slots
}
