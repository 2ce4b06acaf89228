package forwarded

import (
	"net/netip"

	"headgate/gateway/wire"
)

// maxHops bounds how much of a chain is read.
const maxHops = 32

// Result is what is believed of a request.
type Result struct {
	Trusted bool           // the peer is a trusted proxy
	Client  netip.AddrPort // port 0 when only the address is known; IPv4 is never in its IPv6 form
	Scheme  string         // "http" or "https"
	Host    string         // with its port; as sent, or as a proxy said in bytes that a host can have; "" when nobody named one

	// Broken says that what a trusted proxy wrote about its client could not be
	// read, so that Client is that proxy. Who decides by addresses should refuse
	// such a request: the proxy's address may have rights that a client has not. A
	// proxy that hides its client on purpose (unknown, _obfuscated) breaks nothing.
	Broken bool

	// For is the value of X-Forwarded-For for the worker: every address that is
	// believed, from the client to the peer.
	For string
}

// Peer is the other end of a connection, with what Resolve needs of it in words,
// which the requests of a connection share.
type Peer struct {
	addr netip.AddrPort
	text string
}

// NewPeer returns the peer with that address; the zero address is nobody in
// particular.
func NewPeer(a netip.AddrPort) Peer {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	return Peer{addr: a, text: addrText(a.Addr())}
}

// Addr returns the address, an IPv4 one never in its IPv6 form.
func (p Peer) Addr() netip.AddrPort { return p.addr }

// Resolve decides. From a peer that is not trusted nothing in h counts, and
// nothing is allocated. It does not change h.
func Resolve(t Trust, peer Peer, tls bool, h wire.Fields, host string) Result {
	r := Result{Client: peer.addr, Scheme: "http", Host: host}
	if tls {
		r.Scheme = "https"
	}
	if !t.Contains(peer.addr.Addr()) {
		r.For = peer.text
		return r
	}
	r.Trusted = true
	w := walk{trust: t, client: peer.addr}
	if h.Has("X-Forwarded-For") || h.Has("X-Forwarded-Proto") || h.Has("X-Forwarded-Host") {
		w.fromX(h)
	} else {
		w.fromForwarded(h)
	}
	r.Client, r.For, r.Broken = w.client, w.chain(peer.addr), w.broken
	if w.scheme != "" {
		r.Scheme = w.scheme
	}
	if w.host != "" {
		r.Host = w.host
	}
	return r
}

// Forwarded returns the value of RFC 7239's field for the worker, as one hop: the
// client, its scheme and its host.
func (r *Result) Forwarded() string {
	var buf [128]byte
	b := append(buf[:0], "for="...)
	if a := r.Client.Addr(); a.Is6() {
		b = append(b, `"[`...)
		b = a.WithZone("").AppendTo(b)
		b = append(b, `]"`...)
	} else {
		b = append(b, addrText(a)...)
	}
	b = append(append(b, ";proto="...), r.Scheme...)
	if r.Host != "" {
		b = append(b, `;host="`...)
		for i := range len(r.Host) {
			if c := r.Host[i]; c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, r.Host[i])
		}
		b = append(b, '"')
	}
	return string(b)
}

// addrText is a as the fields have it: without a zone, which means nothing on
// another machine.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.WithZone("").String()
}
