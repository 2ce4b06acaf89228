package uwsgi

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is where a member listens. Addresses that mean the same compare
// equal, as far as that shows without asking DNS. The zero value is no address.
type Address struct {
	Network string // "tcp" or "unix"
	Addr    string // as net.Dial takes it; an abstract socket is "@name\x00"
}

// maxSocketPath is what sockaddr_un holds besides the NUL that ends it.
const maxSocketPath = 107

// ParseAddress reads an address as it is written in a configuration:
//
//	unix:/run/app.sock   a socket file, by its absolute path
//	unix:@name           an abstract socket, in uWSGI's way of naming them
//	10.0.0.7:3031        IPv4
//	[::1]:3031           IPv6
//	app.internal:3031    a host name; every dial looks it up
//
// An error says how to write it instead.
func ParseAddress(s string) (Address, error) {
	a, err := parseAddress(s)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	return a, nil
}

func parseAddress(s string) (Address, error) {
	if s == "" {
		return Address{}, errors.New("is empty; write unix:/run/app.sock or 10.0.0.7:3031")
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return Address{}, errors.New("has a space or a control character in it; take it out")
		}
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok && !strings.Contains(scheme, "/") {
		return Address{}, schemeError(scheme, rest)
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseSocket(path)
	}
	switch {
	case s[0] == '@':
		return Address{}, fmt.Errorf("an abstract socket needs a prefix; write unix:%s", s)
	case s[0] == '/':
		return Address{}, fmt.Errorf("a socket's path needs a prefix; write unix:%s", s)
	case strings.Contains(s, "/") || strings.HasSuffix(s, ".sock"):
		return Address{}, errors.New("looks like a socket's path; write unix: and the absolute path, as in unix:/run/app.sock")
	}
	return parseTCP(s)
}

// schemeError is for a URL in place of an address.
func schemeError(scheme, rest string) error {
	switch scheme = strings.ToLower(scheme); scheme {
	case "unix":
		return fmt.Errorf("is not a URL; write unix:/%s", strings.TrimLeft(rest, "/"))
	case "uwsgi", "suwsgi", "http", "https", "tcp":
	default:
		return fmt.Errorf("%s:// is not known here; write unix:/run/app.sock or 10.0.0.7:3031", scheme)
	}
	if host, _, _ := strings.Cut(rest, "/"); host != "" {
		rest = host
	} else {
		rest = "10.0.0.7:3031"
	}
	switch scheme {
	case "suwsgi":
		return fmt.Errorf("is not a URL; write %s, and protocol: suwsgi on the pool", rest)
	case "http", "https":
		return errors.New("is a server that speaks HTTP, and members speak uwsgi; give the address of a uwsgi socket, such as 10.0.0.7:3031")
	}
	return fmt.Errorf("is not a URL; write %s", rest)
}

func parseSocket(path string) (Address, error) {
	if name, ok := strings.CutPrefix(path, "@"); ok {
		switch {
		case name == "":
			return Address{}, errors.New("names no socket; write unix:@name")
		case len(name) > maxSocketPath-1:
			return Address{}, fmt.Errorf("the name has %d bytes and the system takes %d; choose a shorter one", len(name), maxSocketPath-1)
		}
		// uWSGI binds abstract names with a NUL behind them, and it counts.
		return Address{Network: "unix", Addr: path + "\x00"}, nil
	}
	switch {
	case path == "":
		return Address{}, errors.New("names no socket; write unix:/run/app.sock")
	case path[0] != '/':
		return Address{}, errors.New("is relative to nobody knows what; write the absolute path, as in unix:/run/app.sock")
	case strings.HasSuffix(path, "/"):
		return Address{}, errors.New("names a directory; write the socket's own path, as in unix:/run/app.sock")
	case len(path) > maxSocketPath:
		return Address{}, fmt.Errorf("the path has %d bytes and the system takes %d for a socket; put it into a shorter directory, such as /run", len(path), maxSocketPath)
	}
	return Address{Network: "unix", Addr: path}, nil
}

func parseTCP(s string) (Address, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return Address{}, fmt.Errorf("has no port; write %s", net.JoinHostPort(ip.String(), "3031"))
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err != nil && strings.Count(s, ":") > 1 && s[0] != '[':
		return Address{}, errors.New("has too many colons; an IPv6 address stands in brackets, as in [::1]:3031")
	case err != nil && isDigits(s):
		return Address{}, fmt.Errorf("has no host; write 127.0.0.1:%s", s)
	case err != nil && !strings.Contains(s, ":"):
		return Address{}, fmt.Errorf("has no port; write %s:3031, or unix: before a socket's path", s)
	case err != nil:
		return Address{}, errors.New("is not understood; write 10.0.0.7:3031, [::1]:3031 or unix:/run/app.sock")
	case host == "":
		return Address{}, fmt.Errorf("has no host; write 127.0.0.1:%s", port)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || !isDigits(port) {
		return Address{}, fmt.Errorf("port %q is not a number from 1 to 65535; write %s", port, net.JoinHostPort(host, "3031"))
	}
	if host, err = parseHost(host, s[0] == '['); err != nil {
		return Address{}, err
	}
	return Address{Network: "tcp", Addr: net.JoinHostPort(host, strconv.FormatUint(number, 10))}, nil
}

// parseHost returns a host in the one form that it is kept in.
func parseHost(host string, brackets bool) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String(), nil
	}
	if brackets {
		return "", fmt.Errorf("%q is not an IPv6 address; brackets stand around nothing else", host)
	}
	if strings.Trim(host, "0123456789.") == "" {
		return "", fmt.Errorf("%q is not an IPv4 address; write four numbers from 0 to 255", host)
	}
	if len(host) > 253 {
		return "", fmt.Errorf("the host name has %d bytes and DNS takes 253", len(host))
	}
	host = strings.ToLower(host)
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("%q is not a host name; write letters, digits, \"-\" and \".\" only", host)
		}
	}
	return host, nil
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// String returns the address as ParseAddress reads it, "" for the zero value.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + strings.TrimSuffix(a.Addr, "\x00")
	}
	return a.Addr
}

// Host returns the name or the IP address without port and brackets, which is
// also the name to check a certificate against. It is "" for a unix socket.
func (a Address) Host() string {
	if a.Network != "tcp" {
		return ""
	}
	host, _, _ := net.SplitHostPort(a.Addr)
	return host
}

// MarshalText implements encoding.TextMarshaler with String.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler with ParseAddress.
func (a *Address) UnmarshalText(text []byte) error {
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
