package acme

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

// method is one way to prove control of a name.
type method struct {
	name   string // of the challenge type
	solver acmez.Solver
	mixed  []method // of an order that no single way can prove: all of them
}

// newMethods makes what the configuration lists. Account returns the URL of the
// account that orders.
func newMethods(options []certs.ChallengeOptions, c *certs.Challenges, account func() string, log *slog.Logger) ([]method, error) {
	if len(options) == 0 {
		options = []certs.ChallengeOptions{{Type: acme.ChallengeTypeHTTP01}, {Type: acme.ChallengeTypeTLSALPN01}}
	}
	var out []method
	for n, o := range options {
		solver, err := newSolver(o, c, account, log)
		if err != nil {
			return nil, fmt.Errorf("challenges[%d]: %w", n, err)
		}
		out = append(out, method{name: o.Type, solver: solver})
	}
	return out, nil
}

func newSolver(o certs.ChallengeOptions, c *certs.Challenges, account func() string, log *slog.Logger) (acmez.Solver, error) {
	switch o.Type {
	case acme.ChallengeTypeHTTP01:
		return httpSolver{c}, nil
	case acme.ChallengeTypeTLSALPN01:
		return tlsSolver{c}, nil
	case acme.ChallengeTypeDNS01:
		return newDNSSolver(o, log)
	case acme.ChallengeTypeDNSPersist01:
		return newPersistSolver(o, account, log), nil
	}
	return nil, fmt.Errorf("%q is not a challenge: write http-01, tls-alpn-01, dns-01 or dns-persist-01", o.Type)
}

// proves reports whether m can prove control of name: wildcards are proven in the
// DNS (RFC 8555 section 8.4), addresses by connecting to them (RFC 8738 section 4).
func (m method) proves(name string) bool {
	switch {
	case strings.HasPrefix(name, "*."):
		return m.dns()
	case isIP(name):
		return !m.dns()
	}
	return true
}

func (m method) dns() bool { return strings.HasPrefix(m.name, "dns-") }

func isIP(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}

// plan says what to try for names, in order. The ACME library chooses among the
// solvers that it is given by how often each had success in this process; it is
// given one at a time, so that the configuration decides. Only where no single way
// proves all names does it get all.
func plan(methods []method, names []string) ([]method, error) {
	var out []method
	for _, m := range methods {
		if provesAll(m, names) {
			out = append(out, m)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	for _, name := range names {
		if err := provable(methods, name); err != nil {
			return nil, err
		}
	}
	return []method{{name: "", mixed: methods}}, nil
}

func provesAll(m method, names []string) bool {
	for _, name := range names {
		if !m.proves(name) {
			return false
		}
	}
	return true
}

func provable(methods []method, name string) error {
	for _, m := range methods {
		if m.proves(name) {
			return nil
		}
	}
	if isIP(name) {
		return fmt.Errorf("%s: control of an address cannot be proven in the DNS: add http-01 or tls-alpn-01 to challenges", name)
	}
	return fmt.Errorf("%s: control of a wildcard is proven in the DNS: add dns-01 to challenges", name)
}
