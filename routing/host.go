package routing

import (
	"errors"
	"net/netip"
	"strings"
)

// The ways in which a host is refused.
var (
	ErrHostEmpty = errors.New("it is empty")
	ErrHostByte  = errors.New("it has a byte that no host has")
	ErrHostPort  = errors.New("its port is not a number up to 65535")
	ErrHostIP    = errors.New("its brackets hold no IPv6 address")
	ErrHostLong  = errors.New("it is longer than 255 bytes")
)

// NormalizeHost splits a Host field or an authority into name and port: the name
// in lower case without its trailing dot, an IPv6 address in brackets, the port
// in digits or "". A host that is normal already costs no allocation.
func NormalizeHost(host string) (name, port string, err error) {
	switch {
	case host == "":
		return "", "", ErrHostEmpty
	case len(host) > 255+6:
		return "", "", ErrHostLong
	case host[0] == '[':
		return normalizeIPv6(host)
	}
	name = host
	if i := strings.IndexByte(host, ':'); i >= 0 {
		name, port = host[:i], host[i+1:]
		if port, err = checkPort(port); err != nil {
			return "", "", err
		}
	}
	upper := false
	for i := range len(name) {
		c := name[i]
		if !hostByte(c) {
			return "", "", ErrHostByte
		}
		upper = upper || 'A' <= c && c <= 'Z'
	}
	if upper {
		name = strings.ToLower(name)
	}
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return "", "", ErrHostEmpty
	}
	return name, port, nil
}

func normalizeIPv6(host string) (name, port string, err error) {
	i := strings.IndexByte(host, ']')
	if i < 0 {
		return "", "", ErrHostIP
	}
	ip, err := netip.ParseAddr(host[1:i])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", "", ErrHostIP
	}
	rest := host[i+1:]
	if rest != "" {
		if rest[0] != ':' {
			return "", "", ErrHostByte
		}
		if port, err = checkPort(rest[1:]); err != nil {
			return "", "", err
		}
	}
	if name = "[" + ip.String() + "]"; name == host[:i+1] {
		name = host[:i+1]
	}
	return name, port, nil
}

func checkPort(port string) (string, error) {
	n := 0
	for i := range len(port) {
		c := port[i]
		if c < '0' || c > '9' {
			return "", ErrHostPort
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return "", ErrHostPort
		}
	}
	return port, nil
}

// hostByte reports whether c may stand in a registered name: unreserved bytes of
// RFC 3986. Sub-delimiters and escapes are legal there and used by nobody but
// attackers.
func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
