package cache

import "sync/atomic"

// index finds resources by their keys. It is read without a lock; everything that
// changes it is called with Store.mu held.
type index struct {
	table atomic.Pointer[[]atomic.Pointer[node]] // a power of two of chains
	count int
}

type node struct {
	res  *resource
	next atomic.Pointer[node]
}

const minChains = 256

func newIndex() *index {
	x := &index{}
	t := make([]atomic.Pointer[node], minChains)
	x.table.Store(&t)
	return x
}

func chain(t []atomic.Pointer[node], hash uint64) *atomic.Pointer[node] {
	return &t[hash&uint64(len(t)-1)]
}

// find returns the resource of a key, or nil.
func (x *index) find(hash uint64, k *key) *resource {
	for n := chain(*x.table.Load(), hash).Load(); n != nil; n = n.next.Load() {
		if n.res.hash.key == hash && n.res.key == *k {
			return n.res
		}
	}
	return nil
}

// add puts in a resource that is not there.
func (x *index) add(r *resource) {
	t := *x.table.Load()
	if x.count >= len(t) {
		t = x.resize(2 * len(t))
	}
	push(t, r)
	x.count++
}

func push(t []atomic.Pointer[node], r *resource) {
	head := chain(t, r.hash.key)
	n := &node{res: r}
	n.next.Store(head.Load())
	head.Store(n)
}

// resize makes a new table: who reads the old one finds what there was.
func (x *index) resize(chains int) []atomic.Pointer[node] {
	t := make([]atomic.Pointer[node], chains)
	x.each(func(r *resource) { push(t, r) })
	x.table.Store(&t)
	return t
}

// remove takes a resource out.
func (x *index) remove(r *resource) {
	t := *x.table.Load()
	at := chain(t, r.hash.key)
	for n := at.Load(); n != nil; n = at.Load() {
		if n.res == r {
			at.Store(n.next.Load())
			x.count--
			break
		}
		at = &n.next
	}
	if len(t) > minChains && x.count < len(t)/8 {
		x.resize(len(t) / 2)
	}
}

// each calls f for every resource.
func (x *index) each(f func(*resource)) {
	t := *x.table.Load()
	for i := range t {
		for n := t[i].Load(); n != nil; n = n.next.Load() {
			f(n.res)
		}
	}
}
