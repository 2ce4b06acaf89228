package routing

import (
	"errors"
	"net/netip"
	"strings"
)

// The ways in which a host is refused. Each says what is wrong, and then the cure.
var (
	ErrHostEmpty = errors.New("it is empty: write a name such as example.com")
	ErrHostByte  = errors.New("it has a byte that no host has: use letters, digits, - and dots, and the xn-- form of other letters")
	ErrHostLabel = errors.New("it has an empty label: remove the extra dot")
	ErrHostPort  = errors.New("its port is not a number: use 1 to 65535")
	ErrHostIP    = errors.New("its brackets hold no IPv6 address: write it like [2001:db8::1]")
	ErrHostLong  = errors.New("it is longer than 255 bytes: use a shorter name")
)

const (
	maxHostName = 255
	maxPort     = 65535
)

// NormalizeHost splits a Host field or an authority into name and port: the name
// in lower case without its trailing dot, an IPv6 address in brackets and in its
// shortest form, the port in digits or "". A host that is normal already costs no
// allocation.
//
// It is stricter than RFC 3986, 3.2.2: sub-delimiters and percent-escapes, legal
// there and used by nobody but attackers, are refused, as are user information,
// zones, letters beyond ASCII and empty labels. Whether a name could exist in DNS
// is not asked.
func NormalizeHost(host string) (name, port string, err error) {
	name, port, found := cutPort(host)
	if found {
		if err := checkPort(port); err != nil {
			return "", "", err
		}
	}
	switch {
	case name == "":
		err = ErrHostEmpty
	case len(name) > maxHostName:
		err = ErrHostLong
	case name[0] == '[':
		name, err = normalizeIPv6(name)
	default:
		name, err = normalizeName(name)
	}
	if err != nil {
		return "", "", err
	}
	return name, port, nil
}

// cutPort cuts host at its first colon behind a bracketed address.
func cutPort(host string) (name, port string, found bool) {
	end := 0
	if host != "" && host[0] == '[' {
		if end = strings.IndexByte(host, ']'); end < 0 {
			return host, "", false
		}
	}
	i := strings.IndexByte(host[end:], ':')
	if i < 0 {
		return host, "", false
	}
	return host[:end+i], host[end+i+1:], true
}

// checkPort refuses what is no port. "" is one: RFC 3986, 3.2.3.
func checkPort(port string) error {
	n := 0
	for i := range len(port) {
		c := port[i]
		if c < '0' || c > '9' || i == len("65535") {
			return ErrHostPort
		}
		n = n*10 + int(c-'0')
	}
	if n > maxPort || n == 0 && port != "" {
		return ErrHostPort
	}
	return nil
}

func normalizeName(name string) (string, error) {
	if name = strings.TrimSuffix(name, "."); name == "" {
		return "", ErrHostEmpty
	}
	upper, before := false, byte('.')
	for i := range len(name) {
		c := name[i]
		switch {
		case !hostByte(c):
			return "", ErrHostByte
		case c == '.' && before == '.':
			return "", ErrHostLabel
		}
		upper = upper || 'A' <= c && c <= 'Z'
		before = c
	}
	if before == '.' {
		return "", ErrHostLabel
	}
	if upper {
		name = strings.ToLower(name)
	}
	return name, nil
}

// normalizeIPv6 brings a bracketed address into the form of RFC 5952.
func normalizeIPv6(name string) (string, error) {
	if name[len(name)-1] != ']' {
		return "", ErrHostIP
	}
	ip, err := netip.ParseAddr(name[1 : len(name)-1])
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", ErrHostIP
	}
	var buf [64]byte
	b := append(ip.AppendTo(append(buf[:0], '[')), ']')
	if string(b) == name { // compares without an allocation
		return name, nil
	}
	return string(b), nil
}

// hostByte reports whether c may stand in a registered name: the unreserved
// bytes of RFC 3986.
func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
