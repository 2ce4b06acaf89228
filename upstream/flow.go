package upstream

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// flow is the waiters of one client in one lane, those that have returned
// excepted. There is one only while it has waiters.
type flow struct {
	key     flowKey
	n       int
	turns   int       // that it has had, up to the quantum
	strands []*strand // one for each binding that its waiters have: nearly always one
}

// quantum is how many turns a flow has until it is seasoned; see ages.overloaded.
const quantum = 16

// seasoned reports whether f has had as many turns as the quantum; until then it
// is fresh.
func (f *flow) seasoned() bool { return f.turns == quantum }

// find returns the strand with the binding, or nil.
func (f *flow) find(b *binding) *strand {
	for _, s := range f.strands {
		if s.binding == b {
			return s
		}
	}
	return nil
}

// first returns who of the flow arrived first, or last, among those of the two
// bindings; b may be nil. One there must be.
func (f *flow) first(a, b *binding, last bool) *waiter {
	var best *waiter
	for _, s := range f.strands {
		if s.binding != a && s.binding != b {
			continue
		}
		w := s.waiters.first
		if last {
			w = s.waiters.last
		}
		if best == nil || (w.seq > best.seq) == last {
			best = w
		}
	}
	return best
}

// forget takes an empty strand out.
func (f *flow) forget(s *strand) {
	i := slices.Index(f.strands, s)
	f.strands = slices.Delete(f.strands, i, i+1)
}

// flowKey says which client in which lane. An IPv6 client is its /64: it has all
// the addresses of one.
type flowKey struct {
	bits   uint64
	family uint8 // 4, 6, or 0 for all clients that are not known
	lane   uint8
}

func keyOf(client netip.Addr, lane int) flowKey {
	k := flowKey{lane: uint8(lane)}
	switch client = client.Unmap(); {
	case client.Is4():
		b := client.As4()
		k.family, k.bits = 4, uint64(binary.BigEndian.Uint32(b[:]))
	case client.Is6():
		b := client.As16()
		k.family, k.bits = 6, binary.BigEndian.Uint64(b[:8])
	}
	return k
}

// spares are what queues throw away and soon need again, at most so many of each
// kind. The zero value is empty.
type spares struct {
	flows    []*flow
	strands  []*strand
	bindings []*binding
}

const (
	sparesMost        = 1024
	spareBindingsMost = 16
)

func (s *spares) flow() *flow {
	if n := len(s.flows); n > 0 {
		f := s.flows[n-1]
		s.flows = s.flows[:n-1]
		return f
	}
	return &flow{}
}

func (s *spares) strand() *strand {
	if n := len(s.strands); n > 0 {
		t := s.strands[n-1]
		s.strands = s.strands[:n-1]
		return t
	}
	return &strand{}
}

func (s *spares) binding() *binding {
	if n := len(s.bindings); n > 0 {
		b := s.bindings[n-1]
		s.bindings = s.bindings[:n-1]
		return b
	}
	return &binding{}
}

func (s *spares) keepFlow(f *flow) {
	if len(s.flows) < sparesMost {
		*f = flow{strands: f.strands[:0]}
		s.flows = append(s.flows, f)
	}
}

func (s *spares) keepStrand(t *strand) {
	if len(s.strands) < sparesMost {
		*t = strand{}
		s.strands = append(s.strands, t)
	}
}

func (s *spares) keepBinding(b *binding) {
	if len(s.bindings) < spareBindingsMost {
		*b = binding{}
		s.bindings = append(s.bindings, b)
	}
}
