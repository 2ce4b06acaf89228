package upstream

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Pools keeps pools by name. They outlive the configurations that name them:
// what keeps its name keeps its members' health, its queue and what the operator
// has asked for. Make it with NewPools; it is safe for concurrent use.
type Pools[T any] struct {
	log *slog.Logger

	mu       sync.Mutex // guards the fields below
	pools    map[string]*running[T]
	families map[string]*Family[T]
	begin    func(run func(context.Context)) // starts one; nil when Run does not run
}

// running is a pool that serves.
type running[T any] struct {
	pool  *Pool[T]
	begun bool // its work
}

// NewPools returns Pools without a pool. A nil log is silent.
func NewPools[T any](log *slog.Logger) *Pools[T] {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pools[T]{log: log, pools: make(map[string]*running[T]), families: make(map[string]*Family[T])}
}

// Change is a set of pools that is ready to replace the one that serves.
type Change[T any] struct {
	pools    *Pools[T]
	plans    map[string]*plan[T]
	families map[string]*familyPlan[T]
}

// Build makes everything that the pools of specs need and that is not there yet.
// Nothing changes before Apply. The caller calls Apply or Discard.
func (ps *Pools[T]) Build(specs map[string]Spec[T]) (*Change[T], error) {
	c := &Change[T]{pools: ps, plans: make(map[string]*plan[T], len(specs)), families: make(map[string]*familyPlan[T])}
	for name, spec := range specs {
		if err := c.build(name, spec); err != nil {
			c.Discard()
			return nil, err
		}
	}
	return c, nil
}

func (c *Change[T]) build(name string, spec Spec[T]) error {
	if spec.Each != nil {
		pl, err := c.pools.family(name).prepare(spec)
		if err == nil {
			c.families[name] = pl
		}
		return err
	}
	pl, err := c.pools.pool(name).prepare(spec)
	if err == nil {
		c.plans[name] = pl
	}
	return err
}

// pool returns the pool of that name, or a new one.
func (ps *Pools[T]) pool(name string) *Pool[T] {
	p := ps.Get(name)
	if p == nil {
		p = newPool[T](name, ps.log, nil)
		p.resume = func() { ps.resume(p) }
	}
	return p
}

// family returns the family of that name, or a new one.
func (ps *Pools[T]) family(name string) *Family[T] {
	f := ps.Family(name)
	if f == nil {
		f = newFamily(name, ps)
	}
	return f
}

// Pool returns the pool of that name as it will be after Apply, or nil. It is
// the one that serves already if there is one.
func (c *Change[T]) Pool(name string) *Pool[T] {
	if pl := c.plans[name]; pl != nil {
		return pl.pool
	}
	return nil
}

// Family returns the family of that name as it will be after Apply, or nil. It is
// the one that serves already if there is one.
func (c *Change[T]) Family(name string) *Family[T] {
	if pl := c.families[name]; pl != nil {
		return pl.family
	}
	return nil
}

// Discard gives up what Build has made.
func (c *Change[T]) Discard() {
	for _, pl := range c.plans {
		pl.discard()
	}
	for _, pl := range c.families {
		pl.discard()
	}
}

// Apply makes the pools be as they were built. Members that are not named any
// more drain, and so do pools: who waits there, or is under way, is served as
// before, unless the pool has no member. Sources that are not there any more are
// ended.
func (c *Change[T]) Apply() {
	ps := c.pools
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name, pl := range c.plans {
		if ps.pools[name] == nil {
			ps.pools[name] = &running[T]{pool: pl.pool}
		}
		pl.apply()
		ps.startLocked(ps.pools[name])
		pl.pool.feed(pl.spec.Sources)
	}
	for name, pl := range c.families {
		ps.families[name] = pl.family
		pl.apply()
		pl.family.start(ps.begin)
		pl.family.feed(pl.spec.Sources)
	}
	c.removeLocked()
}

// removeLocked takes out what is not to be there any more.
func (c *Change[T]) removeLocked() {
	ps := c.pools
	for name, r := range ps.pools {
		if c.plans[name] == nil {
			delete(ps.pools, name)
			r.pool.retire(r.begun)
			if !r.begun {
				r.pool.closeAll()
			}
		}
	}
	for name, f := range ps.families {
		if c.families[name] == nil {
			delete(ps.families, name)
			f.retire()
		}
	}
}

// startLocked begins the work of a pool, unless it has begun or Run does not run.
func (ps *Pools[T]) startLocked(r *running[T]) {
	if ps.begin != nil && !r.begun {
		r.begun = true
		ps.begin(r.pool.run)
	}
}

