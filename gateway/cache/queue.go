package cache

// queue is a list of entries, the newest first. It is guarded by Store.mu.
type queue struct {
	first, last *entry
	bytes       int64
}

func (q *queue) push(e *entry) {
	e.queue, e.prev, e.next = q, nil, q.first
	if q.first != nil {
		q.first.prev = e
	} else {
		q.last = e
	}
	q.first = e
	q.bytes += e.weight
}

func (q *queue) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.queue, e.prev, e.next = nil, nil, nil
	q.bytes -= e.weight
}

// order says which entry goes when there is no room: S3-FIFO. What is new is on
// trial: unless it is used again it goes soon, so that a crawler that fetches every
// page once does not empty the store. What was used again, or comes back soon after
// it went, stays as long as it is used. It is guarded by Store.mu.
type order struct {
	trial, main queue
	gone        ghosts
}

// add takes in an entry that was just made.
func (o *order) add(e *entry) {
	if o.gone.take(e.ghost()) {
		o.main.push(e)
		return
	}
	o.trial.push(e)
}

// next returns the entry that goes next, which is out of the queues then; nil if
// there is none. total is the bytes that all may take.
func (o *order) next(total int64) *entry {
	for {
		if e := o.trial.last; e != nil && (o.trial.bytes > total/10 || o.main.last == nil) {
			o.trial.remove(e)
			if e.used.Load() <= 1 {
				o.gone.add(e.ghost())
				return e
			}
			e.used.Store(0)
			o.main.push(e)
			continue
		}
		e := o.main.last
		if e == nil {
			return nil
		}
		o.main.remove(e)
		n := e.used.Load()
		if n == 0 {
			return e
		}
		e.used.Store(n - 1)
		o.main.push(e)
	}
}

// ghost is what remains of an entry that went.
func (e *entry) ghost() uint64 {
	h := e.res.hash.key
	for _, v := range e.vary {
		for i := range len(v.Value) {
			h = h*31 + uint64(v.Value[i])
		}
	}
	return h
}

// ghosts remembers the last ones that were added.
type ghosts struct {
	ring []uint64
	at   int
	has  map[uint64]struct{}
}

const maxGhosts = 8192

func (g *ghosts) add(h uint64) {
	if g.has == nil {
		g.has = make(map[uint64]struct{})
	}
	if _, ok := g.has[h]; ok {
		return
	}
	if len(g.ring) < maxGhosts {
		g.ring = append(g.ring, h)
	} else {
		delete(g.has, g.ring[g.at])
		g.ring[g.at] = h
		g.at = (g.at + 1) % maxGhosts
	}
	g.has[h] = struct{}{}
}

func (g *ghosts) take(h uint64) bool {
	_, ok := g.has[h]
	return ok // it leaves when its place in the ring is needed
}
