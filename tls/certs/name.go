package certs

import (
	"net"
	"net/netip"
	"strings"
)

const maxName = 253 // RFC 1035 section 2.3.4, without the final dot

// cleanName is how names are compared: lower case, without a final dot, IP
// addresses in their canonical form without brackets. It allocates only when it
// changes something.
func cleanName(s string) string {
	s = strings.TrimSuffix(strings.ToLower(s), ".")
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	if looksLikeIP(s) {
		if a, err := netip.ParseAddr(s); err == nil {
			return a.Unmap().WithZone("").String()
		}
	}
	return s
}

func looksLikeIP(s string) bool {
	if s == "" {
		return false
	}
	last := s[len(s)-1]
	return strings.IndexByte(s, ':') >= 0 || (last >= '0' && last <= '9')
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isLocal reports whether a clean name can only mean something on this machine
// or this network: RFC 6761 section 6.3 (localhost), ICANN's .internal, and
// addresses.
func isLocal(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		strings.HasSuffix(name, ".internal") || isIP(name)
}

// isHostName reports whether a clean name can stand in a certificate. What a
// client sends as its server name is checked with it before anything is issued.
func isHostName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// parent is what follows the first label of name, with its dot: the key under
// which wildcards are found.
func parent(name string) string {
	if i := strings.IndexByte(name, '.'); i > 0 {
		return name[i:]
	}
	return ""
}

// matches reports whether the name in a certificate, exact or with one leading
// wildcard label, stands for host.
func matches(pattern, host string) bool {
	if pattern == host {
		return true
	}
	return strings.HasPrefix(pattern, "*.") && pattern[1:] == parent(host) && !isIP(host)
}

// localIP is the address that the client connected to, or "".
func localIP(c net.Conn) string {
	if c == nil {
		return ""
	}
	var ip net.IP
	switch a := c.LocalAddr().(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.IsUnspecified() {
		return ""
	}
	return a.Unmap().String()
}
