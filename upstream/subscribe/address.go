package subscribe

import (
	"errors"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// maxSocketPath is what sockaddr_un holds besides the NUL that ends it.
const maxSocketPath = 107

// What is wrong with an address.
var (
	errAddressByte = errors.New("address has a space or a control character in it")
	errAbstract    = errors.New("address is an abstract socket, which anybody may bind: use a file")
	errRelative    = errors.New("address is a relative path: write the absolute one in the worker's socket option")
	errDots        = errors.New("address is a path with .. in it")
	errDirectory   = errors.New("address is a directory")
	errSocketPath  = errors.New("address is a path of more than 107 bytes")
	errNoHost      = errors.New("address has no host, and over a unix socket nobody knows it: write the host in the worker's socket option")
	errPort        = errors.New("address has no port from 1 to 65535")
	errHostName    = errors.New("address has a host that is no IP address")
	errNoUnicast   = errors.New("address is not of one machine")
)

// endpoint is where a node listens. The zero value is nowhere.
type endpoint struct {
	path string // of a socket file; "": it is ap
	ap   netip.AddrPort

	guessed bool // the host is the one that the datagram came from
}

// String is the endpoint as uwsgi.ParseAddress reads it.
func (e endpoint) String() string {
	if e.path != "" {
		return "unix:" + e.path
	}
	return e.ap.String()
}

// complete reads an address as uWSGI sends it, which is as somebody has written it
// in the worker's configuration. A host that is not said or stands for all of the
// machine's is the one that the datagram came from.
func complete(address string, from sender) (endpoint, error) {
	for i := range len(address) {
		if address[i] <= ' ' || address[i] == 0x7f {
			return endpoint{}, errAddressByte
		}
	}
	switch {
	case strings.HasPrefix(address, "@"):
		return endpoint{}, errAbstract
	case strings.HasPrefix(address, "/"):
		return completePath(address)
	}
	return completeTCP(address, from)
}

func completePath(p string) (endpoint, error) {
	switch {
	case strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/."):
		return endpoint{}, errDirectory
	case strings.Contains(p+"/", "/../"):
		return endpoint{}, errDots
	}
	if p = path.Clean(p); len(p) > maxSocketPath {
		return endpoint{}, errSocketPath
	}
	return endpoint{path: p}, nil
}

func completeTCP(address string, from sender) (endpoint, error) {
	colon := strings.LastIndexByte(address, ':')
	if colon < 0 {
		return endpoint{}, errRelative // a path without a slash, or nothing that anybody listens at
	}
	host, port := address[:colon], address[colon+1:]
	if strings.Contains(host, "/") {
		return endpoint{}, errRelative
	}
	if !isPort(port) {
		return endpoint{}, errPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return endpoint{}, errPort
	}
	ip, guessed, err := completeHost(host, from)
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{ap: netip.AddrPortFrom(ip, uint16(n)), guessed: guessed}, nil
}

func completeHost(host string, from sender) (ip netip.Addr, guessed bool, err error) {
	if host != "" {
		bare, ok := strings.CutPrefix(host, "[")
		if ok {
			bare, ok = strings.CutSuffix(bare, "]")
		}
		parsed, err := netip.ParseAddr(bare)
		if err != nil || parsed.Zone() != "" || ok != parsed.Is6() {
			return ip, false, errHostName
		}
		ip = parsed.Unmap()
	}
	if guessed = host == "" || ip.IsUnspecified(); guessed {
		if from.isUnix() {
			return ip, false, errNoHost
		}
		ip = from.ip
	}
	if ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || ip.IsUnspecified() {
		return ip, false, errNoUnicast
	}
	return ip, guessed, nil
}
