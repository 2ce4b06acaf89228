package upstream

import "cmp"

// familyPlan is a Spec of a family with all transports that it needs made.
type familyPlan[T any] struct {
	family *Family[T]
	spec   Spec[T]
	plans  map[string]*plan[T] // by key
}

// prepare makes the transports that the pools need by spec and do not have. It
// changes nothing of f.
func (f *Family[T]) prepare(spec Spec[T]) (*familyPlan[T], error) {
	pl := &familyPlan[T]{family: f, spec: spec, plans: make(map[string]*plan[T])}
	for _, c := range f.children() {
		one, err := c.pool.prepare(childSpec(spec.Each, c.key))
		if err != nil {
			pl.discard()
			return nil, err
		}
		pl.plans[c.key] = one
	}
	return pl, nil
}

// childSpec is what the pool of a key is made from.
func childSpec[T any](each func(string) Spec[T], key string) Spec[T] {
	spec := each(key)
	return Spec[T]{Options: spec.Options, Driver: spec.Driver}
}

func (pl *familyPlan[T]) discard() {
	for _, one := range pl.plans {
		one.discard()
	}
}

// apply makes f be as the plan says, except for its sources. It cannot fail: of a
// pool that is there since prepare transports that cannot be made stay as they are.
func (pl *familyPlan[T]) apply() {
	f := pl.family
	f.naming.Lock()
	defer f.naming.Unlock()
	f.each, f.most = pl.spec.Each, cmp.Or(pl.spec.MostKeys, DefaultMostKeys)
	for _, c := range f.children() {
		one := pl.plans[c.key]
		if one == nil || one.pool != c.pool {
			one = &plan[T]{pool: c.pool, spec: childSpec(pl.spec.Each, c.key), made: make(map[Member]T)}
		} else {
			delete(pl.plans, c.key)
		}
		one.apply()
	}
	pl.discard() // of pools that are gone since
}
