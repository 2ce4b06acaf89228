package limit

// Keys returns how many keys all rates remember, and Tables how many rates there are.
func (c *Counters) Keys() (keys, tables int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.rates {
		t := p.Value()
		if t == nil {
			continue
		}
		tables++
		for i := range t.shards {
			s := &t.shards[i]
			s.mu.Lock()
			keys += len(s.young) + len(s.old)
			s.mu.Unlock()
		}
	}
	return keys, tables
}
