package limit

import "sync"

// crowd counts the requests that run, by key. A key without any is not there, so
// there are never more keys than requests.
type crowd struct {
	seeds  seeds
	shards [shards]crowdShard
}

type crowdShard struct {
	mu   sync.Mutex // guards the field below
	runs map[key]int
}

func newCrowd() *crowd { return &crowd{seeds: newSeeds()} }

func (c *crowd) shard(k key) *crowdShard { return &c.shards[k.low%shards] }

// enter reports whether one more request of k may run.
func (c *crowd) enter(k key, limit int) bool {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[k] >= limit {
		return false
	}
	if s.runs == nil {
		s.runs = make(map[key]int)
	}
	s.runs[k]++
	return true
}

func (c *crowd) leave(k key) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.runs[k] - 1
	switch {
	case n < 0:
		panic("limit: a request left twice")
	case n == 0:
		delete(s.runs, k)
	default:
		s.runs[k] = n
	}
}
