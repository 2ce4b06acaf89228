package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// A Resolver looks up one name. Its methods may be called by any number of
// goroutines at once and return soon after ctx ends.
//
// An error that wraps ErrNoName is an answer: there is no such name, or nothing of
// the kind that was asked for. Any other says that nobody knows.
type Resolver interface {
	// Addresses returns at least one address of host and how long they hold. If
	// host has IPv4 addresses it returns those only.
	Addresses(ctx context.Context, host string) (addrs []netip.Addr, ttl time.Duration, err error)

	// Services returns at least one SRV record of name and how long they hold.
	Services(ctx context.Context, name string) (records []net.SRV, ttl time.Duration, err error)
}

// ErrNoName says that a name does not exist, as far as DNS and the hosts file know.
var ErrNoName = errors.New("dns: no such name")

// NoTTL is for answers without one: those of the hosts file.
const NoTTL time.Duration = -1

// hostsTTL stands in for NoTTL: package net does not read the hosts file more often.
const hostsTTL = 5 * time.Second

// System looks names up as this machine does: with the hosts file, the DNS
// servers, search list and options of resolv.conf, and the order in
// nsswitch.conf. Changes of these files are seen within seconds. The zero value is
// ready to use.
type System struct {
	// Dial connects to a DNS server; nil: a net.Dialer does. What it returns for
	// "udp" must be a net.PacketConn.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Addresses implements Resolver.
func (s System) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	h := s.listen(ctx)
	// The look-up is not ended by its own ctx, since package net would then leave
	// goroutines behind; h closes its connections instead.
	addrs, err := h.resolver().LookupNetIP(context.WithoutCancel(ctx), "ip", host)
	if err := h.judge(host, err); err != nil {
		return nil, 0, err
	}
	var v4, v6 []netip.Addr
	for _, a := range addrs {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	ttl, err := h.sure(host, len(v4) > 0)
	if err != nil {
		return nil, 0, err
	}
	if len(v4) > 0 {
		return v4, ttl, nil
	}
	return v6, ttl, nil
}

// Services implements Resolver.
func (s System) Services(ctx context.Context, name string) ([]net.SRV, time.Duration, error) {
	h := s.listen(ctx)
	_, found, err := h.resolver().LookupSRV(context.WithoutCancel(ctx), "", "", name)
	if len(found) > 0 {
		err = nil // records with odd targets have been left out
	}
	if err := h.judge(name, err); err != nil {
		return nil, 0, err
	}
	records := make([]net.SRV, len(found))
	for i, r := range found {
		records[i] = *r
	}
	ttl, err := h.sure(name, true)
	if err != nil {
		return nil, 0, err
	}
	return records, ttl, nil
}

func (s System) listen(ctx context.Context) *hearing {
	h := &hearing{ctx: ctx, next: s.Dial, heard: make(map[question]reply)}
	if h.next == nil {
		h.next = new(net.Dialer).DialContext
	}
	return h
}
