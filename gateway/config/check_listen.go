package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// listener is an address that this configuration opens.
type listener struct {
	at   path
	text string
	host string
	port int
}

func (c *Config) checkListeners(r *report) {
	root := path{}
	var seen []listener
	for i, a := range c.Listen.HTTP {
		seen = checkListener(r, root.keys("listen.http").item(i), a, seen)
	}
	for i, a := range c.Listen.HTTPS {
		seen = checkListener(r, root.keys("listen.https").item(i), a, seen)
	}
	if c.Metrics != "" {
		checkListener(r, root.key("metrics"), c.Metrics, seen)
	}
	if len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		r.check(root.key("listen"), root, "nothing to serve: no address is listened on", "set listen.http: \":80\" or listen.https: \":443\"")
	}
	if len(c.Listen.HTTPS) == 0 && c.Listen.HTTP3 != nil && *c.Listen.HTTP3 {
		r.check(root.keys("listen.http3"), root, "listen.http3 needs TLS", "set listen.https, or remove http3")
	}
}

// checkListener checks one address and that it is not taken by one before it.
func checkListener(r *report, p path, s string, seen []listener) []listener {
	l := listener{at: p, text: s}
	about := p
	if len(p.elems) == 3 {
		about = p.parent()
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		hint := "write it like \":443\", \"127.0.0.1:8080\" or \"[::1]:80\""
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			hint = fmt.Sprintf("write \":%s\"", s)
		}
		r.check(p, about, quoteShort(s)+" is not an address with a port", hint)
		return seen
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		r.check(p, about, fmt.Sprintf("%s: %s is not a port", quoteShort(s), quoteShort(port)), "a port is a number from 0 (any free one) to 65535")
		return seen
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && hostFault(host) != "" {
		r.check(p, about, fmt.Sprintf("%s: %s is neither an IP address nor a name", quoteShort(s), quoteShort(host)), "write it like \":443\" or \"127.0.0.1:8080\"")
		return seen
	}
	l.host, l.port = host, int(n)
	for _, other := range seen {
		if l.overlaps(other) {
			r.check(p, about, fmt.Sprintf("%s is already taken by %s in %s", quoteShort(s), quoteShort(other.text), other.at.parent()), "give each listener its own port")
			return seen
		}
	}
	return append(seen, l)
}

// overlaps reports whether the two cannot be open at once.
func (l listener) overlaps(o listener) bool {
	if l.port == 0 || l.port != o.port {
		return false
	}
	a, b := l.addr(), o.addr()
	switch {
	case l.host == o.host || a.IsValid() && a == b:
		return true
	case a.IsValid() && b.IsValid() && a.Is4() == b.Is4() || a == netip.IPv6Unspecified() || b == netip.IPv6Unspecified():
		return a.IsUnspecified() || b.IsUnspecified()
	}
	return false
}

// addr is the IP address; no host is every address. It is not valid for a name.
func (l listener) addr() netip.Addr {
	if l.host == "" {
		return netip.IPv6Unspecified()
	}
	a, _ := netip.ParseAddr(l.host)
	return a
}

// checkProxyProtocol looks at those who say who the client is.
func (c *Config) checkProxyProtocol(r *report, p path) {
	networks(r, p, c.Listen.ProxyProtocol)
	for i, s := range c.Listen.ProxyProtocol {
		if n, err := ParseNetwork(s); err == nil && n.Bits() == 0 {
			r.warn(p.item(i), p, quoteShort(s)+" lets every client say who it is", "list the networks of your balancers alone")
		}
	}
	if len(c.Listen.ProxyProtocol) > 0 && c.Listen.UseHTTP3() {
		r.warn(p, path{}.key("listen"), "a balancer that speaks the PROXY protocol does so over TCP, and clients of HTTP/3 come past it", "write http3: false, or have UDP sent here as it is")
	}
}
