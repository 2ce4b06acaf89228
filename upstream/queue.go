package upstream

import (
	"cmp"
	"slices"
	"time"
)

// queue holds the requests of a pool that wait for a slot, and says who comes
// next. The pool's lock guards it: no method blocks, starts anything or looks at
// a clock. The zero value is ready, without a limit and in the order of arrival.
//
// Who comes next: high priority before normal before low, but a lane that was
// passed over 8 times in a row has one turn. In a lane those that have returned,
// the oldest first; then clients take turns, each with its oldest request. Under
// overload (see ages.overloaded) each comes with its newest, and every second turn
// is that of the newest client of those that have had fewer than 8. Nobody is
// dropped for his age: timeouts are the pool's, by remove.
//
// push, next, take and remove take constant time. What is not: a waiter that is
// pushed again is put among others that were (those in flight that came back:
// bounded by slots and by the budget of retries), a push into a full queue may
// look at every flow of a lane, release and a change of fairness (after which all
// are fresh) touch all they move.
type queue struct {
	limit   int // 0: none
	timeout time.Duration
	fair    bool

	n       int
	arrived uint64 // stamp of the last arrival
	turned  uint64 // stamp of the last turn
	lanes   [lanes]lane
	free    binding          // those that any member will do
	bound   map[any]*binding // the others; none is empty
	flows   map[flowKey]*flow
	peak    int // most flows since the map was made
	spare   spares
}

// configure sets the limits and whether clients take turns. Those that wait stay,
// even beyond a lower limit.
func (q *queue) configure(limit int, timeout time.Duration, fair bool) {
	q.limit, q.timeout = limit, timeout
	if q.fair != fair {
		q.regroup(fair)
	}
}

func (q *queue) regroup(fair bool) {
	all := q.everybody()
	slices.SortFunc(all, func(a, b *waiter) int { return cmp.Compare(a.seq, b.seq) })
	for _, w := range all {
		q.leave(w)
	}
	q.fair = fair
	for _, w := range all {
		q.enter(w)
	}
}

// everybody returns all that wait, in no order.
func (q *queue) everybody() []*waiter {
	all := q.free.all(make([]*waiter, 0, q.n))
	for _, b := range q.bound {
		all = b.all(all)
	}
	return all
}

// len returns how many wait.
func (q *queue) len() int { return q.n }

// unbound returns how many wait for any member.
func (q *queue) unbound() int { return q.free.n }

// overloaded reports whether in any lane somebody for whom any member will do has
// used up half of his time.
func (q *queue) overloaded(now time.Time) bool {
	for i := range q.free.parts {
		if q.free.parts[i].ages.overloaded(now, q.timeout) {
			return true
		}
	}
	return false
}

// push lets w wait. When the queue is full, either somebody gives way to w, who
// is returned and no longer in, or w is not taken and ok is false. First those of
// lower priorities give way, the newest of the lowest; then, among clients that
// take turns, the newest of the one with the most waiters in w's lane, if it has
// at least two more than w's client would have. Who has returned is always taken,
// even beyond the limit, never gives way, and is not counted for its client.
func (q *queue) push(w *waiter, now time.Time) (evicted *waiter, ok bool) {
	if w.binding != nil {
		panic("upstream: a waiter is pushed that waits already")
	}
	if w.since.IsZero() {
		w.since = now
	}
	if q.limit > 0 && q.n >= q.limit && !w.returned {
		if evicted = q.yielding(w); evicted == nil {
			return nil, false
		}
		q.leave(evicted)
	}
	q.enter(w)
	return evicted, true
}

// yielding returns who gives way to w, or nil.
func (q *queue) yielding(w *waiter) *waiter {
	at := laneOf(w.priority)
	for i := lowLane; i > at; i-- {
		if last := q.newest(i, false); last != nil {
			return last
		}
	}
	with := 1
	if f := q.flows[q.key(w, at)]; f != nil {
		with += f.n
	}
	l := &q.lanes[at]
	if !q.fair || l.most < with+2 {
		return nil
	}
	last := q.newest(at, true)
	l.most = 0
	if last != nil {
		l.most = last.strand.flow.n
	}
	if l.most < with+2 {
		return nil
	}
	return last
}

