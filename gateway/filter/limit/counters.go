package limit

import (
	"sync"
	"time"
	"weak"
)

// Counters are what clients have taken. One of them serves all generations of a
// configuration: a rule that has the same name and rate in the next one, or the same
// place, finds there what it has counted, and what no rule uses any more goes. All
// methods may be called by several goroutines at once.
type Counters struct {
	began time.Time // keys have times since then, which no change of the clock moves

	mu    sync.Mutex // guards the fields below
	rates map[string]weak.Pointer[table]
	gates map[string]weak.Pointer[crowd]
}

// NewCounters returns counters that have counted nothing.
func NewCounters() *Counters {
	return &Counters{began: time.Now(), rates: make(map[string]weak.Pointer[table]), gates: make(map[string]weak.Pointer[crowd])}
}

// now is the time for tables.
func (c *Counters) now() time.Duration { return time.Since(c.began) }

// table returns the one of that id, whose keys take at most span to be forgotten.
func (c *Counters) table(id string, span time.Duration) *table {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := shareLocked(c.rates, id, newTable)
	t.lengthen(span)
	return t
}

func (c *Counters) crowd(id string) *crowd {
	c.mu.Lock()
	defer c.mu.Unlock()
	return shareLocked(c.gates, id, newCrowd)
}

// shareLocked returns the value of that id while anybody uses it, or a new one.
func shareLocked[T any](all map[string]weak.Pointer[T], id string, fresh func() *T) *T {
	if v := all[id].Value(); v != nil {
		return v
	}
	for other, p := range all {
		if p.Value() == nil {
			delete(all, other)
		}
	}
	v := fresh()
	all[id] = weak.Make(v)
	return v
}