// retire ends the sources of a pool that is not in the configuration any more.
// Its members stay for those that wait or are under way; its work, if it has
// begun, ends with the last of them.
func (p *Pool[T]) retire(begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources.change(nil)
	p.retireLocked(begun)
}

// retireLocked notes that there will be no other members. Without any nobody waits.
func (p *Pool[T]) retireLocked(begun bool) {
	p.retired, p.over = true, !begun
	if p.nobodyLocked() {
		p.gone = true
		now := time.Now()
		p.dismissLocked(func(r *Request[T]) *WaitError { return p.waitErrorLocked(ErrNoMembers, r, now) })
	}
	p.nudge()
}

// closeAll gives up what the transports keep for later requests.
func (p *Pool[T]) closeAll() {
	p.mu.Lock()
	driver := p.driver
	p.mu.Unlock()
	p.Each(func(_ Member, t T) { driver.close(t) })
}

// Get returns the pool of that name, or nil.
func (ps *Pools[T]) Get(name string) *Pool[T] {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if r := ps.pools[name]; r != nil {
		return r.pool
	}
	return nil
}

// Family returns the family of that name, or nil.
func (ps *Pools[T]) Family(name string) *Family[T] {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.families[name]
}

// Run does the work of all pools, now and later, until ctx ends, and returns
// after its last goroutine. Without it no source is heard and no member that was
// away comes back.
func (ps *Pools[T]) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	ps.mu.Lock()
	ps.begin = func(run func(context.Context)) {
		wg.Go(func() {
			own, stop := context.WithCancel(ctx)
			defer stop()
			run(own)
		})
	}
	for _, r := range ps.pools {
		ps.startLocked(r)
	}
	for _, f := range ps.families {
		f.start(ps.begin)
	}
	ps.mu.Unlock()
	<-ctx.Done()
	ps.mu.Lock()
	ps.begin = nil
	for _, r := range ps.pools {
		r.begun = false
	}
	ps.mu.Unlock()
	wg.Wait()
	return nil
}

// resume begins the work of a retired pool again, which is late for that when Run
// is to return.
func (ps *Pools[T]) resume(p *Pool[T]) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.begin != nil {
		ps.begin(p.run)
	}
}

// run works and listens to the sources until ctx ends, or the pool is retired and
// has nothing left to do.
func (p *Pool[T]) run(ctx context.Context) {
	var wg sync.WaitGroup
	p.sources.begin(ctx, &wg)
	p.work(ctx)
	p.sources.halt()
	wg.Wait()
	p.finish()
}

// finish gives up what a retired pool has kept for later requests.
func (p *Pool[T]) finish() {
	p.mu.Lock()
	retired := p.retired
	p.mu.Unlock()
	if retired {
		p.closeAll()
	}
}

// heard takes the word of a source.
func (p *Pool[T]) heard(key string, f *feed, pool string, members []Member) <-chan struct{} {
	if pool != p.name {
		return closed()
	}
	return p.say(key, f, members)
}

// listensTo reports whether f is a source of p, of that key.
func (p *Pool[T]) listensTo(key string, f *feed) bool {
	p.mu.Lock()
	sources := p.sources
	p.mu.Unlock()
	return sources.asks(key, f)
}

// feed makes sources be the ones that p listens to.
func (p *Pool[T]) feed(sources map[string]Source) {
	p.naming.Lock()
	defer p.naming.Unlock()
	ended, began := p.sources.change(sources)
	p.outlive(ended, began, len(sources) == 0)
}

// outlive takes in that sources have ended, that others have begun, or that there
// are none now. The last word of those that are not there any more is forgotten, but
// if others come in their place only when one of these speaks: names that cannot be
// looked up just then must not cost the members. The caller holds naming.
func (p *Pool[T]) outlive(ended []string, began, none bool) {
	p.mu.Lock()
	switch {
	case began:
		p.stale = append(p.stale, ended...)
		ended = nil
		if p.queue.len() > 0 && p.nobodyLocked() {
			p.askLocked() // the new ones have not been told
		}
	case none:
		ended = append(ended, p.stale...)
		p.stale = nil
	}
	p.mu.Unlock()
	for _, key := range ended {
		p.forgetSource(key)
	}
}

// refreshersLocked returns the sources that are to look again now.
func (p *Pool[T]) refreshersLocked() []refresher {
	if !p.refresh {
		return nil
	}
	p.refresh = false
	return p.sources.refreshers()
}

// waitersLocked returns the sources that are to say whether those who wait do so in
// vain.
func (p *Pool[T]) waitersLocked() []troubled {
	if p.queue.len() == 0 {
		return nil
	}
	return p.vainLocked()
}
