package gateway

import (
	"io/fs"
	"os"
	"slices"
	"strings"

	"headgate/gateway/stats"
	"headgate/upstream"
)

// Snapshot returns what the gateway knows of itself now. The caller owns it.
func (g *Gateway) Snapshot() stats.Snapshot {
	s := stats.Snapshot{
		Version: g.version, Config: g.source, StartedAt: g.started,
		Generation:        g.generation(),
		State:             g.state.Load().(stats.State),
		Sites:             g.counters.Sites(),
		Pools:             g.counters.Pools(),
		Cache:             g.cacheStats(),
		Certificates:      g.certificates(),
		CertificateCounts: stats.CertificateCounts(g.certs.Counts()),
		ECH:               g.ech(),
		LogDropped:        g.access.Dropped(), SpanDropped: g.tracer.Dropped(),
	}
	g.mu.Lock()
	s.LastReload = g.lastReload
	g.mu.Unlock()
	if gen := g.current.Load(); gen != nil {
		gen.describeMembers(s.Pools)
	}
	if gen := g.current.Load(); gen != nil && len(gen.families) > 0 {
		s.Subscribed = g.describeAnnounced()
	}
	for i := range s.Pools {
		s.Pools[i].Workers = g.describeWorkers(s.Pools[i].Name)
	}
	s.Apps = g.providing.describe()
	s.Listeners = g.listeners()
	for i := range s.Sites {
		s.Sites[i].Maintenance = g.switches.on(s.Sites[i].Name)
	}
	return s
}

func (g *Gateway) listeners() []stats.Listener {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	var out []stats.Listener
	for _, d := range g.doors {
		out = append(out, stats.Listener{
			Address: d.tcp.Addr().String(), Protocol: d.scheme(),
			Connections: d.open.Load(), Accepted: uint64(d.accepted.Load()),
		})
		if d.h3.Accepting() {
			out = append(out, stats.Listener{
				Address: d.h3.Addr().String(), Protocol: "http3",
				Connections: d.h3.Open(), Accepted: d.h3.Accepted(),
			})
		}
	}
	return out
}

// describeMembers adds what counters cannot know. Who is a member is for the pool
// to say: counters may have some that are not any more, or not yet.
func (g *generation) describeMembers(pools []stats.Pool) {
	for i := range pools {
		out := &pools[i]
		if f := g.families[out.Name]; f != nil {
			f.describeMembers(out)
			continue
		}
		p := g.pools[out.Name]
		if p == nil {
			continue
		}
		describePool(out, p.Pool, membersOf(out.Members))
	}
}

// describeMembers is that of a generation for the pools of all hosts together. An
// instance that serves several of them is one member.
func (f *family) describeMembers(out *stats.Pool) {
	counted := membersOf(out.Members)
	at := make(map[string]int) // places in out.Members
	out.Members = nil
	for _, p := range f.All() {
		var one stats.Pool
		describePool(&one, p, counted)
		out.Queued += one.Queued
		out.Overloaded = out.Overloaded || one.Overloaded
		if one.PausedUntil.After(out.PausedUntil) {
			out.PausedUntil = one.PausedUntil
		}
		for _, m := range one.Members {
			if i, is := at[m.Address]; is {
				out.Members[i] = alsoIn(out.Members[i], m)
				continue
			}
			at[m.Address] = len(out.Members)
			out.Members = append(out.Members, m)
		}
	}
}

// alsoIn is a member of several pools: what they have counted together, and how it
// fares where it fares worse.
func alsoIn(m, other stats.Member) stats.Member {
	if m.State == stats.MemberUp || m.State == stats.MemberLeaving {
		m, other = other, m
	}
	m.InFlight += other.InFlight
	m.Aways += other.Aways
	m.Ejections += other.Ejections
	return m
}

func membersOf(members []stats.Member) map[string]stats.Member {
	by := make(map[string]stats.Member, len(members))
	for _, m := range members {
		by[m.Address] = m
	}
	return by
}

// describePool adds to what was counted of the members of a pool what it knows
// itself.
func describePool(out *stats.Pool, p *upstream.Pool[*backend], counted map[string]stats.Member) {
	s := p.Snapshot()
	out.Queued, out.PausedUntil, out.Overloaded = int64(s.Queued), s.Paused, s.Overloaded
	out.Members = describe(s.Members, counted)
	p.Each(func(m upstream.Member, b *backend) {
		if j := indexOf(out.Members, m.Address); j >= 0 {
			out.Members[j].Dialect = b.dialect()
		}
	})
}

// describe joins what a pool and what the counters know. One that leaves and has
// come back already is one member.
func describe(members []upstream.MemberState, counted map[string]stats.Member) []stats.Member {
	out := make([]stats.Member, 0, len(members))
	for _, m := range members {
		d := describeMember(m, counted[m.Address])
		j := indexOf(out, m.Address)
		switch {
		case j < 0:
			out = append(out, d)
		case m.State == upstream.StateLeaving:
			out[j].InFlight += d.InFlight
		default:
			d.InFlight += out[j].InFlight
			out[j] = d
		}
	}
	return out
}

func describeMember(m upstream.MemberState, counted stats.Member) stats.Member {
	d := counted
	d.Address, d.State, d.Cause = m.Address, string(m.State), m.Cause
	if m.State == upstream.StateEjected {
		d.Until = m.Since
	} else {
		d.Since = m.Since
	}
	d.Slots, d.Limit, d.Known = m.Slots, m.Limit, m.Known
	d.Weight, d.Backup, d.Share = max(m.Weight, 1), m.Backup, m.Share
	if m.HasLoad {
		d.Load = &stats.Load{Slots: m.Load.Slots, Accepting: m.Load.Accepting, Busy: m.Load.Busy, Queued: m.Load.Queued}
	}
	d.Aways, d.Ejections = m.Aways, m.Ejects
	d.InFlight = int64(m.InFlight) // checks take a slot too
	return d
}

// indexOf returns where the member at an address is, below 0 if it is not.
func indexOf(members []stats.Member, address string) int {
	return slices.IndexFunc(members, func(m stats.Member) bool { return m.Address == address })
}

// warnMissing tells of sockets that are not there: a worker that starts after
// the gateway is no error.
func (g *Gateway) warnMissing(gen *generation) {
	for name, p := range gen.pools {
		p.Each(func(m upstream.Member, _ *backend) {
			path, ok := strings.CutPrefix(m.Address, "unix:")
			if !ok || strings.HasPrefix(path, "@") {
				return
			}
			info, err := os.Stat(path)
			switch {
			case err != nil:
				g.log.Warn("no socket yet: start the worker, or correct the address", "pool", name, "member", m.Address, "err", err)
			case info.Mode()&fs.ModeSocket == 0:
				g.log.Warn("the member's address is not a socket", "pool", name, "member", m.Address)
			}
		})
	}
}
