package upstream

// waiters is a first-in first-out list from which a waiter in the middle can
// leave in constant time. The pool's lock guards it.
type waiters[T any] struct {
	root *waiter[T] // sentinel of a ring; nil when never used
	n    int
}

type waiter[T any] struct {
	ready      chan *member[T] // capacity 1
	tried      *Tried
	prev, next *waiter[T] // nil when not in the list
}

func (q *waiters[T]) len() int { return q.n }

func (q *waiters[T]) first() *waiter[T] { return q.root.next }

func (q *waiters[T]) push(tried *Tried) *waiter[T] {
	if q.root == nil {
		q.root = &waiter[T]{}
		q.root.prev, q.root.next = q.root, q.root
	}
	w := &waiter[T]{ready: make(chan *member[T], 1), tried: tried, prev: q.root.prev, next: q.root}
	w.prev.next, w.next.prev = w, w
	q.n++
	return w
}

// remove takes w out and reports whether it was still in.
func (q *waiters[T]) remove(w *waiter[T]) bool {
	if w.next == nil {
		return false
	}
	w.prev.next, w.next.prev = w.next, w.prev
	w.prev, w.next = nil, nil
	q.n--
	return true
}
