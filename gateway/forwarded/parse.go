package forwarded

import (
	"net/netip"
	"slices"
	"strings"

	"headgate/gateway/wire"
)

// maxItems bounds the empty items of a list that are passed over: RFC 9110,
// 5.6.1.2 asks for "a reasonable number".
const maxItems = 2 * maxHops

// eachFromEnd calls f for the items of a comma-separated field without quotes,
// the last one of the last line first, until f returns false.
func eachFromEnd(h wire.Fields, name string, f func(item string) bool) {
	items := 0
	for _, line := range slices.Backward(h) {
		if !wire.Same(line.Name, name) {
			continue
		}
		rest := line.Value
		for at := len(rest); at >= 0; items++ {
			if items == maxItems {
				return
			}
			at = strings.LastIndexByte(rest, ',')
			item := strings.Trim(rest[at+1:], " \t")
			if item != "" && !f(item) {
				return
			}
			rest = rest[:max(at, 0)]
		}
	}
}

// lastItem returns the last item of a comma-separated field, "" for none.
func lastItem(h wire.Fields, name string) (item string) {
	eachFromEnd(h, name, func(s string) bool {
		item = s
		return false
	})
	return item
}

// parseNode reads an address with or without a port, in the forms of both kinds
// of fields. An obfuscated port is left out; an obfuscated or unknown address is
// not read, nor one with a zone, which no other machine knows.
func parseNode(s string) (netip.AddrPort, bool) {
	addr, port := s, ""
	switch i := strings.LastIndexByte(s, ':'); {
	case s != "" && s[0] == '[':
		end := strings.IndexByte(s, ']')
		if end < 0 || !strings.Contains(s[:end], ":") { // brackets are for IPv6
			return netip.AddrPort{}, false
		}
		addr, port = s[1:end], s[end+1:]
	case i >= 0 && i == strings.IndexByte(s, ':'): // one colon is no IPv6
		addr, port = s[:i], s[i:]
	}
	a, err := netip.ParseAddr(addr)
	n, ok := parsePort(port)
	if err != nil || !ok || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), n), true
}

// parsePort reads ":80"; "" and ":_hidden" are port 0.
func parsePort(s string) (uint16, bool) {
	if s == "" {
		return 0, true
	}
	digits := s[1:]
	if s[0] != ':' || digits == "" {
		return 0, false
	}
	if digits[0] == '_' { // RFC 7239, 6: obfport
		return 0, true
	}
	n := 0
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return 0, false
		}
	}
	return uint16(n), true
}
