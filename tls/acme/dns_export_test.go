package acme

import (
	"context"
	"log/slog"
	"time"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/miekg/dns"

	"headgate/tls/certs"
)

// What package acme_test sees of the DNS challenges.

func NewDNSSolver(o certs.ChallengeOptions, log *slog.Logger) (acmez.Solver, error) {
	return newDNSSolver(o, log)
}

func NewPersistSolver(o certs.ChallengeOptions, account func() string, log *slog.Logger) acmez.Solver {
	return newPersistSolver(o, account, log)
}

func WithNames(ctx context.Context, names []string) context.Context { return withNames(ctx, names) }

func ParseAccounts(data []byte) (map[string]acmeDNSAccount, error) { return parseAccounts(data) }

func ParsePersist(text string) error {
	_, err := parsePersist(text)
	return err
}

// TextThroughDNS sends a value as a TXT record and returns what is read there.
func TextThroughDNS(value string) ([]string, error) {
	const name = "a.test."
	rr, err := textRecord("test.", libdns.RR{Type: "TXT", Name: "a", Data: value})
	if err != nil {
		return nil, err
	}
	wire, err := (&dns.Msg{Answer: []dns.RR{rr}}).Pack()
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if err := m.Unpack(wire); err != nil {
		return nil, err
	}
	return dnsAnswer{msg: m}.texts(name), nil
}

// LimitCommand changes how long the command of a dns-01 solver may run.
func LimitCommand(s acmez.Solver, d time.Duration) { s.(*dnsSolver).provider.(*command).limit = d }

// FindServersAt makes a solver expect the name servers that it finds at port.
func FindServersAt(s acmez.Solver, port string) { s.(*dnsSolver).look.port = port }

// Proofs is how many records a dns-01 solver remembers.
func Proofs(s acmez.Solver) int {
	d := s.(*dnsSolver)
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.present)
}
