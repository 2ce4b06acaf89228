package upstream

import "fmt"

// plan is a Spec with all transports that it needs made.
type plan[T any] struct {
	pool *Pool[T]
	spec Spec[T]
	made map[Member]T // by member, without those that go on as they are
}

// prepare makes the transports that spec needs and p does not have. It changes
// nothing of p.
func (p *Pool[T]) prepare(spec Spec[T]) (*plan[T], error) {
	pl := &plan[T]{pool: p, spec: spec, made: make(map[Member]T)}
	for _, m := range spec.Members {
		if err := pl.make(m); err != nil {
			pl.discard()
			return nil, err
		}
	}
	p.mu.Lock()
	var named []Member
	if p.driver.Key != spec.Driver.Key {
		for _, m := range p.members {
			if !m.leaving {
				named = append(named, m.Member)
			}
		}
	}
	p.mu.Unlock()
	for _, m := range named {
		if err := pl.make(m); err != nil {
			pl.discard()
			return nil, err
		}
	}
	return pl, nil
}

func (pl *plan[T]) make(m Member) error {
	if _, ok := pl.made[m]; ok || pl.pool.keeps(pl.spec.Driver.Key, m) {
		return nil
	}
	t, err := pl.spec.Driver.Dial(m)
	if err != nil {
		return fmt.Errorf("pool %s: member %s: %w", pl.pool.name, m.Address, err)
	}
	pl.made[m] = t
	return nil
}

// keeps reports whether the transport to m can go on.
func (p *Pool[T]) keeps(key string, m Member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.memberLocked(m.Address)
	return key == p.driver.Key && old != nil && old.alike(&m)
}

func (pl *plan[T]) discard() {
	for _, t := range pl.made {
		pl.spec.Driver.close(t)
	}
}

func (d *Driver[T]) close(t T) {
	if d.Close != nil {
		d.Close(t)
	}
}

// apply makes p be as the plan says. It cannot fail.
func (pl *plan[T]) apply() {
	p := pl.pool
	p.naming.Lock()
	defer p.naming.Unlock()
	pl.catchUp()
	p.mu.Lock()
	before := p.driver
	checked := p.opts.Check
	p.opts = pl.spec.Options.WithDefaults()
	p.driver = pl.spec.Driver
	p.queue.configure(p.opts.Queue.Limit, p.opts.Queue.Timeout, p.opts.Queue.Fairness == FairClients)
	p.signLocked()
	var old []T
	if before.Key != p.driver.Key {
		old = p.renewLocked(pl.made)
	}
	for _, m := range p.members {
		m.slots = int(p.opts.Slots)
		m.checkAnew(checked, p.opts.Check)
	}
	p.mu.Unlock()
	for _, t := range old {
		before.close(t)
	}
	p.sayWith(byFile, pl.spec.Members, pl.made)
	pl.discard() // of members that were named twice
}

// catchUp makes the transports of members that a source has named since prepare,
// if the driver is a new one. The caller holds naming: no more can come.
func (pl *plan[T]) catchUp() {
	p := pl.pool
	p.mu.Lock()
	var named []Member
	if p.driver.Key != pl.spec.Driver.Key {
		for _, m := range p.members {
			if _, ok := pl.made[m.Member]; !ok && !m.leaving {
				named = append(named, m.Member)
			}
		}
	}
	p.mu.Unlock()
	for _, m := range named {
		t, err := pl.spec.Driver.Dial(m)
		if err != nil {
			p.log.Error("member goes on as it was before the reload", "member", m.Address, "err", err)
			continue
		}
		pl.made[m] = t
	}
}

// renewLocked gives the members new transports, which it takes out of made, and
// returns the old ones.
func (p *Pool[T]) renewLocked(made map[Member]T) (old []T) {
	for _, m := range p.members {
		if t, ok := made[m.Member]; ok && !m.leaving {
			old = append(old, m.transport)
			m.transport = t
			delete(made, m.Member)
		}
	}
	return old
}
