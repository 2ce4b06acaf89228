package upstream

import (
	"cmp"
	"slices"
)

// binding is the waiters that are content with the same: any member (to is nil),
// or one. The zero value is empty and of any member.
type binding struct {
	to    any
	n     int
	parts [lanes]part
}

// all adds b's waiters to list.
func (b *binding) all(list []*waiter) []*waiter {
	for i := range b.parts {
		for _, l := range []waiterList{b.parts[i].ages.usual, b.parts[i].ages.late} {
			for w := l.first; w != nil; w = w.links[byAge].next {
				list = append(list, w)
			}
		}
	}
	return list
}

// part is the waiters of one binding in one lane.
type part struct {
	ages            ages
	returned        waiterList // the oldest first
	fresh, seasoned strandList // by turns; see flow.seasoned
	news            strandList // the fresh once more, by arrivals
}

func (p *part) empty() bool {
	return p.returned.first == nil && p.fresh.first == nil && p.seasoned.first == nil
}

// push puts s behind all others; its turn and its arrival must come after theirs.
func (p *part) push(s *strand) {
	if s.flow.seasoned() {
		p.seasoned.push(s, byRound)
		return
	}
	p.fresh.push(s, byRound)
	p.news.push(s, byArrival)
}

func (p *part) remove(s *strand) {
	if s.flow.seasoned() {
		p.seasoned.remove(s, byRound)
		return
	}
	p.fresh.remove(s, byRound)
	p.news.remove(s, byArrival)
}

// turn puts s behind all others in the order of turns, among the seasoned if this
// turn was its flow's last fresh one. A turn is no arrival: among the news a fresh
// one stays where it is.
func (p *part) turn(s *strand, last bool) {
	switch {
	case last:
		p.fresh.remove(s, byRound)
		p.news.remove(s, byArrival)
		p.seasoned.push(s, byRound)
	case s.flow.seasoned():
		p.seasoned.remove(s, byRound)
		p.seasoned.push(s, byRound)
	default:
		p.fresh.remove(s, byRound)
		p.fresh.push(s, byRound)
	}
}

// renew notes that somebody has arrived in s, after all others of p.
func (p *part) renew(s *strand, arrived uint64) {
	s.arrived = arrived
	if !s.flow.seasoned() && p.news.last != s {
		p.news.remove(s, byArrival)
		p.news.push(s, byArrival)
	}
}

// take empties p of strands and returns them with more.
func (p *part) take(more []*strand) []*strand {
	for _, l := range []*strandList{&p.fresh, &p.seasoned} {
		for s := l.first; s != nil; s = l.first {
			p.remove(s)
			more = append(more, s)
		}
	}
	return more
}

// put is the reverse of take.
func (p *part) put(all []*strand) {
	slices.SortFunc(all, func(x, y *strand) int { return cmp.Compare(x.turn, y.turn) })
	for _, s := range all {
		p.push(s)
	}
	slices.SortFunc(all, func(x, y *strand) int { return cmp.Compare(x.arrived, y.arrived) })
	for _, s := range all {
		p.renew(s, s.arrived)
	}
}

// absorb makes all waiters of from, in one lane, waiters of b. A flow's turn is
// the sooner of the two it had. Strands that are no longer needed go to the
// spares.
func (b *binding) absorb(from *binding, lane int, spare *spares) {
	old, p := &from.parts[lane], &b.parts[lane]
	p.ages.absorb(&old.ages)
	for w := old.returned.first; w != nil; w = old.returned.first {
		old.returned.remove(w, byTurn)
		w.bound, w.binding = b.to, b
		p.returned.insertOld(w, byTurn, -1)
	}
	moved := old.take(nil)
	if len(moved) == 0 {
		return
	}
	all := p.take(nil)
	for _, s := range moved {
		own := s.flow.find(b)
		for w := s.waiters.first; w != nil; w = w.links[byTurn].next {
			w.bound, w.binding, w.strand = b.to, b, cmp.Or(own, s)
		}
		if own == nil {
			s.binding = b
			all = append(all, s)
			continue
		}
		own.turn, own.arrived = min(own.turn, s.turn), max(own.arrived, s.arrived)
		own.waiters.merge(&s.waiters)
		s.flow.forget(s)
		spare.keepStrand(s)
	}
	p.put(all)
}
