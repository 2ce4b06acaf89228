package config

import (
	"fmt"
	"net/netip"
	"strings"

	"headgate/routing"
)

// hostFault says what is wrong with a host of a site, with the cure after a
// colon, or "".
func hostFault(host string) string {
	q := quoteShort(host)
	name := strings.TrimSuffix(strings.TrimPrefix(host, "*."), ".")
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		return fmt.Sprintf("%s has no brackets: write %q", q, "["+host+"]")
	}
	if strings.HasPrefix(host, "[") {
		return routingFault(host)
	}
	switch {
	case host == "":
		return "a host is empty: remove hosts for a site that takes every other host"
	case host == "*":
		return "\"*\" is not a host: remove hosts for a site that takes every other host"
	case strings.Contains(host, "://"), strings.Contains(host, "/"):
		return fmt.Sprintf("%s is a URL, not a host: write %s", q, quoteShort(bareHost(host)))
	case strings.Contains(host, ":"):
		return fmt.Sprintf("%s has a port: write %s; ports are set under listen", q, quoteShort(bareHost(host)))
	case strings.Contains(name, "*"):
		return q + " has a * that is not its first label: write it like *.example.com"
	}
	if len(name) > 253 {
		return q + " is longer than 253 characters"
	}
	for label := range strings.SplitSeq(name, ".") {
		if fault := labelFault(label); fault != "" {
			return q + " " + fault
		}
	}
	return routingFault(host)
}

// routingFault is the last word: whether the table of routes takes the host.
func routingFault(host string) string {
	if _, err := routing.CheckHost(host); err != nil {
		return err.Error()
	}
	return ""
}

func bareHost(host string) string {
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host = rest
	}
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	return host
}

func labelFault(label string) string {
	if label == "" {
		return "has an empty label: remove the extra dot"
	}
	if len(label) > 63 {
		return "has a label of more than 63 characters"
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return "has a label that begins or ends with -"
	}
	for _, r := range label {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '-', r == '_':
		case r > 127:
			return "has letters beyond ASCII: write it as its xn-- name"
		default:
			return fmt.Sprintf("has a %q, which no host name has", r)
		}
	}
	return ""
}
