package worker

import (
	"context"
	"sync"
	"time"

	"headgate/upstream"
	"headgate/upstream/worker/process"
)

// phase is where a runner is.
type phase uint8

const (
	phaseNone     phase = iota // nobody has said what to run
	phaseStarting              // current is being started; it does not serve
	phaseWaiting               // current has ended, or did not start; it is started again at retryAt
	phaseReady                 // current serves
	phaseBurying               // current's leader has ended, and has left orphans with requests
	phaseDraining              // current may be stopped for want of requests, if really none comes
	phaseIdle                  // there is no current: none is needed
	phaseDown                  // there is no current: what files have become does not run
	phaseOver                  // there is no current, and will be none
)

// runner is one Run of a Supervisor. Its fields belong to the goroutine of Run, as
// do its methods. What takes time is done by helpers, each of which ends by sending
// one word to started, retired or buried.
type runner struct {
	*Supervisor
	set upstream.SetFunc

	phase   phase
	wanted  *Options // nil: nobody has said
	todo    wishes   // and have not begun
	dirty   bool     // wanted is not what runs, or is being started
	current *generation
	next    *generation // is being started to replace current; nil: none
	rolling wishes      // what next is started for
	leaving []*generation
	settle  <-chan time.Time // until then the next reload waits for those that leave; nil: it does not

	helpers int
	work    sync.WaitGroup // the same
	started chan outcome
	retired chan *generation
	buried  chan *generation
	abort   context.CancelFunc // of the start of current, or next
	aborted bool

	retry    <-chan time.Time // nil: nothing is to be started again
	retryAt  time.Time
	falls    int  // ends and starts that came to nothing, in a row
	failures int  // starts that came to nothing, since it was ready
	served   bool // there were workers that served

	ticker   *time.Ticker // nil: nothing is to be looked at again and again
	every    time.Duration
	idle     idleness
	drained  <-chan struct{}
	patience <-chan time.Time
	looked   time.Time // when memory was looked at

	watching files
	numbers  counts
	answers  []answer // that have not been given
}

// mostLeaving is how many generations may have requests under way while one more is
// started in place of the current one.
const mostLeaving = 3

// settleTime is how long a reload waits for the old workers of the one before.
const settleTime = 2 * time.Second

// run is Run.
func (r *runner) run(ctx context.Context) {
	defer r.finish()
	r.setup.Shared.swept.Do(func() {
		process.KeepFiles()
		sweep(r.setup.Dir)
	})
	r.hear()
	for {
		if r.advance(ctx); r.step(ctx) {
			r.shutDown()
			return
		}
	}
}

// step waits for something to happen and sees to it. It reports whether that is the
// end.
func (r *runner) step(ctx context.Context) (over bool) {
	r.publish()
	select {
	case <-ctx.Done():
		return true
	case <-r.nudge:
		r.hear()
	case <-r.wake:
		r.woken()
	case o := <-r.started:
		return r.startEnded(o)
	case g := <-r.retired:
		r.gone(g)
	case <-r.leaderEnded():
		r.crashed()
	case g := <-r.buried:
		return r.crashBuried(g)
	case <-r.retry:
		r.retry = nil
	case <-r.tick():
		r.look()
	case <-r.settle:
		r.settle = nil
	case <-r.drained:
		r.drainedAll()
	case <-r.patience:
		r.revive("requests do not end")
	}
	return false
}

// leaderEnded is closed when the leader that serves has ended.
func (r *runner) leaderEnded() <-chan struct{} {
	if r.phase == phaseReady || r.phase == phaseDraining {
		return r.current.process().Ended()
	}
	return nil
}

func (r *runner) tick() <-chan time.Time {
	if r.ticker == nil {
		return nil
	}
	return r.ticker.C
}

// hear takes in what is wished for.
func (r *runner) hear() {
	o, w := r.take()
	r.todo.join(w)
	if o == nil {
		return
	}
	before := r.wanted
	r.wanted = o
	switch {
	case r.phase == phaseDown:
		r.dirty = r.dirty || !equal(o, before)
	case r.next != nil:
		r.dirty = !equal(o, &r.next.options)
	case r.current != nil:
		r.dirty = !equal(o, &r.current.options)
	}
}

// advance begins what is to be done and can be.
func (r *runner) advance(ctx context.Context) {
	if r.wanted == nil {
		return
	}
	r.watching.follow(ctx, r)
	switch r.phase {
	case phaseNone:
		r.first(ctx)
	case phaseStarting:
		if r.dirty && !r.aborted { // it is to be started with other options
			r.aborted = true
			r.abort()
		}
	case phaseWaiting:
		r.advanceWaiting(ctx)
	case phaseReady:
		r.advanceRoll(ctx)
	case phaseDraining:
		if r.dirty || r.todo.restart {
			r.revive("there is something to do")
			r.advanceRoll(ctx)
		}
	case phaseIdle:
		r.forget(nil) // the next ones are new ones
		if !r.wanted.onDemand() {
			r.startNew(ctx)
		}
	case phaseDown:
		if r.dirty || r.todo.restart {
			r.startNew(ctx)
		}
	}
}

// first is the first step of a Run.
func (r *runner) first(ctx context.Context) {
	if r.wanted.onDemand() && r.setup.Load().Queued == 0 {
		r.phase = phaseIdle
		r.set(r.setup.Pool, nil)
		r.forget(nil)
		return
	}
	r.startNew(ctx)
}

