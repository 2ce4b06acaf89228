package upstream

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Family is pools that are alike, one for each key that its sources name (see
// Spec.Each). It is safe for concurrent use. Pools makes it, and keeps it while its
// name is in the configuration as that of a family.
type Family[T any] struct {
	name  string
	pools *Pools[T]
	log   *slog.Logger
	wake  chan struct{} // capacity 1: there may be something to do for run

	keys  sync.Map // of string to *child[T]; written under naming
	count atomic.Int64

	naming    sync.Mutex // one change of the keys or their members at a time; guards the fields below
	each      func(key string) Spec[T]
	most      int
	sources   *feeds
	begin     func(*Pool[T]) // the work of a pool; nil when run does not run
	begun     bool           // run has been started
	retired   bool
	lingering []*child[T] // without members; who lost them first is the first
	outdated  time.Time   // when the words of sources that are not asked any more are forgotten; zero: there are none
	refused   time.Time   // when it was last logged that there are too many keys
	paused    time.Time   // until then, by the operator
	drained   map[string]bool
}

// child is the pool of one key.
type child[T any] struct {
	key  string
	pool *Pool[T]
	lost time.Time // when it lost its last member; zero: it has some
}

const (
	// DefaultMostKeys is how many keys a family has at most, if nothing is said.
	DefaultMostKeys = 10000

	// FamilyLinger is how long a key that has lost all its members keeps its pool, in
	// which requests wait: an app that is started again is away for as long.
	FamilyLinger = 30 * time.Second

	refusedEvery = time.Minute
)

func newFamily[T any](name string, ps *Pools[T]) *Family[T] {
	f := &Family[T]{
		name: name, pools: ps, log: ps.log.With("pool", name), wake: make(chan struct{}, 1), most: DefaultMostKeys,
	}
	f.sources = &feeds{log: f.log, hear: f.heard, all: make(map[string]*feed)}
	return f
}

// Name returns the family's name.
func (f *Family[T]) Name() string { return f.name }

// Get returns the pool of a key, or nil if the sources name none. It takes no lock.
func (f *Family[T]) Get(key string) *Pool[T] {
	if c := f.child(key); c != nil {
		return c.pool
	}
	return nil
}

func (f *Family[T]) child(key string) *child[T] {
	if c, ok := f.keys.Load(key); ok {
		return c.(*child[T])
	}
	return nil
}

// All returns the pools of all keys, in the order of the keys. The caller owns the
// slice.
func (f *Family[T]) All() []*Pool[T] {
	all := f.children()
	slices.SortFunc(all, func(a, b *child[T]) int { return cmp.Compare(a.key, b.key) })
	out := make([]*Pool[T], len(all))
	for i, c := range all {
		out[i] = c.pool
	}
	return out
}

// Len returns how many keys there are.
func (f *Family[T]) Len() int { return int(f.count.Load()) }

func (f *Family[T]) children() []*child[T] {
	all := make([]*child[T], 0, f.Len())
	f.keys.Range(func(_, c any) bool {
		all = append(all, c.(*child[T]))
		return true
	})
	return all
}

// heard takes what a source says of a key.
func (f *Family[T]) heard(source string, from *feed, key string, members []Member) <-chan struct{} {
	f.naming.Lock()
	defer f.naming.Unlock()
	if !f.sources.asks(source, from) {
		return closed()
	}
	c := f.child(key)
	switch {
	case c != nil:
	case len(members) == 0 || f.fullNaming(key):
		return closed()
	default:
		c = f.makeNaming(key)
	}
	idle := c.pool.say(source, from, members)
	f.reckonNaming(c, time.Now())
	if _, known := f.keys.LoadOrStore(key, c); !known {
		f.count.Add(1)
		if f.begin != nil {
			f.begin(c.pool)
		}
	}
	return idle
}

// fullNaming reports whether there is no room for another key, and logs it, but not
// each time.
func (f *Family[T]) fullNaming(key string) bool {
	if f.Len() < f.most {
		return false
	}
	if now := time.Now(); f.refused.IsZero() || now.Sub(f.refused) >= refusedEvery {
		f.refused = now
		f.log.Error("too many keys: new ones have no pool", "key", key, "most", f.most)
	}
	return true
}

// makeNaming makes the pool of a key, without members.
func (f *Family[T]) makeNaming(key string) *child[T] {
	p := newPool[T](f.name+"/"+key, f.pools.log, f.sources)
	p.resume = func() { f.pools.resume(p) }
	(&plan[T]{pool: p, spec: childSpec(f.each, key)}).apply()
	f.obeyNaming(p)
	return &child[T]{key: key, pool: p}
}

// reckonNaming notes whether a key has members.
func (f *Family[T]) reckonNaming(c *child[T], now time.Time) {
	lost := c.pool.deserted()
	switch {
	case lost && c.lost.IsZero():
		c.lost = now
		f.lingering = append(f.lingering, c)
		f.nudge()
	case !lost && !c.lost.IsZero():
		c.lost = time.Time{}
		i := slices.Index(f.lingering, c)
		f.lingering = slices.Delete(f.lingering, i, i+1)
	}
}

// feed makes sources be the ones that the family listens to; see Pool.outlive. Since
// a new source need not speak of a key at all, the word of an old one holds for a
// while and no longer.
func (f *Family[T]) feed(sources map[string]Source) {
	f.naming.Lock()
	defer f.naming.Unlock()
	ended, began := f.sources.change(sources)
	if began && len(ended) > 0 {
		f.outdated = time.Now().Add(FamilyLinger)
		f.nudge()
	}
	now := time.Now()
	for _, c := range f.children() {
		c.pool.outliveAlone(ended, began, len(sources) == 0)
		f.reckonNaming(c, now)
	}
}

// start begins the family's work; begin is that of Pools, nil when it does not run.
func (f *Family[T]) start(begin func(func(context.Context))) {
	f.naming.Lock()
	defer f.naming.Unlock()
	if begin != nil && !f.begun {
		f.begun = true
		begin(f.run)
	}
}

// retire ends the sources of a family that is not in the configuration any more. Its
// pools serve who waits or is under way, as any pool does.
func (f *Family[T]) retire() {
	f.naming.Lock()
	defer f.naming.Unlock()
	f.retired = true
	f.sources.change(nil)
	for _, c := range f.children() {
		c.pool.leave(f.begun)
		if !f.begun {
			c.pool.closeAll()
		}
	}
	f.nudge()
}

func (f *Family[T]) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run listens to the sources, and does the work of all pools, until ctx ends or the
// family is retired and the last of its pools has nothing left to do.
func (f *Family[T]) run(ctx context.Context) {
	var wg sync.WaitGroup
	f.naming.Lock()
	f.begin = func(p *Pool[T]) { wg.Go(func() { p.workAlone(ctx) }) }
	for _, c := range f.children() {
		f.begin(c.pool)
	}
	f.naming.Unlock()
	f.sources.begin(ctx, &wg)
	f.watch(ctx)
	f.sources.halt()
	f.naming.Lock()
	f.begin = nil
	if !f.retired {
		f.begun = false
	}
	f.naming.Unlock()
	wg.Wait()
}

// watch takes out keys whose time without members is over, until ctx ends or the
// family is retired.
func (f *Family[T]) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-timer.C:
		}
		now := time.Now()
		next, retired := f.sweep(now)
		if retired {
			return
		}
		timer.Reset(next.Sub(now))
	}
}

