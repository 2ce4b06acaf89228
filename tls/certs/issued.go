package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	maxOnDemand   = 1024 // certificates for names that no site lists one by one
	obtainTimeout = 5 * time.Minute
	minBackOff    = time.Minute
	maxBackOff    = time.Hour
	renewPoll     = time.Hour // also bounds what a suspended machine sleeps through
)

// issued keeps the certificates that one issuer has made. It outlives
// generations as long as they use the same issuer.
type issued struct {
	kind   Kind
	issuer Issuer
	id     string // the same for the same authority in the same place
	log    *slog.Logger

	mu       sync.Mutex // guards the fields below
	leaves   map[string]*leaf
	onDemand int // how many of leaves are so
	flights  map[string]*flight
}

// leaf is one name's certificate, or why there is none. It is replaced, never
// changed.
type leaf struct {
	cert     *tls.Certificate // nil until the first success
	renewAt  time.Time
	failures int // since the last success
	retryAt  time.Time
	err      error
	onDemand bool // made for a client, not for a listed host
}

func (l *leaf) fresh(now time.Time) bool { return l.cert != nil && now.Before(l.cert.Leaf.NotAfter) }

// flight is one Obtain under way.
type flight struct {
	done chan struct{} // closed when leaf is set
	leaf *leaf
}

func newIssued(kind Kind, issuer Issuer, id string, log *slog.Logger) *issued {
	return &issued{kind: kind, issuer: issuer, id: id, log: log, leaves: map[string]*leaf{}, flights: map[string]*flight{}}
}

// get returns the certificate of a clean name and makes it when there is none.
func (s *issued) get(ctx context.Context, name string, onDemand bool) (*tls.Certificate, error) {
	now := time.Now()
	s.mu.Lock()
	l := s.leaves[name]
	s.mu.Unlock()
	if l != nil && l.fresh(now) {
		return l.cert, nil
	}
	if l != nil && l.err != nil && now.Before(l.retryAt) {
		return nil, l.err
	}
	l, err := s.obtain(ctx, name, onDemand)
	if err != nil {
		return nil, err
	}
	if l.cert == nil {
		return nil, l.err
	}
	return l.cert, nil
}

// obtain makes one certificate, or waits for whoever is making it. The error is
// that of waiting; the issuer's is in the leaf. A client that goes away does not
// stop what others wait for.
func (s *issued) obtain(ctx context.Context, name string, onDemand bool) (*leaf, error) {
	s.mu.Lock()
	if f := s.flights[name]; f != nil {
		s.mu.Unlock()
		select {
		case <-f.done:
			return f.leaf, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f := &flight{done: make(chan struct{})}
	s.flights[name] = f
	old := s.leaves[name]
	s.mu.Unlock()

	f.leaf = &leaf{err: fmt.Errorf("issuer %s gave up on %s", s.kind, name)}
	defer func() {
		s.mu.Lock()
		delete(s.flights, name)
		s.storeLocked(name, f.leaf)
		s.mu.Unlock()
		close(f.done)
	}()
	f.leaf = s.make(context.WithoutCancel(ctx), name, old)
	f.leaf.onDemand = onDemand
	return f.leaf, nil
}

func (s *issued) make(ctx context.Context, name string, old *leaf) *leaf {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	cert, err := s.order(ctx, name)
	if err != nil {
		l := &leaf{err: err, failures: 1}
		if old != nil {
			l.cert, l.renewAt, l.failures = old.cert, old.renewAt, old.failures+1
		}
		wait := backOff(l.failures)
		l.retryAt = time.Now().Add(wait)
		s.log.Error("no certificate from issuer", "issuer", s.kind, "host", name, "err", err, "retry_in", wait)
		return l
	}
	s.log.Debug("certificate issued", "issuer", s.kind, "host", name, "not_after", cert.Leaf.NotAfter)
	return &leaf{cert: cert, renewAt: s.renewAt(ctx, cert)}
}

func (s *issued) renewAt(ctx context.Context, cert *tls.Certificate) time.Time {
	at, err := s.issuer.RenewAt(ctx, cert.Leaf)
	if err != nil {
		s.log.Debug("issuer does not say when to renew", "issuer", s.kind, "err", err)
		return twoThirds(cert.Leaf)
	}
	return at
}

// backOff doubles from a minute to an hour.
func backOff(failures int) time.Duration {
	return min(minBackOff<<min(max(failures-1, 0), 10), maxBackOff)
}

// storeLocked keeps l, and lets go of some other name that no site lists when
// there are too many: clients choose those names.
func (s *issued) storeLocked(name string, l *leaf) {
	s.dropLocked(name)
	s.leaves[name] = l
	if !l.onDemand {
		return
	}
	s.onDemand++
	if s.onDemand <= maxOnDemand {
		return
	}
	for other, o := range s.leaves { // the order of a map is random enough
		if o.onDemand && other != name {
			s.dropLocked(other)
			return
		}
	}
}

func (s *issued) dropLocked(name string) {
	if l := s.leaves[name]; l != nil && l.onDemand {
		s.onDemand--
	}
	delete(s.leaves, name)
}

// renew makes what is missing of wanted and what is due, forgets names that
// nobody lists once they are due, and says when to come back.
func (s *issued) renew(ctx context.Context, wanted []string) time.Time {
	slices.Sort(wanted)
	next := time.Now().Add(renewPoll)
	for _, name := range wanted {
		if at := s.renewOne(ctx, name); at.Before(next) {
			next = at
		}
		if ctx.Err() != nil {
			return next
		}
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.leaves {
		if _, ok := slices.BinarySearch(wanted, name); !ok && !now.Before(l.renewAt) && !now.Before(l.retryAt) {
			s.dropLocked(name)
		}
	}
	return next
}

// renewOne returns when name wants to be looked at again.
func (s *issued) renewOne(ctx context.Context, name string) time.Time {
	s.mu.Lock()
	l := s.leaves[name]
	s.mu.Unlock()
	now := time.Now()
	if l != nil && now.Before(l.retryAt) {
		return l.retryAt
	}
	if l != nil && l.cert != nil {
		if at := s.renewAt(ctx, l.cert); now.Before(at) {
			return at
		}
	}
	l, err := s.obtain(ctx, name, false)
	switch {
	case err != nil:
		return now.Add(minBackOff)
	case l.err != nil:
		return l.retryAt
	}
	return l.renewAt
}

// snapshot copies out what is kept.
func (s *issued) snapshot() map[string]*leaf {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]*leaf, len(s.leaves))
	for n, l := range s.leaves {
		out[n] = l
	}
	return out
}

func (s *issued) order(ctx context.Context, name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	o := Order{Names: []string{name}, Key: key}
	got, err := s.issuer.Obtain(ctx, o)
	if err != nil {
		return nil, err
	}
	chain, err := parseIssued(o, got)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: got.Chain, PrivateKey: key, Leaf: chain[0]}, nil
}