func (r *runner) advanceWaiting(ctx context.Context) {
	if r.next != nil { // it may soon be in the place of current
		return
	}
	if r.dirty {
		r.current.options, r.current.count, r.current.plan = *r.wanted, r.wanted.count(), nil
		r.dirty, r.retry = false, nil
		r.falls, r.failures = 0, 0
	}
	if r.todo.restart {
		r.current.tried = true // a plan of its own
		r.retry = nil
	}
	if r.retry == nil {
		r.startCurrent(ctx)
	}
}

// startNew makes a current generation and starts it.
func (r *runner) startNew(ctx context.Context) {
	r.current = r.generation(r.wanted.count())
	r.dirty = false
	r.startCurrent(ctx)
}

// generation makes one more generation of what is wanted.
func (r *runner) generation(processes int) *generation {
	r.numbers.generation++
	return &generation{number: r.numbers.generation, options: *r.wanted, count: processes, killed: make(map[int]bool)}
}

// startCurrent starts the current generation, for all that is wished for.
func (r *runner) startCurrent(ctx context.Context) {
	r.phase, r.retry, r.retryAt = phaseStarting, nil, time.Time{}
	r.rolling, r.todo = r.todo, wishes{}
	r.begin(ctx, r.current)
}

// begin starts a generation by a helper.
func (r *runner) begin(ctx context.Context, g *generation) {
	ctx, r.abort = context.WithCancel(ctx)
	r.aborted = false
	cancel := r.abort
	r.help(func() {
		defer cancel()
		r.started <- r.start(ctx, g)
	})
}

func (r *runner) help(f func()) {
	r.helpers++
	r.work.Go(f)
}

// startEnded takes in how a start has ended.
func (r *runner) startEnded(o outcome) (leave bool) {
	r.helpers--
	switch {
	case o.g == r.next:
		r.rollEnded(o)
	case o.err == nil:
		r.becomeReady()
		r.tell(r.rolling, nil)
		r.rolling = wishes{}
	case r.aborted:
		r.todo.join(r.rolling)
		r.rolling = wishes{}
		r.phase, r.retry = phaseWaiting, nil
	default:
		return r.startFailed(o)
	}
	return false
}

// becomeReady makes current be the member of the pool.
func (r *runner) becomeReady() (idle <-chan struct{}) {
	g := r.current
	g.tried, g.ready = false, time.Now()
	g.growth = newGrowth(g)
	r.phase, r.served, r.failures = phaseReady, true, 0
	r.setTrouble(nil)
	r.numbers.failed = nil
	idle = r.say(g.member())
	r.idle = idleness{}
	r.pace()
	return idle
}

// say names the members of the pool.
func (r *runner) say(members ...upstream.Member) (idle <-chan struct{}) {
	return r.set(r.setup.Pool, members)
}

// gone notes that a generation has ended.
func (r *runner) gone(g *generation) {
	r.helpers--
	for i, other := range r.leaving {
		if other == g {
			r.leaving = append(r.leaving[:i:i], r.leaving[i+1:]...)
			break
		}
	}
	r.tell(wishes{callers: g.waiting}, nil)
}

// leave retires a generation by a helper.
func (r *runner) leave(g *generation, idle <-chan struct{}, drained func() bool) {
	g.leaving.Store(true)
	r.leaving = append(r.leaving, g)
	r.help(func() {
		r.retire(g, idle, drained)
		r.retired <- g
	})
}

// answer is what a caller of Reload is told.
type answer struct {
	caller chan<- error
	err    error
}

// tell answers the callers of Reload as soon as the Snapshot shows why, see publish.
func (r *runner) tell(w wishes, err error) {
	for _, c := range w.callers {
		r.answers = append(r.answers, answer{c, err})
	}
}

// forget answers all who wait for something that has not begun, and forgets it.
func (r *runner) forget(err error) {
	r.tell(r.todo, err)
	r.todo = wishes{}
}

// shutDown ends everything.
func (r *runner) shutDown() {
	r.watching.end()
	if r.abort != nil {
		r.abort()
	}
	_, w := r.take()
	r.todo.join(w)
	r.forget(errStopped)
	g, starting := r.current, r.phase == phaseStarting
	r.current, r.phase = nil, phaseOver
	if g != nil && !starting {
		r.leave(g, nil, r.drainedBy(g))
	}
	for r.helpers > 0 {
		r.publish()
		select {
		case o := <-r.started:
			r.helpers--
			r.tell(r.rolling, errStopped)
			r.leave(o.g, nil, nil) // should it just have got ready, nobody knows of it
		case g := <-r.retired:
			r.gone(g)
		case <-r.buried:
			r.helpers--
		}
	}
}

// drainedBy tells whether g may be stopped at the end of Run.
func (r *runner) drainedBy(g *generation) func() bool {
	if drained := r.setup.Drained; drained != nil && g.place != nil {
		address := g.place.address()
		return func() bool { return drained(address) }
	}
	return func() bool {
		l := r.setup.Load()
		return l.InFlight == 0 && l.Queued == 0
	}
}

// finish leaves things as they were before Run.
func (r *runner) finish() {
	r.work.Wait()
	if r.ticker != nil {
		r.ticker.Stop()
	}
	r.flood.flush(r.tellDropped)
	r.next = nil
	r.publish()
	r.mu.Lock()
	r.running = false
	r.trouble = nil
	w := r.wishes
	r.wishes = wishes{}
	r.mu.Unlock()
	r.tell(w, errStopped)
	r.reply()
}
