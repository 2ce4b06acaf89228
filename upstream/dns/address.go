package dns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// target is an address as it is asked for.
type target struct {
	host string // the name, in lower case; a dot at its end stays, it keeps the search list away
	port uint16 // 0: from the SRV records
	srv  bool
}

const srvPrefix = "srv:"

// IsName reports whether address is one that DNS is asked for: a host name with a
// port such as app:3031 or localhost:3031, or an SRV name such as
// srv:_uwsgi._tcp.example.com. IP addresses and sockets are not. It says nothing of
// whether the name is well written; see Check.
func IsName(address string) bool {
	if strings.HasPrefix(address, srvPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" || address[0] == '[' || strings.HasPrefix(address, "unix:") || strings.ContainsAny(address, "/@") {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err != nil && !isNumeric(host)
}

// Check reports what is wrong with an address for which IsName is true, and how to
// write it instead. It asks nobody.
func Check(address string) error {
	_, err := parse(address)
	return err
}

func parse(address string) (target, error) {
	t, err := parseTarget(address)
	if err != nil {
		return target{}, fmt.Errorf("address %q: %w", address, err)
	}
	return t, nil
}

func parseTarget(address string) (target, error) {
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return target{}, errors.New("has a space or a control character in it; take it out")
	}
	if name, ok := strings.CutPrefix(address, srvPrefix); ok {
		return parseSRV(name)
	}
	if !IsName(address) {
		return target{}, errors.New("is not a name with a port; write app:3031 or srv:_uwsgi._tcp.example.com")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return target{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return target{}, fmt.Errorf("port %q is not a number from 1 to 65535; write %s:3031", port, host)
	}
	if err := checkHost(host); err != nil {
		return target{}, err
	}
	return target{host: strings.ToLower(host), port: uint16(number)}, nil
}

func parseSRV(name string) (target, error) {
	if name == "" {
		return target{}, errors.New("has no name; write srv:_uwsgi._tcp.example.com")
	}
	if host, _, ok := strings.Cut(name, ":"); ok {
		return target{}, fmt.Errorf("has a port, which comes from the SRV records; write %s%s", srvPrefix, host)
	}
	if err := checkHost(name); err != nil {
		return target{}, err
	}
	return target{host: strings.ToLower(name), srv: true}, nil
}

func checkHost(host string) error {
	if isNumeric(host) {
		return fmt.Errorf("%q is a number and not a name; write a name such as app", host)
	}
	bare := strings.TrimSuffix(host, ".")
	if len(bare) > 253 {
		return fmt.Errorf("the host name has %d bytes and DNS takes 253; choose a shorter one", len(bare))
	}
	for label := range strings.SplitSeq(strings.ToLower(bare), ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%q is not a host name; write letters, digits, \"-\", \"_\" and \".\" only", host)
		}
		if len(label) > 63 {
			return fmt.Errorf("%q has %d bytes and DNS takes 63 between two dots; choose a shorter one", label, len(label))
		}
	}
	return nil
}

// isNumeric reports whether host can only be a mistyped IPv4 address.
func isNumeric(host string) bool { return strings.Trim(host, "0123456789.") == "" }