// newest returns the last that arrived in a lane, or in that flow of it that has
// the most waiters, of those that have not returned. It looks at every strand.
func (q *queue) newest(lane int, fattest bool) *waiter {
	best := newestOf(&q.free.parts[lane], nil, fattest)
	for _, b := range q.bound {
		best = newestOf(&b.parts[lane], best, fattest)
	}
	return best
}

func newestOf(p *part, best *waiter, fattest bool) *waiter {
	for _, s := range [...]*strand{p.fresh.first, p.seasoned.first} {
		for ; s != nil; s = s.links[byRound].next {
			w, heavier := s.waiters.last, 0
			if best != nil && fattest {
				heavier = cmp.Compare(s.flow.n, best.strand.flow.n)
			}
			if best == nil || heavier > 0 || heavier == 0 && w.seq > best.seq {
				best = w
			}
		}
	}
	return best
}

// next returns who comes next among those that any member will do and those
// bound to m (m nil: the former only), or nil. It stays in; asked again, it is
// the same one, unless time has brought overload or something has changed.
func (q *queue) next(now time.Time, m any) *waiter {
	if q.n == 0 {
		return nil
	}
	own := q.boundTo(m)
	for i := normalLane; i < lanes; i++ {
		if q.lanes[i].passed >= patience {
			if w := q.first(i, now, own); w != nil {
				return w
			}
		}
	}
	for i := range q.lanes {
		if w := q.first(i, now, own); w != nil {
			return w
		}
	}
	return nil
}

// boundTo returns the binding to m, nil when there is none.
func (q *queue) boundTo(m any) *binding {
	if m == nil || len(q.bound) == 0 {
		return nil
	}
	return q.bound[m]
}

// first returns who comes first in a lane; own may be nil.
func (q *queue) first(lane int, now time.Time, own *binding) *waiter {
	var none part
	l, a, b := &q.lanes[lane], &q.free.parts[lane], &none
	if own != nil {
		b = &own.parts[lane]
	}
	if w := longer(a.returned.first, b.returned.first); w != nil {
		return w
	}
	measure := a // of who waits for a slot of m some wait for any
	if a.empty() {
		measure = b
	}
	overloaded := measure.ages.overloaded(now, q.timeout)
	s := sooner(a.seasoned.first, b.seasoned.first)
	switch {
	case !overloaded:
		s = sooner(s, sooner(a.fresh.first, b.fresh.first))
	case s == nil || !l.fresh:
		s = cmp.Or(newer(a.news.last, b.news.last), s)
	}
	if s == nil {
		return nil
	}
	return s.flow.first(&q.free, own, overloaded)
}

// remove takes w out because it gives up: nobody's turn changes. It reports
// whether w was in.
func (q *queue) remove(w *waiter) bool {
	if w.binding == nil {
		return false
	}
	q.leave(w)
	return true
}

// take takes w out because it is given m (nil: the member that w is bound to, if
// it is to one), which is its turn: its client comes last now, and lower lanes in
// which somebody waits for m or for any member were passed over. It reports whether
// w was in.
func (q *queue) take(w *waiter, m any) bool {
	if w.binding == nil {
		return false
	}
	q.lanes[w.lane].passed = 0
	own := w.binding
	if b := q.boundTo(m); b != nil {
		own = b
	}
	for i := w.lane + 1; i < lanes; i++ {
		if !q.free.parts[i].empty() || !own.parts[i].empty() {
			q.lanes[i].passed++
		}
	}
	if w.strand != nil {
		q.turn(w.strand.flow)
	}
	q.leave(w)
	return true
}

// turn notes that f has its turn.
func (q *queue) turn(f *flow) {
	q.turned++
	fresh := !f.seasoned()
	q.lanes[f.key.lane].fresh = fresh
	if fresh {
		f.turns++
	}
	for _, s := range f.strands {
		s.turn = q.turned
		s.binding.parts[f.key.lane].turn(s, fresh && f.seasoned())
	}
}

