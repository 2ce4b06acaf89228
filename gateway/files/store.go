package files

import (
	"hash/maphash"
	"sync"
)

// store keeps entries by name within a bound of bytes, those that are used for
// longest (the CLOCK algorithm). It may be used by several goroutines at once.
type store struct {
	seed   maphash.Seed
	shards []shard
}

type shard struct {
	mu      sync.RWMutex // guards the fields below
	entries map[string]*entry
	ring    []*entry
	hand    int
	bytes   int64
	limit   int64
}

// Each shard has room for some entries of the largest size.
const (
	shardBytes = 1 << 20
	maxShards  = 16
)

// newStore returns a store for limit bytes.
func newStore(limit int64) *store {
	n := min(max(limit/shardBytes, 1), maxShards)
	s := &store{seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].limit = limit / n
		s.shards[i].entries = make(map[string]*entry)
	}
	return s
}

// largest is the cost of an entry above which it is not kept.
func (s *store) largest() int64 { return s.shards[0].limit / 4 }

func (s *store) shard(name string) *shard {
	if len(s.shards) == 1 {
		return &s.shards[0]
	}
	return &s.shards[maphash.String(s.seed, name)%uint64(len(s.shards))]
}

// get returns the entry of a name, or nil.
func (s *store) get(name string) *entry {
	h := s.shard(name)
	h.mu.RLock()
	e := h.entries[name]
	h.mu.RUnlock()
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

// put keeps e in place of what has its name.
func (s *store) put(e *entry) {
	cost := e.cost()
	h := s.shard(e.name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if old := h.entries[e.name]; old != nil {
		h.removeLocked(old)
	}
	if cost > s.largest() {
		return
	}
	for h.bytes+cost > h.limit {
		h.turnLocked()
	}
	h.entries[e.name] = e
	e.at = len(h.ring)
	h.ring = append(h.ring, e)
	h.bytes += cost
}

// turnLocked moves the hand on: it takes out the entry that it meets, or its mark.
func (h *shard) turnLocked() {
	if h.hand >= len(h.ring) {
		h.hand = 0
	}
	if e := h.ring[h.hand]; e.used.Load() {
		e.used.Store(false)
		h.hand++
	} else {
		h.removeLocked(e)
	}
}

func (h *shard) removeLocked(e *entry) {
	delete(h.entries, e.name)
	last := len(h.ring) - 1
	h.ring[e.at] = h.ring[last]
	h.ring[e.at].at = e.at
	h.ring[last] = nil
	h.ring = h.ring[:last]
	h.bytes -= e.cost()
}

// drop forgets e, if it is still what is kept by its name.
func (s *store) drop(e *entry) {
	h := s.shard(e.name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.entries[e.name] == e {
		h.removeLocked(e)
	}
}

// clear forgets all.
func (s *store) clear() {
	for i := range s.shards {
		h := &s.shards[i]
		h.mu.Lock()
		clear(h.entries)
		h.ring, h.hand, h.bytes = nil, 0, 0
		h.mu.Unlock()
	}
}
