package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// Lengths of a pause. It ends by itself: one that is forgotten must not keep a
// site down.
const (
	PauseUsual = 5 * time.Minute
	PauseMost  = time.Hour
)

// DrainMember takes the member of a pool at an address out of service, or with on
// false back into it. Drained, it gets no new request, and those that it has go
// on; that holds over reloads, until it is taken back. It does not block. An error
// whose NotFound() bool is true says that there is no such pool or member.
func (g *Gateway) DrainMember(pool, address string, on bool) (stats.PoolChange, error) {
	p, err := g.poolNamed(pool)
	if err != nil {
		return stats.PoolChange{}, err
	}
	before := p.Snapshot()
	m, isMember := memberAt(before.Members, address)
	if isMember {
		address = m.Address
	}
	if _, found := p.Drain(address, on); !found { // one that is no member now may have been drained when it was
		return stats.PoolChange{}, g.unknownMember(pool, address, before.Members)
	}
	changed := !isMember || (m.State == upstream.StateDrained) != on
	if changed && on {
		g.log.Info("member drained by an operator", "pool", pool, "member", address)
	} else if changed {
		g.log.Info("member undrained by an operator", "pool", pool, "member", address)
	}
	return changeOf(p, address, changed), nil
}

// PausePool holds back the requests of a pool that are not yet at a member: they
// wait in its queue, within its limits, for d or until ResumePool. 0 is PauseUsual,
// and more than PauseMost an error. It does not block, and errors are those of
// DrainMember.
func (g *Gateway) PausePool(pool string, d time.Duration) (stats.PoolChange, error) {
	p, err := g.poolNamed(pool)
	if err != nil {
		return stats.PoolChange{}, err
	}
	if d == 0 {
		d = PauseUsual
	}
	if d < 0 || d > PauseMost {
		return stats.PoolChange{}, fmt.Errorf("a pool cannot be paused for %s: write a time up to %s, and pause it again before that is over", d, PauseMost)
	}
	until := time.Now().Add(d).Round(0) // a clock's time, as people read it
	p.Pause(until)
	g.log.Info("pool paused by an operator: requests wait", "pool", pool, "until", until)
	return changeOf(p, "", true), nil
}

// ResumePool ends a pause. It does not block, and errors are those of DrainMember.
func (g *Gateway) ResumePool(pool string) (stats.PoolChange, error) {
	p, err := g.poolNamed(pool)
	if err != nil {
		return stats.PoolChange{}, err
	}
	was := p.Resume()
	if was {
		g.log.Info("pool resumed by an operator", "pool", pool)
	}
	return changeOf(p, "", was), nil
}

// changeOf tells how the member of p at an address is now; "" is all of p.
func changeOf(p operable, address string, changed bool) stats.PoolChange {
	s := p.Snapshot()
	c := stats.PoolChange{Pool: p.Name(), Member: address, Changed: changed, Queued: int64(s.Queued), PausedUntil: s.Paused}
	for _, m := range s.Members {
		if m.State == upstream.StateUp || m.State == upstream.StateTrial {
			c.Up++
		}
		if address != "" && m.Address != address {
			continue
		}
		c.InFlight += int64(m.InFlight)
		if address != "" && m.State != upstream.StateLeaving {
			c.State = string(m.State)
		}
	}
	return c
}

// memberAt finds the member that an operator means by an address: as Snapshot has
// it, written in another way, or a path without its "unix:".
func memberAt(members []upstream.MemberState, address string) (upstream.MemberState, bool) {
	plain := plainAddress(address)
	for _, m := range members {
		if m.State != upstream.StateLeaving && (m.Address == address || plain != "" && plainAddress(m.Address) == plain) {
			return m, true
		}
	}
	return upstream.MemberState{}, false
}

// plainAddress is the one way of writing an address; "" for what is none.
func plainAddress(address string) string {
	if strings.HasPrefix(address, "/") || strings.HasPrefix(address, "@") {
		address = "unix:" + address
	}
	a, err := uwsgi.ParseAddress(address)
	if err != nil {
		return ""
	}
	return a.String()
}

// operable is a pool, or those of all hosts together.
type operable interface {
	Name() string
	Snapshot() upstream.PoolState
	Drain(address string, on bool) (inFlight int, found bool)
	Pause(until time.Time) (inFlight int)
	Resume() bool
}

func (g *Gateway) poolNamed(name string) (operable, error) {
	gen := g.current.Load()
	if gen == nil {
		return nil, unknownPart{asked: name, text: "the gateway has not read its configuration yet"}
	}
	if p := gen.pools[name]; p != nil {
		return p, nil
	}
	if f := gen.families[name]; f != nil {
		return f, nil
	}
	known := slices.Sorted(maps.Keys(gen.conf.Pools))
	if len(known) == 0 {
		return nil, unknownPart{asked: name, text: fmt.Sprintf("there is no pool %q: the configuration has none", name)}
	}
	return nil, unknownPart{asked: name, known: known, text: fmt.Sprintf("there is no pool %q: there is %s", name, listed(known))}
}

func (g *Gateway) unknownMember(pool, address string, members []upstream.MemberState) error {
	u := unknownPart{asked: address}
	for _, m := range members {
		if m.State != upstream.StateLeaving {
			u.known = append(u.known, m.Address)
		}
	}
	fact := fmt.Sprintf("pool %q has no member %q", pool, address)
	if g.isName(pool, address) {
		fact = fmt.Sprintf("%q in pool %q is a name, and its addresses are the members", address, pool)
	}
	if len(u.known) == 0 {
		u.text = fact + ": it has none at all at the moment"
		return u
	}
	u.text = fact + ": it has " + listed(u.known)
	return u
}

// isName reports whether an address of the configuration is one that DNS knows
// the addresses of.
func (g *Gateway) isName(pool, address string) bool {
	_, names := g.current.Load().conf.Pools[pool].Named()
	return slices.ContainsFunc(names, func(m upstream.Member) bool { return m.Address == address })
}

// listed joins the first few names.
func listed(names []string) string {
	const most = 8
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// unknownPart is an error of a pool or a member that there is not.
type unknownPart struct {
	text  string
	asked string
	known []string
}

// Error implements error.
func (e unknownPart) Error() string { return e.text }

// NotFound is what package admin asks of errors.
func (unknownPart) NotFound() bool { return true }

// Names returns what was asked for and what there is.
func (e unknownPart) Names() (asked string, known []string) { return e.asked, e.known }
