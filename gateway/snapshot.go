package gateway

import (
	"io/fs"
	"os"
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
	s.Listeners = g.listeners()
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
		if d.quic != nil {
			out = append(out, stats.Listener{
				Address: d.udp.Conn.LocalAddr().String(), Protocol: "http3",
				Connections: d.openUDP.Load(), Accepted: uint64(d.acceptUDP.Load()),
			})
		}
	}
	return out
}

// describeMembers adds what counters cannot know.
func (g *generation) describeMembers(pools []stats.Pool) {
	for i := range pools {
		p := g.pools[pools[i].Name]
		if p == nil {
			continue
		}
		pools[i].Queued = int64(p.Queued())
		p.Each(func(m upstream.Member, b *backend, _ int64, _ uint64) {
			for j := range pools[i].Members {
				if out := &pools[i].Members[j]; out.Address == m.Address {
					out.Dialect = b.Dialect().String()
					out.Slots = int(p.Options().Slots)
				}
			}
		})
	}
}

// warnMissing tells of sockets that are not there: a worker that starts after
// the gateway is no error.
func (g *Gateway) warnMissing(gen *generation) {
	for name, p := range gen.pools {
		p.Each(func(m upstream.Member, _ *backend, _ int64, _ uint64) {
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
