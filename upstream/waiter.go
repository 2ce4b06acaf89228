package upstream

import (
	"net/netip"
	"time"
)

// waiter is a request that waits. It lies in the request: to wait allocates
// nothing. While it is in a queue nobody but the queue changes it. The zero value
// is out of any queue; one that has left may be pushed again.
type waiter struct {
	client   netip.Addr // whose turn it takes; all that are invalid share one
	priority Priority
	since    time.Time // when the request first began to wait or run: its age; zero: when it is pushed
	returned bool      // it had a member, never ran, and came back: before all others of its priority
	bound    any       // nil: any member will do; else only next of an equal value returns it
	owner    any       // the request, for whom next returns the waiter to; the queue leaves it alone

	binding *binding // nil: in no queue
	strand  *strand  // nil: in no queue, or it has returned
	lane    int
	seq     uint64 // of its arrival
	late    bool   // which list of its ages it is in
	links   [2]waiterLinks
}

// waiterLinks are a waiter's neighbours in one list; both nil outside of it.
type waiterLinks struct{ prev, next *waiter }

// waiterOrder says which of its two links a list of waiters uses.
type waiterOrder int

const (
	byTurn waiterOrder = iota // the list of a strand, or of those that have returned
	byAge                     // a list of ages
)

// waiterList is a doubly linked list of waiters. The zero value is empty.
type waiterList struct{ first, last *waiter }

// insert puts w behind at; nil: in front of all.
func (l *waiterList) insert(w, at *waiter, o waiterOrder) {
	next := l.first
	if at != nil {
		next = at.links[o].next
		at.links[o].next = w
	} else {
		l.first = w
	}
	if next != nil {
		next.links[o].prev = w
	} else {
		l.last = w
	}
	w.links[o] = waiterLinks{prev: at, next: next}
}

// insertOld puts w behind the last one that is not younger, and looks for it from
// the young end, past at most so many. It reports whether that was enough.
func (l *waiterList) insertOld(w *waiter, o waiterOrder, most int) bool {
	at := l.last
	for ; at != nil && at.since.After(w.since); at = at.links[o].prev {
		if most == 0 {
			return false
		}
		most--
	}
	l.insert(w, at, o)
	return true
}

func (l *waiterList) remove(w *waiter, o waiterOrder) {
	prev, next := w.links[o].prev, w.links[o].next
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
	w.links[o] = waiterLinks{}
}

// merge takes over all of from. Both are in the order of arrival, and so is what
// comes of them.
func (l *waiterList) merge(from *waiterList) {
	var at *waiter
	next := l.first
	for w := from.first; w != nil; {
		following := w.links[byTurn].next
		for next != nil && next.seq < w.seq {
			at, next = next, next.links[byTurn].next
		}
		l.insert(w, at, byTurn)
		at, w = w, following
	}
	*from = waiterList{}
}

// mergeOld takes over all of from. Both are by age, and so is what comes of them.
func (l *waiterList) mergeOld(from *waiterList) {
	var at *waiter
	next := l.first
	for w := from.first; w != nil; {
		following := w.links[byAge].next
		for next != nil && longer(next, w) == next {
			at, next = next, next.links[byAge].next
		}
		l.insert(w, at, byAge)
		at, w = w, following
	}
	*from = waiterList{}
}

// longer returns which of the two is older; either may be nil.
func longer(a, b *waiter) *waiter {
	switch {
	case a == nil || b != nil && b.since.Before(a.since):
		return b
	case b != nil && b.since.Equal(a.since) && b.seq < a.seq:
		return b
	}
	return a
}
