package forwarded

import (
	"errors"
	"fmt"
	"net/netip"
)

// Trust is a set of networks. The zero value trusts nobody. It is immutable and
// safe for concurrent use. It is meant for the few networks of one's own proxies:
// Contains looks at one after the other.
type Trust struct{ networks []netip.Prefix }

// ParseTrust reads networks such as 10.0.0.0/8, and single addresses. It reports
// every entry that is neither, with the cure; then nobody is trusted.
func ParseTrust(list []string) (Trust, error) {
	var t Trust
	var errs []error
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, aerr := netip.ParseAddr(s)
			if aerr != nil || a.Zone() != "" {
				errs = append(errs, fmt.Errorf("%q is not a network: write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7", s))
				continue
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		t.networks = append(t.networks, p.Masked())
	}
	if len(errs) > 0 {
		return Trust{}, errors.Join(errs...)
	}
	return t, nil
}

// Contains reports whether one of the networks has a; an IPv4 address counts in
// either form, and is not in ::/0. It does not allocate.
func (t Trust) Contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range t.networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
