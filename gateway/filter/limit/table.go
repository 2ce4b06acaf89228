package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	shards    = 16
	shardKeys = 1 << 14          // of one shard
	minTurn   = 10 * time.Second // between two turns of a shard
	samples   = 16               // keys that are looked at for one to forget
)

// table has the times of the keys of one rate.
type table struct {
	seeds   seeds
	span    atomic.Int64 // as a Duration; a key is forgotten after one to two of them
	waiting atomic.Int64
	said    atomic.Int64 // when the log heard of too many keys, as a Duration; 0: never
	shards  [shards]shard
}

// shard has two maps: new and used keys are in the young one, and with every turn
// the old one is dropped, whose keys nobody has used for a whole span: all that they
// had taken is given back. Nothing has to be swept, and memory is given back.
type shard struct {
	mu         sync.Mutex // guards the fields below
	young, old map[key]time.Duration
	turned     time.Duration
	spill      time.Duration // the time of all keys that have no room
}

func newTable() *table { return &table{seeds: newSeeds()} }

func (t *table) lengthen(span time.Duration) {
	t.span.Store(max(t.span.Load(), int64(max(span, minTurn)))) // Counters.mu is held
}

func (t *table) shard(k key) *shard { return &t.shards[k.low%shards] }

// take lets a request of k pass unless k is farther ahead of now than q allows, and
// returns how far ahead it was. spilled reports that k shares the time of those
// that have no room.
func (t *table) take(k key, now time.Duration, q quota) (ahead time.Duration, ok, spilled bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now-s.turned >= time.Duration(t.span.Load()) {
		s.young, s.old, s.turned = nil, s.young, now
	}
	at, known := s.findLocked(k)
	spilled = !known && !s.makeRoomLocked(now, q)
	if spilled {
		at = s.spill
	}
	ahead = max(at-now, 0)
	if ok = ahead <= q.limit(); ok {
		at = now + ahead + q.emission
	}
	if spilled {
		s.spill = at
	} else {
		s.putLocked(k, at)
	}
	return ahead, ok, spilled
}

// give undoes a take that let a request pass.
func (t *table) give(k key, q quota, spilled bool) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if spilled {
		s.spill -= q.emission
	} else if at, ok := s.findLocked(k); ok {
		s.putLocked(k, at-q.emission)
	}
}

func (s *shard) findLocked(k key) (at time.Duration, ok bool) {
	if at, ok = s.young[k]; !ok {
		at, ok = s.old[k]
	}
	return at, ok
}

func (s *shard) putLocked(k key, at time.Duration) {
	if s.young == nil {
		s.young = make(map[key]time.Duration)
	}
	s.young[k] = at
	if s.old != nil {
		delete(s.old, k)
	}
}

// makeRoomLocked reports whether there is room for one more key. It forgets one
// that has the most left of a few, but none that is refused.
func (s *shard) makeRoomLocked(now time.Duration, q quota) bool {
	if len(s.young)+len(s.old) < shardKeys {
		return true
	}
	for _, m := range []map[key]time.Duration{s.old, s.young} {
		if k, ok := soonest(m, now+q.limit()); ok {
			delete(m, k)
			return true
		}
	}
	return false
}

// soonest returns the key with the least time of a few, unless all are later than
// last. Go begins a walk through a map at a place that nobody can foretell.
func soonest(m map[key]time.Duration, last time.Duration) (k key, ok bool) {
	n := 0
	for candidate, at := range m {
		if at <= last {
			k, last, ok = candidate, at, true
		}
		if n++; n == samples {
			break
		}
	}
	return k, ok
}
