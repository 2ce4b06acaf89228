package proxyproto

import (
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Header is what a proxy says of a connection.
type Header struct {
	// Local is a connection that the proxy has made itself, to see whether anybody
	// is there, or of which it does not know more: the addresses are those of the
	// connection, and not here.
	Local bool

	Version     int            // 1 or 2
	Source      netip.AddrPort // who has connected to the proxy; the zero value: nobody in particular, through a socket of files
	Destination netip.AddrPort // and to what
}

func newHeader(h *proxyproto.Header) Header {
	out := Header{Version: int(h.Version), Local: h.Command.IsLocal()}
	if !out.Local {
		out.Source, out.Destination = addrPort(h.SourceAddr), addrPort(h.DestinationAddr)
	}
	return out
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
