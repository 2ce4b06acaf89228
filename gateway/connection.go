package gateway

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync/atomic"

	"headgate/gateway/forwarded"
	"headgate/gateway/wire"
)

// connection is what is known of one connection for all its requests. What it was
// shown in the handshake does not change, and to put it in words takes a quarter
// of the time that the whole request needs.
type connection struct {
	d     *door
	peer  forwarded.Peer       // the other end
	local netip.AddrPort       // this end
	tls   *tls.ConnectionState // nil: none

	client atomic.Pointer[clientVars] // for the site that was asked for last
}

var _ wire.Handler = (*connection)(nil)

func (d *door) newConnection(remote, local netip.AddrPort, state *tls.ConnectionState) *connection {
	return &connection{d: d, peer: forwarded.NewPeer(remote), local: local, tls: state}
}

// addrPort returns the address of a socket, the zero value for one that is not of
// IP: nobody in particular.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
