package acme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"

	"headgate/tls/certs"
)

const (
	defaultPropagation = 2 * time.Minute
	defaultRecordTTL   = time.Minute
	firstLookPause     = 250 * time.Millisecond // between two looks; doubled up to lastLookPause
	lastLookPause      = 4 * time.Second
	cleanUpTime        = 30 * time.Second
)

// dnsProvider sets and removes records: any libdns provider will do.
type dnsProvider interface {
	libdns.RecordAppender
	libdns.RecordDeleter
}

// A zoneFinder is a provider that is told the zone of a record. To others each
// name is a zone of its own.
type zoneFinder interface {
	findZone(ctx context.Context, name string) (string, error)
}

// dnsSolver solves dns-01 (RFC 8555 section 8.4). It follows CNAME records from
// the name that the authority asks for, so a zone can hand its proofs over to
// another one. Safe for concurrent use.
type dnsSolver struct {
	provider dnsProvider
	look     *dnsLook
	delay    time.Duration // before the first look
	timeout  time.Duration // below 0: do not look
	ttl      time.Duration
	log      *slog.Logger

	mu      sync.Mutex // guards present
	present map[dnsProof]dnsRecord
}

// dnsProof is a value that the authority wants to see at a name. A wildcard and
// its domain have the same name and two values.
type dnsProof struct {
	name, value string
}

// dnsRecord is where a proof is, or may be.
type dnsRecord struct {
	zone   string
	record libdns.Record
	set    bool // for certain
}

var (
	_ acmez.Solver = (*dnsSolver)(nil)
	_ acmez.Waiter = (*dnsSolver)(nil)
)

// newDNSSolver returns a solver of dns-01, which is also an acmez.Waiter. It
// fails when what o names cannot work on this machine. It starts nothing, and one
// solver serves any number of orders at once.
func newDNSSolver(o certs.ChallengeOptions, log *slog.Logger) (acmez.Solver, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	provider, err := newDNSProvider(o, log)
	if err != nil {
		return nil, err
	}
	s := &dnsSolver{
		provider: provider, look: newDNSLook(o.Resolvers), log: log,
		delay: o.PropagationDelay, timeout: o.PropagationTimeout, ttl: o.TTL,
		present: map[dnsProof]dnsRecord{},
	}
	if s.timeout == 0 {
		s.timeout = defaultPropagation
	}
	if s.ttl <= 0 {
		s.ttl = defaultRecordTTL
	}
	return s, nil
}

func newDNSProvider(o certs.ChallengeOptions, log *slog.Logger) (dnsProvider, error) {
	switch {
	case o.RFC2136.Server != "":
		return newRFC2136(o.RFC2136)
	case o.ACMEDNS.Accounts != "":
		return newACMEDNS(o.ACMEDNS, o.PropagationTimeout >= 0, log)
	case len(o.Command) > 0:
		return newCommand(o.Command)
	}
	return nil, errors.New("dns-01: nothing that sets records is named: add rfc2136, acme_dns or command")
}

func proofOf(c acme.Challenge) dnsProof {
	return dnsProof{name: dns.CanonicalName(c.DNS01TXTRecordName()), value: c.DNS01KeyAuthorization()}
}

// Present implements acmez.Solver: it sets the record.
func (s *dnsSolver) Present(ctx context.Context, c acme.Challenge) error {
	proof := proofOf(c)
	target, err := s.follow(ctx, proof.name)
	if err != nil {
		return fmt.Errorf("dns-01: %w", err)
	}
	if err := s.set(ctx, proof, target); err != nil {
		if target != proof.name {
			return fmt.Errorf("dns-01: %s, to which %s leads: %w", target, proof.name, err)
		}
		return fmt.Errorf("dns-01: %s: %w", target, err)
	}
	s.log.Debug("record set", "record", target, "host", c.Identifier.Value)
	return nil
}

// follow returns the name that holds the proof. Who does not look at records may
// not be able to, so then a failure is no reason to stop.
func (s *dnsSolver) follow(ctx context.Context, name string) (string, error) {
	target, err := s.look.follow(ctx, name)
	switch {
	case err == nil:
		return target, nil
	case ctx.Err() != nil || s.timeout >= 0:
		return "", fmt.Errorf("look for a CNAME of %s: %w: set resolvers to name servers that answer here", name, err)
	}
	s.log.Debug("not known whether the record is delegated by a CNAME", "record", name, "err", err)
	return name, nil
}

func (s *dnsSolver) set(ctx context.Context, proof dnsProof, target string) error {
	zone := target
	if f, ok := s.provider.(zoneFinder); ok {
		var err error
		if zone, err = f.findZone(ctx, target); err != nil {
			return err
		}
	}
	rec := dnsRecord{zone: zone, record: libdns.TXT{Name: libdns.RelativeName(target, zone), Text: proof.value, TTL: s.ttl}}
	s.remember(proof, rec) // what fails half-way may have set it
	if _, err := s.provider.AppendRecords(ctx, zone, []libdns.Record{rec.record}); err != nil {
		return err
	}
	rec.set = true
	s.remember(proof, rec)
	return nil
}

func (s *dnsSolver) remember(proof dnsProof, rec dnsRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present[proof] = rec
}

// CleanUp implements acmez.Solver: it removes the record, also when ctx is over.
func (s *dnsSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	proof := proofOf(c)
	s.mu.Lock()
	rec, ok := s.present[proof]
	delete(s.present, proof)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	_, err := s.provider.DeleteRecords(ctx, rec.zone, []libdns.Record{rec.record})
	switch {
	case err == nil:
		return nil
	case !rec.set:
		s.log.Debug("record that was not set for certain not removed", "record", proof.name, "err", err)
		return nil
	}
	return fmt.Errorf("dns-01: remove the record of %s: %w", proof.name, err)
}

// Wait implements acmez.Waiter: it returns when every name server of the zone
// that answers shows the record.
func (s *dnsSolver) Wait(ctx context.Context, c acme.Challenge) error {
	proof := proofOf(c)
	s.mu.Lock()
	rec, ok := s.present[proof]
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("dns-01: %s was not set", proof.name)
	}
	if err := pause(ctx, s.delay); err != nil || s.timeout < 0 {
		return err
	}
	name := dns.CanonicalName(libdns.AbsoluteName(rec.record.RR().Name, rec.zone))
	end := time.Now().Add(s.timeout)
	for wait := firstLookPause; ; wait = min(2*wait, lastLookPause) {
		missing := unseen(s.look.ask(ctx, name, dns.TypeTXT), name, proof.value)
		switch {
		case missing == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !time.Now().Before(end):
			return fmt.Errorf("dns-01: %s was set %v ago and is not seen: %w: raise propagation_timeout if the provider is slow, set resolvers to name servers that can be reached from here, or turn the look off (propagation_timeout: off)", name, s.timeout, missing)
		}
		if err := pause(ctx, min(wait, time.Until(end))); err != nil {
			return err
		}
	}
}

// unseen says which name server does not show value, or returns nil when all do
// that answer. A secondary that is down does not count, for it will not answer
// the authority either.
func unseen(answers []dnsAnswer, name, value string) error {
	if err := failed(answers); err != nil {
		return err
	}
	for _, a := range answers {
		if a.err == nil && !slices.Contains(a.texts(name), value) {
			return fmt.Errorf("name server %s has %d other values and not this one", a.server, len(a.texts(name)))
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
