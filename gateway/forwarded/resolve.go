package forwarded

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how much of a chain is read.
const maxHops = 32

// Result is what is believed of a request.
type Result struct {
	Trusted bool           // the peer is a trusted proxy
	Client  netip.AddrPort // port 0 when only the address is known
	Scheme  string         // "http" or "https"
	Host    string         // with its port; "" when nobody named one

	// For is the value of X-Forwarded-For for the worker: every address that is
	// believed, from the client to the peer.
	For string
}

// Resolve decides. From a peer that is not trusted nothing in h counts. It does
// not change h.
func Resolve(t Trust, peer netip.AddrPort, tls bool, h http.Header, host string) Result {
	r := Result{Client: peer, Scheme: "http", Host: host}
	if tls {
		r.Scheme = "https"
	}
	if !t.Contains(peer.Addr()) {
		r.For = addrText(peer.Addr())
		return r
	}
	r.Trusted = true
	if h["X-Forwarded-For"] != nil || h["X-Forwarded-Proto"] != nil || h["X-Forwarded-Host"] != nil {
		r.fromX(t, peer, h)
	} else {
		r.fromForwarded(t, peer, h)
	}
	return r
}

// Forwarded returns the value of RFC 7239's field for the worker.
func (r *Result) Forwarded() string {
	var b strings.Builder
	b.WriteString("for=")
	if a := r.Client.Addr(); a.Is6() {
		b.WriteString(`"[` + a.String() + `]"`)
	} else {
		b.WriteString(addrText(a))
	}
	b.WriteString(";proto=" + r.Scheme)
	if r.Host != "" {
		b.WriteString(`;host="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(r.Host) + `"`)
	}
	return b.String()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

func (r *Result) fromX(t Trust, peer netip.AddrPort, h http.Header) {
	var hops []netip.AddrPort
	eachFromEnd(h["X-Forwarded-For"], func(s string) bool {
		a, ok := parseNode(s)
		if ok {
			hops = append(hops, a)
		}
		return ok && len(hops) < maxHops
	})
	r.walk(t, peer, hops)
	// The last value is from the proxy next to us; one in front of it that is
	// trusted too has written the same or is wrong.
	if s := last(h["X-Forwarded-Proto"]); s == "http" || s == "https" {
		r.Scheme = s
	}
	if s := last(h["X-Forwarded-Host"]); s != "" {
		r.Host = s
	}
}

// walk goes from the peer towards the client for as long as who reports a hop is
// trusted. hops begin with the one next to the peer.
func (r *Result) walk(t Trust, peer netip.AddrPort, hops []netip.AddrPort) {
	r.Client = peer
	n := 0
	for n < len(hops) && t.Contains(r.Client.Addr()) {
		r.Client = hops[n]
		n++
	}
	var b strings.Builder
	for i := n - 1; i >= 0; i-- {
		b.WriteString(addrText(hops[i].Addr()) + ", ")
	}
	b.WriteString(addrText(peer.Addr()))
	r.For = b.String()
}

func (r *Result) fromForwarded(t Trust, peer netip.AddrPort, h http.Header) {
	var hops []netip.AddrPort
	first := true
	eachFromEnd(h["Forwarded"], func(s string) bool {
		e := parseElement(s)
		if first { // what the proxy next to us says
			first = false
			if p := strings.ToLower(e.proto); p == "http" || p == "https" {
				r.Scheme = p
			}
			if e.host != "" {
				r.Host = e.host
			}
		}
		a, ok := parseNode(e.node)
		if ok {
			hops = append(hops, a)
		}
		return ok && len(hops) < maxHops
	})
	r.walk(t, peer, hops)
}

// last returns the last item of a comma-separated field.
func last(lines []string) (item string) {
	eachFromEnd(lines, func(s string) bool {
		item = s
		return false
	})
	return item
}

// eachFromEnd calls f for the items of a comma-separated field, the last one
// first, until f returns false. A comma in a quoted string does not separate.
func eachFromEnd(lines []string, f func(item string) bool) {
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for more := true; more; {
			var item string
			if j := lastComma(rest); j >= 0 {
				item, rest = rest[j+1:], rest[:j]
			} else {
				item, more = rest, false
			}
			if item = strings.Trim(item, " \t"); item != "" && !f(item) {
				return
			}
		}
	}
}

// lastComma returns the place of the last comma outside quotes, -1 for none.
func lastComma(s string) int {
	quoted, at := false, -1
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '\\' && quoted:
			i++
		case s[i] == ',' && !quoted:
			at = i
		}
	}
	return at
}

// parseNode reads an address with or without a port, in the forms of both kinds
// of fields.
func parseNode(s string) (netip.AddrPort, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Zone() == "" {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), true
	}
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), 0), true
}

// element is one hop of RFC 7239's field.
type element struct{ node, proto, host string }

// parseElement reads the pairs of one hop; what is not understood is left out.
func parseElement(s string) element {
	var e element
	for rest := s; rest != ""; {
		var name, value string
		name, rest, _ = strings.Cut(rest, "=")
		value, rest = cutValue(rest)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "for":
			e.node = value
		case "proto":
			e.proto = value
		case "host":
			e.host = value
		}
	}
	return e
}

// cutValue reads a token or a quoted string and the semicolon behind it.
func cutValue(s string) (value, rest string) {
	if s == "" || s[0] != '"' {
		value, rest, _ = strings.Cut(s, ";")
		return strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			_, rest, _ = strings.Cut(s[i+1:], ";")
			return b.String(), rest
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), ""
}
