package access

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// A List says which addresses may come. It is immutable and may be used by several
// goroutines at once. Nil, and one without networks, lets all come.
type List struct {
	allow   networks
	deny    networks
	limited bool // there is an allow
}

// New returns the List of o. Errors are those of Validate.
func New(o Options) (*List, error) {
	allow, err := parseNetworks("allow", o.Allow)
	deny, wrong := parseNetworks("deny", o.Deny)
	if err := errors.Join(err, wrong); err != nil {
		return nil, err
	}
	return &List{newNetworks(allow), newNetworks(deny), len(allow) > 0}, nil
}

// Allows reports whether a client with the address ip may come. It takes time that
// grows with the logarithm of the number of networks, and allocates nothing.
func (l *List) Allows(ip netip.Addr) bool {
	if l == nil {
		return true
	}
	return !l.deny.contain(ip) && (!l.limited || l.allow.contain(ip))
}

// networks are ranges of addresses in their order, none of which touches another.
type networks struct {
	v4 []span4
	v6 []span6
}

// span4 has all from first to last.
type span4 struct{ first, last uint32 }

type span6 struct{ first, last wide }

// wide is an IPv6 address as a number.
type wide struct{ hi, lo uint64 }

func (a wide) compare(b wide) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

func toWide(a netip.Addr) wide {
	b := a.As16()
	return wide{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func toNarrow(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func newNetworks(list []netip.Prefix) (n networks) {
	for _, p := range list {
		if first := p.Addr(); first.Is4() {
			at := toNarrow(first)
			n.v4 = append(n.v4, span4{at, at | uint32(uint64(1)<<(32-p.Bits())-1)})
		} else {
			n.v6 = append(n.v6, newSpan6(toWide(first), p.Bits()))
		}
	}
	slices.SortFunc(n.v4, func(a, b span4) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last)) })
	slices.SortFunc(n.v6, func(a, b span6) int { return cmp.Or(a.first.compare(b.first), b.last.compare(a.last)) })
	n.v4 = outermost(n.v4, func(in, out span4) bool { return in.last <= out.last })
	n.v6 = outermost(n.v6, func(in, out span6) bool { return in.last.compare(out.last) <= 0 })
	return n
}

// outermost drops the spans that are within the one before them. Of two networks one
// contains the other, or they have nothing in common; sorted has the outer one first.
func outermost[S any](sorted []S, within func(in, out S) bool) []S {
	out := sorted[:0]
	for _, s := range sorted {
		if len(out) == 0 || !within(s, out[len(out)-1]) {
			out = append(out, s)
		}
	}
	return out
}

func newSpan6(first wide, bits int) span6 {
	last := first
	if bits < 64 {
		last.hi |= ^uint64(0) >> bits
		last.lo = ^uint64(0)
	} else {
		last.lo |= ^uint64(0) >> (bits - 64)
	}
	return span6{first, last}
}

// contain reports whether one of the networks has ip. The zero Addr is in none.
func (n *networks) contain(ip netip.Addr) bool {
	ip = ip.Unmap()
	switch {
	case ip.Is4() && len(n.v4) > 0:
		return n.contain4(toNarrow(ip))
	case ip.Is6() && len(n.v6) > 0:
		return n.contain6(toWide(ip))
	}
	return false
}

func (n *networks) contain4(at uint32) bool {
	low, high := 0, len(n.v4)
	for low < high { // to the first that begins behind at
		if middle := int(uint(low+high) >> 1); n.v4[middle].first <= at {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && at <= n.v4[low-1].last
}

func (n *networks) contain6(at wide) bool {
	low, high := 0, len(n.v6)
	for low < high {
		if middle := int(uint(low+high) >> 1); n.v6[middle].first.compare(at) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low > 0 && at.compare(n.v6[low-1].last) <= 0
}
