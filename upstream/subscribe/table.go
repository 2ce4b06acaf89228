package subscribe

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"headgate/upstream"
)

const (
	mostNodes = 100_000 // of all keys together
	mostKeys  = 1 << 16
)

// Why a node is refused by the table.
var (
	errFullKeys  = errors.New("there are as many keys as max_keys says")
	errFullNodes = errors.New("the key has as many nodes as max_nodes says")
	errFullAll   = errors.New("there are 100000 nodes")
	errReplayed  = errors.New("its time is not later than that of the last packet")
	errWindow    = errors.New("its time is not now: set the clocks of both machines")
	errTooMany   = errors.New("more signatures come than are verified")
	errNoTime    = errors.New("it is signed without a time")
)

// node is a member that was announced. The server's lock guards it, but for key,
// address and modifiers, which are fixed when it is made.
type node struct {
	request // its last one
	address string

	weight, cores, load int
	backup              bool
	signed              bool
	stamp               int64 // that its last signed packet said; 0: none
	since, last         time.Time

	ready  bool
	err    error // of its last probe
	level  int   // of its next probe's wait
	due    time.Time
	cancel context.CancelFunc // of the probe that runs
	gone   bool

	aged   *list.Element // in table.aged
	queued *list.Element // in probes.levels; nil: it waits for none
}

// member is what sources say of n.
func (n *node) member() upstream.Member {
	return upstream.Member{
		Address: n.address, Weight: max(n.weight, 1), Slots: n.cores, Backup: n.backup,
		Modifier1: n.modifiers[0], Modifier2: n.modifiers[1],
	}
}

// table holds the nodes. The zero value is empty. It is not safe for concurrent use.
type table struct {
	keys map[string]*group
	n    int
	aged list.List // of *node, the one that was announced longest ago first
	past past
}

// group is the nodes of one key, at least one.
type group struct {
	nodes map[string]*node // by address
	ready int
}

// find returns the node of a key at an address; nil: there is none.
func (t *table) find(key, address string) *node {
	if g := t.keys[key]; g != nil {
		return g.nodes[address]
	}
	return nil
}

// stamp returns the time that a signed packet of a node has to be later than.
func (t *table) stamp(key, address string) int64 {
	last := t.past.last(key, address)
	if n := t.find(key, address); n != nil {
		last = max(last, n.stamp)
	}
	return last
}

// room returns why there is none for a node of key.
func (t *table) room(key string, maxKeys, maxNodes int) error {
	g := t.keys[key]
	switch {
	case g == nil && len(t.keys) >= maxKeys:
		return errFullKeys
	case g != nil && len(g.nodes) >= maxNodes:
		return errFullNodes
	case t.n >= mostNodes:
		return errFullAll
	}
	return nil
}

func (t *table) add(n *node) {
	if t.keys == nil {
		t.keys = make(map[string]*group)
	}
	g := t.keys[n.key]
	if g == nil {
		g = &group{nodes: make(map[string]*node)}
		t.keys[n.key] = g
	}
	g.nodes[n.address] = n
	n.aged = t.aged.PushBack(n)
	t.n++
}

// markReady notes that n has passed its probe.
func (t *table) markReady(n *node) {
	n.ready = true
	t.keys[n.key].ready++
}

// refresh notes that n was announced again.
func (t *table) refresh(n *node, now time.Time) {
	n.last = now
	t.aged.MoveToBack(n.aged)
}

// remove takes n out, and remembers its last packet until a time.
func (t *table) remove(n *node, until time.Time) {
	g := t.keys[n.key]
	delete(g.nodes, n.address)
	if n.ready {
		g.ready--
	}
	if len(g.nodes) == 0 {
		delete(t.keys, n.key)
	}
	t.aged.Remove(n.aged)
	t.n--
	n.gone = true
	if n.stamp != 0 {
		t.past.remember(n.key, n.address, n.stamp, until)
	}
}

// oldest returns the node that was announced longest ago; nil: there is none.
func (t *table) oldest() *node {
	if e := t.aged.Front(); e != nil {
		return e.Value.(*node)
	}
	return nil
}

// all returns the nodes in the order of their last announcement.
func (t *table) all() []*node {
	out := make([]*node, 0, t.n)
	for e := t.aged.Front(); e != nil; e = e.Next() {
		out = append(out, e.Value.(*node))
	}
	return out
}

// members returns the nodes of a key that are ready, by address; nil: none.
func (t *table) members(key string) []upstream.Member {
	g := t.keys[key]
	if g == nil || g.ready == 0 {
		return nil
	}
	out := make([]upstream.Member, 0, g.ready)
	for _, n := range g.nodes {
		if n.ready {
			out = append(out, n.member())
		}
	}
	slices.SortFunc(out, func(a, b upstream.Member) int { return strings.Compare(a.Address, b.Address) })
	return out
}

// serves reports whether a key has a member.
func (t *table) serves(key string) bool {
	g := t.keys[key]
	return g != nil && g.ready > 0
}
