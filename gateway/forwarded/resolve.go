package forwarded

import (
	"net/http"
	"net/netip"
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

// Resolve decides. From a peer that is not trusted nothing in h counts, and the
// text of its address is the one thing allocated. It does not change h.
func Resolve(t Trust, peer netip.AddrPort, tls bool, h http.Header, host string) Result {
	peer = netip.AddrPortFrom(peer.Addr().Unmap(), peer.Port())
	r := Result{Client: peer, Scheme: "http", Host: host}
	if tls {
		r.Scheme = "https"
	}
	if !t.Contains(peer.Addr()) {
		r.For = addrText(peer.Addr())
		return r
	}
	r.Trusted = true
	w := walk{trust: t, client: peer}
	if h["X-Forwarded-For"] != nil || h["X-Forwarded-Proto"] != nil || h["X-Forwarded-Host"] != nil {
		w.fromX(h)
	} else {
		w.fromForwarded(h["Forwarded"])
	}
	r.Client, r.For, r.Broken = w.client, w.chain(peer), w.broken
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
