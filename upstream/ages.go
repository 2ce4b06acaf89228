package upstream

import "time"

// ages are the waiters of one binding in one lane by age. Those that come in the
// order of their age, or nearly, are in usual; late has the few that were pushed
// again, so that neither makes the others search. The zero value is empty.
type ages struct{ usual, late waiterList }

// nearly is how many places a waiter may have to be moved up in usual.
const nearly = 16

func (a *ages) enter(w *waiter) {
	w.late = !a.usual.insertOld(w, byAge, nearly)
	if w.late {
		a.late.insertOld(w, byAge, -1)
	}
}

func (a *ages) leave(w *waiter) {
	if w.late {
		a.late.remove(w, byAge)
	} else {
		a.usual.remove(w, byAge)
	}
	w.late = false
}

// absorb takes over all of from.
func (a *ages) absorb(from *ages) {
	a.usual.mergeOld(&from.usual)
	a.late.mergeOld(&from.late)
}

// overloaded reports whether the oldest waiter has used up half of its time.
// Each binding has its own: one waiter bound to a member that hangs says nothing of
// those whom any member will do.
//
// From then on the newest waiter is taken (of the flow whose turn it is) and no
// longer the oldest: first in first out would answer everybody just before, or
// just after, their time is over, while those who came last can still be answered
// soon. The old ones stay, and have what is left over until their own timeout.
// Once none of them is left, or the load is gone, it is first in first out again.
//
// Whose turn it is must be turned round as well. When a crowd comes with a request
// each, every flow has one waiter, and the round robin of flows is the order of
// arrival again. So, as fq_codel (RFC 8290) has new and old flows, a flow is fresh
// until it has had its quantum of turns and seasoned after it, and under overload
// turns alternate between the fresh flow that was the last to be joined and the
// round robin of the seasoned. Neither can starve the other: those who ask for much
// have at least half of the turns among them, however large the crowd, and who
// comes anew need not wait behind them. A fresh flow that is joined again is the
// newest again: somebody who asks again must not be held by the place of his first
// request. A turn is no arrival: it makes no flow newer.
//
// Why a quantum of several turns: a browser sends the requests of a page at once,
// six over HTTP/1.1. Were a flow seasoned by its first turn, the other five would
// wait in a round robin of everybody's, which is the order of arrival again, and
// nearly no page would ever be whole. With 240 requests a second, in pages of six,
// on a pool that answers 200, half of those answered waited 12.5 s and longer, and 3
// of 100 pages were whole; with a quantum of 16 half wait at most 17 ms, and 70 of
// 100 pages are whole. Pages of up to twice the quantum, as HTTP/2 sends them at
// once, fare nearly as well: the other half of the turns is left for their rest.
// It must not be large either: until it is used up, a client that asks for much
// passes for one that has just come.
//
// Why not CoDel, which drops from the front what waited longer than a target: a
// packet that is dropped is sent again by TCP and tells the sender to slow down;
// a request that is dropped is an error that a person sees, and a browser does
// not slow down for it. Here only time itself and the limit of the queue turn
// anybody away. CoDel's measure does not fit either: it calls a delay that never
// falls below 5 ms within 100 ms a standing queue, and such a delay is what
// every closed-loop burst makes. When 600 clients send at once to 4 slots of
// 20 ms, the last is answered after 3 s, and while each sends the next request
// as it gets its answer, the wait stays at 3 s for as long as they go on. That is
// no overload: every one is answered, in turn, and to drop or to reorder any
// would make it worse for somebody and better for nobody.
//
// Why half of the timeout: the timeout is the only figure that says how long is
// too long for this pool, so the measure is a part of it. Up to half of it, who
// is taken has at least as much time left as he has waited, and a queue that is
// to drain by itself has had its chance. Much later, and the first requests would
// time out before anything is done; much earlier, and bursts as above would be
// taken for overload (with the standard of 30 s it takes 15 s of waiting).
func (a *ages) overloaded(now time.Time, timeout time.Duration) bool {
	oldest := longer(a.usual.first, a.late.first)
	return oldest != nil && timeout > 0 && now.Sub(oldest.since) > timeout/2
}
