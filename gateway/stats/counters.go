package stats

import (
	"maps"
	"slices"
	"sync"
)

// Counters hold the counters of all sites and pools by name. They outlive
// reloads: what keeps its name keeps its numbers. All methods may be called by
// any number of goroutines at once; all take a lock, so a generation looks its
// counters up once, when it is built. Use NewCounters.
type Counters struct {
	mu    sync.Mutex // guards the fields below
	sites map[string]*SiteCounters
	pools map[string]*PoolCounters
}

// NewCounters returns Counters without a site and without a pool.
func NewCounters() *Counters {
	return &Counters{sites: make(map[string]*SiteCounters), pools: make(map[string]*PoolCounters)}
}

// Site returns the counters of the site called name, new ones if it has none.
func (c *Counters) Site(name string) *SiteCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return entry(c.sites, name)
}

// Pool returns the counters of the pool called name, new ones if it has none.
func (c *Counters) Pool(name string) *PoolCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return entry(c.pools, name)
}

// Retain forgets all sites and pools but those named. Whoever still holds the
// counters of a forgotten one may go on counting; nobody will see it.
func (c *Counters) Retain(sites, pools []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	keep(c.sites, sites)
	keep(c.pools, pools)
}

// Sites returns the numbers of all sites in the order of their names.
func (c *Counters) Sites() []Site {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Site, 0, len(c.sites))
	for _, name := range slices.Sorted(maps.Keys(c.sites)) {
		out = append(out, c.sites[name].Snapshot(name))
	}
	return out
}

// Pools returns the numbers of all pools in the order of their names.
func (c *Counters) Pools() []Pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Pool, 0, len(c.pools))
	for _, name := range slices.Sorted(maps.Keys(c.pools)) {
		out = append(out, c.pools[name].Snapshot(name))
	}
	return out
}

func entry[T any](m map[string]*T, name string) *T {
	v := m[name]
	if v == nil {
		v = new(T)
		m[name] = v
	}
	return v
}

func keep[T any](m map[string]*T, names []string) {
	maps.DeleteFunc(m, func(name string, _ *T) bool { return !slices.Contains(names, name) })
}
