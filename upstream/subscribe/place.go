package subscribe

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// place is where a server listens. Places are compared.
type place struct {
	path string // of a datagram socket; "": udp at ap
	ap   netip.AddrPort
}

// port returns 0 for any port that is free, and for paths 1.
func (p place) port() uint16 {
	if p.path != "" {
		return 1
	}
	return p.ap.Port()
}

// String is p as it is written in the configuration.
func (p place) String() string {
	if p.path != "" {
		return "unix:" + p.path
	}
	return "udp:" + p.ap.String()
}

// parseListen reads udp:127.0.0.1:2626 or unix:/run/headgate/subscribe.sock.
func parseListen(s string) (place, error) {
	if at, ok := strings.CutPrefix(s, "udp:"); ok {
		if strings.HasPrefix(at, ":") {
			at = "[::]" + at
		}
		ap, err := netip.ParseAddrPort(at)
		if err != nil || ap.Addr().Zone() != "" {
			return place{}, fmt.Errorf("%q is no address to listen at: write it like udp:127.0.0.1:2626 or udp:[::]:2626", s)
		}
		return place{ap: netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, nil
	}
	path, ok := strings.CutPrefix(s, "unix:")
	switch {
	case !ok:
		return place{}, fmt.Errorf("%q is neither udp nor unix: write udp:127.0.0.1:2626 or unix:/run/headgate/subscribe.sock", s)
	case !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0):
		return place{}, fmt.Errorf("%q is no absolute path of a file: write it like unix:/run/headgate/subscribe.sock", s)
	case len(path) > maxSocketPath:
		return place{}, fmt.Errorf("the path %s has %d bytes, and a socket's has at most %d: choose a shorter one", path, len(path), maxSocketPath)
	}
	return place{path: path}, nil
}

// places reads a list; what cannot be read is left out.
func places(listen []string) ([]place, error) {
	var errs []error
	out := make([]place, 0, len(listen))
	for i, s := range listen {
		p, err := parseListen(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen[%d]: %w", i, err))
			continue
		}
		out = append(out, p)
	}
	return out, errors.Join(errs...)
}
