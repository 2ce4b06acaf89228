package headers

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxOrigin bounds an Origin that is looked at.
const maxOrigin = 512

// pattern is an origin that may, or all below a host.
type pattern struct {
	exact string // as browsers write it; "" if there is a *

	// Of https://*.example.com:8443.
	begin string // https://
	end   string // .example.com:8443
}

// matches reports whether origin, as a browser has sent it, is meant.
func (p pattern) matches(origin string) bool {
	if p.exact != "" {
		return origin == p.exact
	}
	rest, ok := strings.CutPrefix(origin, p.begin)
	if !ok {
		return false
	}
	labels, ok := strings.CutSuffix(rest, p.end)
	return ok && isHost(labels)
}

// parseOrigin reads an origin of the configuration. The error is the fact and the
// cure.
func parseOrigin(s string) (pattern, error) {
	wrong := func(format string, args ...any) (pattern, error) {
		return pattern{}, fmt.Errorf("%q "+format, append([]any{s}, args...)...)
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !isScheme(strings.ToLower(scheme)) || len(s) > maxOrigin {
		return wrong("is not an origin: write it like https://app.example.com")
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return wrong("has a path, which no origin has: write %s://%s", scheme, rest[:i])
	}
	if strings.Contains(rest, "@") {
		return wrong("has a name and password: remove what is in front of the @")
	}
	if lower := strings.ToLower(s); lower != s {
		return wrong("is not in lower case, as browsers write it: write %s", lower)
	}
	host, port, err := cutPort(rest)
	if err != nil {
		return wrong("has the port %s: %w", port, err)
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return wrong("has the usual port, which browsers do not write: write %s://%s", scheme, host)
	}
	below, star := strings.CutPrefix(host, "*.")
	switch {
	case strings.Contains(below, "*"):
		return wrong("has a * that is not its first label: write it like https://*.example.com")
	case !isHost(below) && !(isIPv6(host) && !star):
		return wrong("has no host that a browser writes: write it like https://app.example.com, letters beyond ASCII as xn--")
	case star && !strings.Contains(below, ".") && !isPrivate(below):
		return wrong("is everybody below %s: write a domain of yours, like https://*.example.com", below)
	case star:
		return pattern{begin: scheme + "://", end: rest[1:]}, nil
	}
	return pattern{exact: s}, nil
}

// isPrivate reports whether nobody can register a name below a domain (RFC 6761).
func isPrivate(domain string) bool {
	switch domain {
	case "localhost", "test", "example", "internal", "local":
		return true
	}
	return false
}

// cutPort parts host:port. Without a port it is "".
func cutPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", nil
	}
	port = s[i+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port || n == 0 {
		return s, port, fmt.Errorf("which is none: write a number from 1 to 65535")
	}
	return s[:i], port, nil
}

func isScheme(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}

// isHost reports whether s is labels as browsers write them, with dots between
// them.
func isHost(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		default:
			return false
		}
	}
	return true
}

// isIPv6 reports whether s is an address in brackets, in its shortest form.
func isIPv6(s string) bool {
	inner, ok := strings.CutPrefix(s, "[")
	inner, end := strings.CutSuffix(inner, "]")
	a, err := netip.ParseAddr(inner)
	return ok && end && err == nil && a.Is6() && a.Zone() == "" && a.String() == inner
}
