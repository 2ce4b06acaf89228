package acme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"headgate/tls/certs"
)

const persistName = "_validation-persist."

// persistSolver solves dns-persist-01 (draft-ietf-acme-dns-persist): a record that
// the operator sets once lets an account of an authority prove control for good.
// It sets nothing; it makes sure that the record is there before the authority is
// asked to look, and says what to create when it is not. Safe for concurrent use.
type persistSolver struct {
	account func() string
	look    *dnsLook
	check   bool
	log     *slog.Logger
}

var _ acmez.Solver = (*persistSolver)(nil)

// newPersistSolver returns a solver of dns-persist-01. Account returns the URL of
// the account that orders; it is called when a challenge comes. Of the order's
// names it hears by withNames.
func newPersistSolver(o certs.ChallengeOptions, account func() string, log *slog.Logger) acmez.Solver {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &persistSolver{account: account, look: newDNSLook(o.Resolvers), check: o.PropagationTimeout >= 0, log: log}
}

// orderNames is the key of the names that an order is for.
type orderNames struct{}

// withNames tells solvers the names of the order that is placed with ctx: a
// challenge does not say whether it is a wildcard's.
func withNames(ctx context.Context, names []string) context.Context {
	return context.WithValue(ctx, orderNames{}, names)
}

// wantsWildcard reports whether the order of ctx has the wildcard of domain.
func wantsWildcard(ctx context.Context, domain string) bool {
	names, _ := ctx.Value(orderNames{}).([]string)
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, "*."+domain) })
}

// Present implements acmez.Solver.
func (s *persistSolver) Present(ctx context.Context, c acme.Challenge) error {
	want := persistWant{issuers: c.IssuerDomainNames, account: s.account(), wildcard: wantsWildcard(ctx, c.Identifier.Value)}
	if len(want.issuers) == 0 || want.account == "" {
		return errors.New("dns-persist-01: the authority does not say under which name it looks for itself: use dns-01")
	}
	if !s.check {
		return nil
	}
	name := dns.CanonicalName(persistName + c.Identifier.Value)
	found, err := s.records(ctx, name)
	if err != nil {
		return fmt.Errorf("dns-persist-01: look for %s: %w: set resolvers to name servers that answer here", name, err)
	}
	var wrong []error
	for _, text := range found {
		r, err := parsePersist(text)
		if err == nil {
			err = want.fits(r, time.Now())
		}
		if err == nil {
			s.log.Debug("persistent record found", "record", name)
			return nil
		}
		wrong = append(wrong, fmt.Errorf("%q %w", text, err))
	}
	return fmt.Errorf("dns-persist-01: %s does not let account %s in (%s): create this record once: %s IN TXT %s",
		c.Identifier.Value, want.account, reasons(wrong), name, quoteTXT(want.String()))
}

// CleanUp implements acmez.Solver: the record stays.
func (s *persistSolver) CleanUp(context.Context, acme.Challenge) error { return nil }

// records returns the TXT records of name that every name server shows which
// answers.
func (s *persistSolver) records(ctx context.Context, name string) ([]string, error) {
	target, err := s.look.follow(ctx, name)
	if err != nil {
		return nil, err
	}
	answers := s.look.ask(ctx, target, dns.TypeTXT)
	if err := failed(answers); err != nil {
		return nil, err
	}
	answers = slices.DeleteFunc(answers, func(a dnsAnswer) bool { return a.err != nil })
	out := answers[0].texts(target)
	for _, a := range answers[1:] {
		texts := a.texts(target)
		out = slices.DeleteFunc(out, func(t string) bool { return !slices.Contains(texts, t) })
	}
	return out, nil
}

func reasons(errs []error) string {
	if len(errs) == 0 {
		return "there is no record"
	}
	text := make([]string, 0, len(errs))
	for _, err := range errs[:min(len(errs), 4)] {
		text = append(text, err.Error())
	}
	return plainText([]byte(strings.Join(text, "; ")))
}

// quoteTXT writes a value as zone files have it, in strings of at most 255 bytes.
func quoteTXT(value string) string {
	var parts []string
	for ; len(value) > 255; value = value[255:] {
		parts = append(parts, `"`+value[:255]+`"`)
	}
	return strings.Join(append(parts, `"`+value+`"`), " ")
}