// sweep does what watch is for, once, and returns when to do so again.
func (f *Family[T]) sweep(now time.Time) (next time.Time, retired bool) {
	f.naming.Lock()
	defer f.naming.Unlock()
	if f.retired {
		return now, true
	}
	next = now.Add(workIdle)
	if !f.outdated.IsZero() && !now.Before(f.outdated) {
		f.outdated = time.Time{}
		for _, c := range f.children() {
			c.pool.outliveAlone(nil, false, true)
			f.reckonNaming(c, now)
		}
	}
	f.expireNaming(now)
	if len(f.lingering) > 0 {
		next = f.lingering[0].lost.Add(FamilyLinger)
	}
	if !f.outdated.IsZero() && f.outdated.Before(next) {
		next = f.outdated
	}
	return next, false
}

// expireNaming takes out the keys that have been without members for long enough.
func (f *Family[T]) expireNaming(now time.Time) {
	over := 0
	for ; over < len(f.lingering) && !now.Before(f.lingering[over].lost.Add(FamilyLinger)); over++ {
		c := f.lingering[over]
		if c.pool.expire() {
			f.keys.Delete(c.key)
			f.count.Add(-1)
			continue
		}
		c.lost = now // it is paused: once more
		f.lingering = append(f.lingering, c)
	}
	f.lingering = slices.Delete(f.lingering, 0, over)
}