// release lets those that are bound to m go to any member. Age and order stay.
func (q *queue) release(m any) {
	b := q.boundTo(m)
	if b == nil {
		return
	}
	for i := range q.lanes {
		q.free.absorb(b, i, &q.spare)
	}
	q.free.n += b.n
	delete(q.bound, m)
	q.spare.keepBinding(b)
}

// loosen lets those that have returned and are bound to m go to any member if free
// says so. Age and order stay.
func (q *queue) loosen(m any, free func(*waiter) bool) {
	b := q.boundTo(m)
	for i := 0; b != nil && i < lanes; i++ {
		for w := b.parts[i].returned.first; w != nil; {
			next := w.links[byTurn].next
			if free(w) {
				q.leave(w)
				w.bound = nil
				q.enter(w)
			}
			w = next
		}
	}
}

// enter puts w in, whatever the limit.
func (q *queue) enter(w *waiter) {
	q.n++
	q.arrived++
	w.seq = q.arrived
	w.lane = laneOf(w.priority)
	w.binding = q.bind(w.bound)
	w.binding.n++
	l := &q.lanes[w.lane]
	l.enter()
	w.binding.parts[w.lane].ages.enter(w)
	if w.returned {
		w.binding.parts[w.lane].returned.insertOld(w, byTurn, -1)
		return
	}
	w.strand = q.join(w)
	w.strand.waiters.insert(w, w.strand.waiters.last, byTurn)
	w.binding.parts[w.lane].renew(w.strand, w.seq)
	w.strand.flow.n++
	l.most = max(l.most, w.strand.flow.n)
}

// leave takes w out.
func (q *queue) leave(w *waiter) {
	s, b := w.strand, w.binding
	q.lanes[w.lane].leave()
	b.parts[w.lane].ages.leave(w)
	w.strand, w.binding = nil, nil
	if s == nil {
		b.parts[w.lane].returned.remove(w, byTurn)
	} else {
		s.waiters.remove(w, byTurn)
		s.flow.n--
		q.tidy(s)
	}
	if b.n--; b.n == 0 && b.to != nil {
		delete(q.bound, b.to)
		q.spare.keepBinding(b)
	}
	if q.n--; q.n == 0 && q.peak > sparesMost {
		q.flows, q.peak = nil, 0 // a map never shrinks
	}
}

// bind returns the binding to m, which it makes if need be.
func (q *queue) bind(m any) *binding {
	if m == nil {
		return &q.free
	}
	b := q.bound[m]
	if b == nil {
		b = q.spare.binding()
		b.to = m
		if q.bound == nil {
			q.bound = map[any]*binding{}
		}
		q.bound[m] = b
	}
	return b
}

func (q *queue) key(w *waiter, lane int) flowKey {
	if !q.fair {
		return flowKey{lane: uint8(lane)}
	}
	return keyOf(w.client, lane)
}

// join returns the strand for w, which it makes if need be; a new one is the last
// to have its turn.
func (q *queue) join(w *waiter) *strand {
	k := q.key(w, w.lane)
	f := q.flows[k]
	if f == nil {
		f = q.spare.flow()
		f.key = k
		if q.flows == nil {
			q.flows = map[flowKey]*flow{}
		}
		q.flows[k] = f
		q.peak = max(q.peak, len(q.flows))
	}
	s := f.find(w.binding)
	if s == nil {
		q.turned++
		s = q.spare.strand()
		s.flow, s.binding, s.turn = f, w.binding, q.turned
		f.strands = append(f.strands, s)
		w.binding.parts[w.lane].push(s)
	}
	return s
}

// tidy removes s, and its flow, when nobody is left in it.
func (q *queue) tidy(s *strand) {
	if s.waiters.first != nil {
		return
	}
	f := s.flow
	s.binding.parts[f.key.lane].remove(s)
	f.forget(s)
	q.spare.keepStrand(s)
	if len(f.strands) == 0 {
		delete(q.flows, f.key)
		q.spare.keepFlow(f)
	}
}
