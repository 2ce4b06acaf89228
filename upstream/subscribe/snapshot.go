package subscribe

import (
	"cmp"
	"slices"
	"time"
)

// Snapshot is what a Server knows.
type Snapshot struct {
	Listen   []string // where it listens, with the ports that it has got
	Nodes    []Node   // by key and address
	Counters Counters
}

// Node is a member that was announced.
type Node struct {
	Key, Address string
	From         string // of whom: an address, or uid 1000 pid 4711
	Weight       int
	Cores        int
	Load         int
	Backup       bool
	Signed       bool
	Modifiers    [2]uint8
	Ready        bool   // its probe has passed
	Error        string // of its probe
	Since, Last  time.Time
}

// Counters count packets, by what became of them.
type Counters struct {
	Accepted, Unsubscribed                              uint64
	Malformed, NotAllowed, BadSignature, Replayed, Full uint64
	Expired                                             uint64 // nodes, not packets
	Dropped                                             uint64 // not read in time, or beyond what is worked on
}

// Snapshot returns what was announced. The caller owns it.
func (s *Server) Snapshot() Snapshot {
	out := Snapshot{Counters: s.refusals.counters()}
	s.mu.Lock()
	out.Nodes = make([]Node, 0, s.table.n)
	for e := s.table.aged.Front(); e != nil; e = e.Next() {
		out.Nodes = append(out.Nodes, e.Value.(*node).snapshot())
	}
	for _, k := range s.sockets {
		out.Listen = append(out.Listen, k.at)
	}
	s.mu.Unlock()
	slices.Sort(out.Listen)
	slices.SortFunc(out.Nodes, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Address, b.Address))
	})
	return out
}

func (n *node) snapshot() Node {
	out := Node{
		Key: n.key, Address: n.address, From: n.from.String(), Weight: max(n.weight, 1), Cores: n.cores, Load: n.load,
		Backup: n.backup, Signed: n.signed, Modifiers: n.modifiers, Ready: n.ready, Since: n.since, Last: n.last,
	}
	if n.err != nil {
		out.Error = n.err.Error()
	}
	return out
}
