package gateway

import (
	"net/netip"
	"sync"
)

// guests count the connections of each client: of an IPv4 address, or of the first
// 64 bits of an IPv6 one, below which one machine has as many addresses as it likes.
// Who has no address is not counted. The zero value is ready to use.
type guests struct {
	mu   sync.Mutex // guards the field below
	open map[netip.Addr]int
}

// enter reports whether there may be one connection more; limit 0 is none.
func (g *guests) enter(client netip.Addr, limit int) bool {
	client = household(client)
	if !client.IsValid() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit > 0 && g.open[client] >= limit {
		return false
	}
	if g.open == nil {
		g.open = make(map[netip.Addr]int)
	}
	g.open[client]++
	return true
}

// leave ends a connection that has entered.
func (g *guests) leave(client netip.Addr) {
	client = household(client)
	if !client.IsValid() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[client]--; g.open[client] <= 0 {
		delete(g.open, client)
	}
}

// household is what connections are counted by.
func household(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}
