package forwarded

import (
	"net/netip"
	"slices"
	"strings"

	"headgate/gateway/wire"
)

// walk goes from the peer towards the client for as long as who reports a hop is
// trusted.
type walk struct {
	trust        Trust
	client       netip.AddrPort // the farthest hop believed so far
	scheme, host string         // "" when no field that is believed said
	broken       bool           // client, a trusted proxy, reported what could not be read

	hops [maxHops]netip.Addr // what was believed, the one next to the peer first
	n    int
}

// next believes the hop that client reports, and says whether to go on.
func (w *walk) next(node string) bool {
	a, ok := parseNode(node)
	if !ok {
		w.broken = !isHidden(node)
		return false
	}
	w.hops[w.n], w.client = a.Addr(), a
	w.n++
	return w.n < maxHops && w.trust.Contains(a.Addr())
}

// isHidden reports whether a proxy chose not to name the hop: no for=, "unknown",
// or an obfuscated name, RFC 7239, 6.2 and 6.3.
func isHidden(node string) bool {
	return node == "" || node[0] == '_' || strings.EqualFold(node, "unknown")
}

// said takes what a believed hop tells of the request, if it makes sense.
func (w *walk) said(scheme, host string) {
	switch {
	case strings.EqualFold(scheme, "https"), strings.EqualFold(scheme, "wss"): // Traefik: wss for a WebSocket
		w.scheme = "https"
	case strings.EqualFold(scheme, "http"), strings.EqualFold(scheme, "ws"):
		w.scheme = "http"
	}
	if isHost(host) {
		w.host = host
	}
}

func (w *walk) fromX(h wire.Fields) {
	w.said(lastItem(h, "X-Forwarded-Proto"), lastItem(h, "X-Forwarded-Host"))
	eachFromEnd(h, "X-Forwarded-For", w.next)
}

func (w *walk) fromForwarded(h wire.Fields) {
	items := 0
	for _, line := range slices.Backward(h) {
		if !wire.Same(line.Name, "Forwarded") {
			continue
		}
		for rest, more := line.Value, true; more; items++ {
			if items == maxItems {
				return
			}
			var item string
			rest, item, more = cutLast(rest)
			e, ok := parseElement(item)
			switch {
			case !ok:
				w.broken = true
				return
			case e.empty:
				continue
			}
			w.said(e.proto, e.host)
			if !w.next(e.node) {
				return
			}
		}
	}
}

// chain is what was believed, from the client to the peer.
func (w *walk) chain(peer netip.AddrPort) string {
	if w.n == 0 {
		return addrText(peer.Addr())
	}
	var buf [256]byte
	b := buf[:0]
	for i := w.n - 1; i >= 0; i-- {
		b = append(w.hops[i].AppendTo(b), ", "...)
	}
	return string(append(b, addrText(peer.Addr())...))
}

// isHost reports whether s has only bytes of a host with a port. That it is
// well-formed is for who routes by it to check.
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~:[]", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxHost
}

// maxHost is a name of 255 bytes, a dot and a port.
const maxHost = 255 + len(".:65535")
