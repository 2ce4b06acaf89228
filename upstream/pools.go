package upstream

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Pools keeps pools by name. They outlive the configurations that name them:
// what keeps its name keeps its members' health, its queue and what the operator
// has asked for. Make it with NewPools; it is safe for concurrent use.
type Pools[T any] struct {
	log *slog.Logger

	mu    sync.Mutex // guards the fields below
	pools map[string]*running[T]
	begin func(*running[T]) // starts one; nil when Run does not run
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
	return &Pools[T]{log: log, pools: make(map[string]*running[T])}
}

// Change is a set of pools that is ready to replace the one that serves.
type Change[T any] struct {
	pools *Pools[T]
	plans map[string]*plan[T]
}

// Build makes everything that the pools of specs need and that is not there yet.
// Nothing changes before Apply. The caller calls Apply or Discard.
func (ps *Pools[T]) Build(specs map[string]Spec[T]) (*Change[T], error) {
	c := &Change[T]{pools: ps, plans: make(map[string]*plan[T], len(specs))}
	for name, spec := range specs {
		p := ps.Get(name)
		if p == nil {
			p = newPool[T](name, ps.log)
			p.resume = func() { ps.resume(p) }
		}
		pl, err := p.prepare(spec)
		if err != nil {
			c.Discard()
			return nil, err
		}
		c.plans[name] = pl
	}
	return c, nil
}

// Pool returns the pool of that name as it will be after Apply, or nil. It is
// the one that serves already if there is one.
func (c *Change[T]) Pool(name string) *Pool[T] {
	if pl := c.plans[name]; pl != nil {
		return pl.pool
	}
	return nil
}

// Discard gives up what Build has made.
func (c *Change[T]) Discard() {
	for _, pl := range c.plans {
		pl.discard()
	}
}

// Apply makes the pools be as they were built. Members that are not named any
// more drain, and so do pools: who waits there, or is under way, is served as
// before. Sources that are not there any more are ended.
func (c *Change[T]) Apply() {
	ps := c.pools
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name, pl := range c.plans {
		if ps.pools[name] == nil {
			ps.pools[name] = &running[T]{pool: pl.pool}
		}
		pl.apply()
		if r := ps.pools[name]; ps.begin != nil && !r.begun {
			ps.begin(r)
		}
		pl.pool.feed(pl.spec.Sources)
	}
	for name, r := range ps.pools {
		if c.plans[name] == nil {
			delete(ps.pools, name)
			r.pool.retire(r.begun)
			if !r.begun {
				r.pool.closeAll()
			}
		}
	}
}

// retire ends the sources of a pool that is not in the configuration any more.
// Its members stay for those that wait or are under way; its work, if it has
// begun, ends with the last of them.
func (p *Pool[T]) retire(begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired, p.over = true, !begun
	for key, f := range p.sources {
		if f.stop != nil {
			f.stop()
		}
		delete(p.sources, key)
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

// Run does the work of all pools, now and later, until ctx ends, and returns
// after its last goroutine. Without it no source is heard and no member that was
// away comes back.
func (ps *Pools[T]) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	ps.mu.Lock()
	ps.begin = func(r *running[T]) {
		own, stop := context.WithCancel(ctx)
		r.begun = true
		wg.Go(func() { defer stop(); r.pool.run(own) })
	}
	for _, r := range ps.pools {
		ps.begin(r)
	}
	ps.mu.Unlock()
	<-ctx.Done()
	ps.mu.Lock()
	ps.begin = nil
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
		ps.begin(&running[T]{pool: p})
	}
}

// feed is a source that runs for a pool.
type feed struct {
	source Source
	stop   context.CancelFunc // nil: not started
}

// run works and listens to the sources until ctx ends.
func (p *Pool[T]) run(ctx context.Context) {
	var wg sync.WaitGroup
	p.mu.Lock()
	p.listen = func(key string, f *feed) {
		var own context.Context
		own, f.stop = context.WithCancel(ctx)
		wg.Go(func() { p.hear(own, key, f) })
	}
	for key, f := range p.sources {
		p.listen(key, f)
	}
	p.mu.Unlock()
	p.work(ctx)
	p.mu.Lock()
	p.listen = nil
	retired := p.retired
	p.mu.Unlock()
	wg.Wait()
	if retired {
		p.closeAll()
	}
}

// hear runs one source, again when it ends before its time.
func (p *Pool[T]) hear(ctx context.Context, key string, f *feed) {
	set := func(pool string, members []Member) <-chan struct{} {
		if pool != p.name || ctx.Err() != nil {
			return closed()
		}
		return p.say(key, f, members)
	}
	for {
		err := f.source.Run(ctx, set)
		if ctx.Err() != nil {
			return
		}
		p.log.Error("source of members ended: it is started again", "source", key, "err", err)
		if !sleep(ctx, sourceWait) {
			return
		}
	}
}

const sourceWait = 5 * time.Second

// feed makes sources be the ones that p listens to. The last word of those that
// are not there any more is forgotten, but if others come in their place only
// when one of these speaks: names that cannot be looked up just then must not
// cost the members.
func (p *Pool[T]) feed(sources map[string]Source) {
	p.mu.Lock()
	var ended []string
	for key, f := range p.sources {
		if _, stays := sources[key]; stays {
			continue
		}
		if f.stop != nil {
			f.stop()
		}
		delete(p.sources, key)
		ended = append(ended, key)
	}
	began := false
	for key, s := range sources {
		if p.sources[key] != nil {
			continue
		}
		f := &feed{source: s}
		p.sources[key] = f
		began = true
		if p.listen != nil {
			p.listen(key, f)
		}
	}
	if began {
		p.stale = append(p.stale, ended...)
		ended = nil
	} else if len(sources) == 0 {
		ended = append(ended, p.stale...)
		p.stale = nil
	}
	p.mu.Unlock()
	slices.Sort(ended)
	for _, key := range ended {
		p.forgetSource(key)
	}
}

// refreshersLocked returns the sources that are to look again now.
func (p *Pool[T]) refreshersLocked() (all []refresher) {
	if !p.refresh {
		return nil
	}
	p.refresh = false
	for _, f := range p.sources {
		if r, ok := f.source.(refresher); ok {
			all = append(all, r)
		}
	}
	return all
}
