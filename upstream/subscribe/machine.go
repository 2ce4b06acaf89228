package subscribe

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// machine knows the addresses of the machine that it is on. The zero value is
// ready; its methods are safe for concurrent use.
type machine struct {
	mu    sync.Mutex // guards the fields below
	addrs map[netip.Addr]bool
	read  time.Time
}

// is reports whether an address is one of this machine.
func (m *machine) is(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshLocked()
	return m.addrs[ip]
}

// refresh sees to it that is does not ask the system at once.
func (m *machine) refresh() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshLocked()
}

func (m *machine) refreshLocked() {
	if now := time.Now(); m.addrs == nil || now.Sub(m.read) > 5*time.Second {
		m.addrs, m.read = localAddrs(), now
	}
}

func localAddrs() map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	addrs, _ := net.InterfaceAddrs() // without them only loopback is ours
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				out[ip.Unmap()] = true
			}
		}
	}
	return out
}
