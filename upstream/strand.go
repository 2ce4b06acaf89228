package upstream

// strand is the waiters of a flow with the same binding, in the order of arrival.
type strand struct {
	flow    *flow
	binding *binding
	waiters waiterList
	turn    uint64 // the lower, the sooner
	arrived uint64 // stamp of its last arrival
	links   [2]strandLinks
}

// strandLinks are a strand's neighbours in one list; both nil outside of it.
type strandLinks struct{ prev, next *strand }

// strandOrder says which of its two links a list of strands uses.
type strandOrder int

const (
	byRound   strandOrder = iota // a list in the order of turns
	byArrival                    // a list in the order of last arrivals
)

// strandList is a doubly linked list of strands. The zero value is empty.
type strandList struct{ first, last *strand }

// push puts s behind all others, where its turn or arrival must belong.
func (l *strandList) push(s *strand, o strandOrder) {
	s.links[o] = strandLinks{prev: l.last}
	if l.last != nil {
		l.last.links[o].next = s
	} else {
		l.first = s
	}
	l.last = s
}

func (l *strandList) remove(s *strand, o strandOrder) {
	prev, next := s.links[o].prev, s.links[o].next
	if prev != nil {
		prev.links[o].next = next
	} else {
		l.first = next
	}
	if next != nil {
		next.links[o].prev = prev
	} else {
		l.last = prev
	}
	s.links[o] = strandLinks{}
}

// sooner returns the strand whose turn is first; either may be nil.
func sooner(a, b *strand) *strand {
	if a == nil || b != nil && b.turn < a.turn {
		return b
	}
	return a
}

// newer returns the strand with the later arrival; either may be nil.
func newer(a, b *strand) *strand {
	if a == nil || b != nil && b.arrived > a.arrived {
		return b
	}
	return a
}
