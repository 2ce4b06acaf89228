package subscribe

import "time"

// past remembers when signed packets of nodes that are gone were sent, so that none of
// them is taken again. What would be too much to remember is forgotten in the safe
// direction: by a floor, under which nothing is taken. The zero value is empty.
type past struct {
	keys  map[string]*pastKey
	floor int64
	due   time.Time // when forget looks again
}

// pastKey is what is remembered of the nodes of one key.
type pastKey struct {
	stamps map[string]int64 // by address
	floor  int64
	until  time.Time
}

const (
	pastKeys      = mostKeys // in all
	pastAddresses = 64       // of one key
	forgetEvery   = 10 * time.Second
)

// last returns the latest time that a packet of a node may not go below.
func (p *past) last(key, address string) int64 {
	k := p.keys[key]
	if k == nil {
		return p.floor
	}
	return max(p.floor, k.floor, k.stamps[address])
}

// remember notes a node's last packet until a time.
func (p *past) remember(key, address string, stamp int64, until time.Time) {
	k := p.keys[key]
	if k == nil {
		if len(p.keys) >= pastKeys {
			p.collapse()
		}
		if p.keys == nil {
			p.keys = make(map[string]*pastKey)
		}
		k = &pastKey{stamps: make(map[string]int64)}
		p.keys[key] = k
	}
	if _, ok := k.stamps[address]; !ok && len(k.stamps) >= pastAddresses {
		k.floor = k.highest()
		clear(k.stamps)
	}
	k.stamps[address] = max(k.stamps[address], stamp)
	if until.After(k.until) {
		k.until = until
	}
}

// collapse makes one floor of all.
func (p *past) collapse() {
	for _, k := range p.keys {
		p.floor = max(p.floor, k.highest())
	}
	clear(p.keys)
}

func (k *pastKey) highest() int64 {
	n := k.floor
	for _, s := range k.stamps {
		n = max(n, s)
	}
	return n
}

// forget drops what is no longer needed, because packets from then are too old.
func (p *past) forget(now time.Time) {
	if now.Before(p.due) {
		return
	}
	p.due = now.Add(forgetEvery)
	for key, k := range p.keys {
		if now.After(k.until) {
			delete(p.keys, key)
		}
	}
}
