package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	obtainTimeout  = 5 * time.Minute        // for one authority
	storageTimeout = 20 * time.Second       // for one look at the storage
	ordersAtOnce   = 16                     // orders under way
	waitForOther   = 500 * time.Millisecond // between two looks at what another gateway is ordering

	refusedBackOff = 15 * time.Minute // authorities allow five failures in an hour, and one order may be two: http-01, then tls-alpn-01
	failedBackOff  = 5 * time.Second  // an authority or a storage that cannot be reached
	maxBackOff     = time.Hour
	maxReachable   = 10 * time.Minute   // between two tries to reach an authority
	maxStorage     = time.Minute        // between two tries to reach a storage
	maxSetback     = 7 * 24 * time.Hour // whatever an authority says
)

// task is one certificate that is wanted, and by what.
type task struct {
	*managed
	want   *want
	set    *Set
	listed bool
}

// start begins work on t, or joins what is under way. Forced work makes a new
// certificate although the old one is good; it does not join work that would not.
func (s *Store) start(ctx context.Context, t task, force bool) *flight {
	for {
		t.mu.Lock()
		f := t.flight
		if f == nil {
			f = &flight{done: make(chan struct{}), ready: make(chan struct{}), forced: force}
			t.flight = f
			t.mu.Unlock()
			s.fly(t, f)
			return f
		}
		t.mu.Unlock()
		if !force || f.forced {
			return f
		}
		select {
		case <-f.done:
		case <-s.life.Done():
			return f
		case <-ctx.Done():
			return f
		}
	}
}

// fly does the work of f: at once where it is a matter of microseconds, else in a
// goroutine that Run waits for.
func (s *Store) fly(t task, f *flight) {
	work := func() {
		defer func() {
			t.mu.Lock()
			t.flight = nil
			t.mu.Unlock()
			close(f.done)
			s.touch(loopRenew)
		}()
		s.obtain(s.life, t, f)
	}
	if t.want.local() {
		work()
		return
	}
	if !s.background(work) {
		t.mu.Lock()
		t.flight = nil
		t.mu.Unlock()
		close(f.done)
	}
}

// obtain brings t up to date: by what is in the storage, or by an order. What
// comes of it is t's state.
func (s *Store) obtain(ctx context.Context, t task, f *flight) {
	if t.want.local() {
		if f.forced || t.state.Load().due(t.want, time.Now()) { // or whoever was first has made it
			s.order(ctx, t)
		}
		return
	}
	before := t.state.Load()
	if err := s.adopt(ctx, t); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fail(t, storageFailure{err})
		return
	}
	if st := t.state.Load(); before == nil && st != nil && st.entry != nil {
		s.sayLoaded(t, st)
	}
	if st := t.state.Load(); st != nil && st.entry != nil {
		close(f.ready)
	}
	if !f.forced && !t.state.Load().due(t.want, time.Now()) {
		return
	}
	if !t.listed && !f.forced && !s.mayGoOn(ctx, t, before) {
		return
	}
	// The place comes before the lock, so that locks are held, and waited for, by
	// those alone who can go on.
	select {
	case t.want.authorities[0].room <- struct{}{}:
		defer func() { <-t.want.authorities[0].room }()
	case <-ctx.Done():
		return
	}
	if !f.forced && !t.state.Load().due(t.want, time.Now()) {
		return
	}
	unlock, err := s.turn(ctx, t)
	if err != nil {
		s.fail(t, err)
		return
	}
	if unlock == nil { // another gateway has done it
		if before == nil || before.entry == nil {
			s.sayLoaded(t, t.state.Load())
		}
		return
	}
	defer unlock()
	if f.forced || !s.heldBack(ctx, t) {
		s.order(ctx, t)
	}
}

// adopt takes what is in the storage if it is newer than what t has. A stored
// certificate that cannot be read is as good as none.
func (s *Store) adopt(ctx context.Context, t task) error {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	got, err := loadStored(ctx, t.set.storage, t.name, t.kind)
	if errors.Is(err, errBroken) {
		if !t.broken.Swap(true) {
			s.log.Error("stored certificate is broken", "host", t.name, "err", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	e, err := issuedEntry(got.cert)
	if err != nil {
		return err
	}
	next := &state{entry: e, authority: got.authority, challenge: got.challenge, renewAt: twoThirds(e.leaf)}
	for {
		st := t.state.Load()
		if !st.older(got.cert) || st.outranks(t.want, got.authority) {
			return nil
		}
		if t.state.CompareAndSwap(st, next) {
			s.touch(loopStaple)
			return nil
		}
	}
}

// turn takes the lock under which t's certificate is ordered, or waits for who
// has it. A nil unlock without an error means that somebody else has made a
// certificate in the meantime.
func (s *Store) turn(ctx context.Context, t task) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	before := t.state.Load()
	name := issueLock(t.name)
	for {
		ok, err := t.set.storage.TryLock(ctx, name)
		if err != nil {
			return nil, storageFailure{err}
		}
		// Whoever had the lock until now may have stored a certificate.
		loadErr := s.adopt(ctx, t)
		if loadErr != nil && !errors.Is(loadErr, fs.ErrNotExist) {
			s.log.Debug("storage cannot be read while waiting", "host", t.name, "err", loadErr)
		}
		if st := t.state.Load(); st != before && st != nil && st.entry != nil && !st.due(t.want, time.Now()) {
			if ok {
				s.unlock(ctx, t, name)
			}
			return nil, nil
		}
		if ok {
			return func() { s.unlock(ctx, t, name) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another gateway has been ordering a certificate for %s for %s: %w", t.name, obtainTimeout, ctx.Err())
		case <-time.After(waitForOther):
		}
	}
}

func (s *Store) unlock(ctx context.Context, t task, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	if err := t.set.storage.Unlock(ctx, name); err != nil {
		s.log.Warn("lock of the storage not released", "host", t.name, "err", err)
	}
}

// order asks the authorities one after the other, and keeps what the first of
// them makes.
func (s *Store) order(ctx context.Context, t task) {
	old := t.state.Load()
	o := Order{Names: []string{t.name}}
	var err error
	if t.want.local() {
		o.Key, err = newKey(t.kind)
	} else {
		o.Key, err = pendingOrNew(ctx, t, old)
	}
	if err != nil {
		s.fail(t, storageFailure{fmt.Errorf("no certificate is ordered that could not be kept: %w", err)})
		return
	}
	if old == nil || old.entry == nil {
		s.preflight(ctx, t)
	}
	var errs []error
	for i, a := range t.want.authorities {
		next, err := s.ask(ctx, a, o, old)
		if err == nil {
			s.keep(ctx, t, old, next)
			return
		}
		if ctx.Err() != nil {
			return
		}
		err = fmt.Errorf("issuer %s: %w", a.name, err)
		errs = append(errs, err)
		s.counts.failures.Add(1)
		if i+1 < len(t.want.authorities) {
			s.log.Warn("issuer failed, the next one is asked", "host", t.name, "err", oneLine(err), "next", t.want.authorities[i+1].name)
		}
	}
	err = errors.Join(errs...)
	s.fail(t, err)
	s.noteSetback(ctx, t, err)
}

// ask has one authority make a certificate.
func (s *Store) ask(ctx context.Context, a *authority, o Order, old *state) (*state, error) {
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	if old != nil && old.entry != nil && old.authority == a.id {
		o.Replaces = old.entry.leaf
	}
	if !a.local() {
		s.counts.orders.Add(1)
	}
	got, err := a.issuer.Obtain(ctx, o)
	if err != nil {
		return nil, err
	}
	chain, err := parseIssued(o, got)
	if err != nil {
		return nil, err
	}
	e, err := issuedEntry(&tls.Certificate{Certificate: got.Chain, PrivateKey: o.Key, Leaf: chain[0]})
	if err != nil {
		return nil, err
	}
	return &state{entry: e, authority: a.id, challenge: got.Challenge, renewAt: twoThirds(chain[0])}, nil // the authority is asked later: the certificate is wanted now
}

// keep serves a new certificate and stores it. One that cannot be stored is
// served all the same, and stored when that can be done.
func (s *Store) keep(ctx context.Context, t task, old, next *state) {
	if next.unsaved = !t.want.local(); next.unsaved {
		next.hold = time.Now().Add(max(min(maxBackOff, next.entry.leaf.NotAfter.Sub(next.entry.leaf.NotBefore)/4), time.Minute))
	}
	t.state.Store(next)
	s.counts.issued.Add(1)
	leaf := next.entry.leaf
	attrs := []any{"host", t.name, "issuer", t.want.by(next.authority).name, "not_after", leaf.NotAfter, "renew_at", next.renewAt}
	if t.want.local() {
		level := slog.LevelDebug
		if t.listed && (old == nil || old.entry == nil) {
			level = slog.LevelInfo // at the start every host has its line
		}
		s.log.Log(ctx, level, "certificate", attrs...)
		return
	}
	s.log.Info("certificate obtained", append(attrs, "challenge", next.challenge)...)
	t.broken.Store(false)
	now := time.Now()
	if next.entry.expired(now) || leaf.NotBefore.After(now.Add(skew)) {
		s.log.Error("a new certificate is not valid by the clock of this machine: set the clock, or run a time service (chrony, systemd-timesyncd)",
			"host", t.name, "clock", now, "not_before", leaf.NotBefore, "not_after", leaf.NotAfter)
	}
	s.save(ctx, t)
	s.touch(loopStaple)
}

// save stores the certificate of t. It is tried again until it works.
func (s *Store) save(ctx context.Context, t task) {
	st := t.state.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
	defer cancel()
	data, err := stored{cert: st.entry.cert.Load(), authority: st.authority, challenge: st.challenge}.encode()
	if err == nil {
		err = t.set.storage.Store(ctx, certificateKey(t.name, t.kind), data)
	}
	if err != nil {
		s.log.Error("certificate is served but could not be stored: a restart would lose it", "host", t.name, "err", err, "retry_in", saveRetry.String())
		t.state.CompareAndSwap(st, st.with(func(n *state) { n.err, n.retryAt = fmt.Errorf("storage: %w", err), time.Now().Add(saveRetry) }))
		return
	}
	if v := s.view.Load(); v != nil && v.set.storage != nil && v.set.storage != t.set.storage {
		return // a reload has replaced the storage meanwhile: the loop stores it there
	}
	if st.err != nil {
		s.log.Info("certificate is stored now", "host", t.name)
	}
	t.state.CompareAndSwap(st, st.with(func(n *state) { n.unsaved, n.err, n.retryAt = false, nil, time.Time{} }))
	if err := t.set.storage.Delete(ctx, pendingKey(t.name, t.kind)); err != nil {
		s.log.Debug("key of the order not removed", "host", t.name, "err", err)
	}
	s.forgetSetback(ctx, t)
	if err := s.announce(ctx, t); err != nil {
		s.log.Debug("other gateways not told of a certificate", "host", t.name, "err", err)
	}
}

// saveRetry is how long a certificate that could not be stored waits.
const saveRetry = 30 * time.Second

// fail keeps what t had, and waits longer after each failure.
func (s *Store) fail(t task, err error) {
	old := t.state.Load()
	var no *Refusal
	refused := errors.As(err, &no)
	next := old.with(func(n *state) {
		if n.refused != refused {
			n.failures = 0 // what stands in the way is another thing now
		}
		n.failures, n.refused, n.err = n.failures+1, refused, err
	})
	wait := backOff(next.failures, err)
	next.retryAt = time.Now().Add(wait)
	if !t.state.CompareAndSwap(old, next) {
		s.fail(t, err) // another gateway's certificate came in between, and stays
		return
	}
	attrs := []any{"host", t.name, "err", oneLine(err), "retry_in", wait.Round(time.Second).String()}
	if old != nil && old.entry != nil {
		s.log.Error("certificate not renewed, the old one goes on serving", append(attrs, "not_after", old.entry.leaf.NotAfter)...)
		return
	}
	s.log.Error("no certificate", attrs...)
}

// backOff doubles: from minutes when an authority has said no, from seconds when
// it or the storage could not be reached. It is a little random, so that many
// names do not come back at once.
func backOff(failures int, err error) time.Duration {
	first, most := failedBackOff, maxReachable
	var no *Refusal
	var st storageFailure
	refused := errors.As(err, &no)
	switch {
	case refused:
		first, most = refusedBackOff, maxBackOff
	case errors.As(err, &st):
		most = maxStorage
	}
	if refused && !no.Wait.IsZero() { // the authority, or who speaks with it, knows best
		said := max(time.Until(no.Wait), failedBackOff)
		return min(said<<min(2*max(failures-1, 0), 12), max(said, maxBackOff), maxSetback)
	}
	wait := min(first<<min(max(failures-1, 0), 12), most)
	wait += time.Duration(rand.Int64N(int64(wait)/10 + 1))
	return min(wait, maxSetback)
}

// storageFailure is an error of the storage, which is not the authority's fault.
type storageFailure struct{ error }

// Error implements error.
func (f storageFailure) Error() string { return "storage: " + f.error.Error() }

// Unwrap returns what the storage said.
func (f storageFailure) Unwrap() error { return f.error }

// oneLine joins the lines of a joined error.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// preflight looks for what stands in the way of t's first certificate, and says so.
// It comes before the order, since both would answer the same challenges.
func (s *Store) preflight(ctx context.Context, t task) {
	if !t.listed || t.want.local() {
		return
	}
	s.log.Info("no certificate yet, ordering one", "host", t.name, "issuer", t.want.authorities[0].name)
	p, ok := t.want.authorities[0].issuer.(Preflighter)
	if !ok {
		return
	}
	if err := p.Preflight(ctx, t.name); err != nil && ctx.Err() == nil {
		s.log.Warn("something stands in the way of a certificate", "host", t.name, "err", err)
	}
}

// renewAt asks an authority when it wants to be asked again.
func (s *Store) renewAt(ctx context.Context, a *authority, leaf *x509.Certificate) time.Time {
	at, err := a.issuer.RenewAt(ctx, leaf)
	if err != nil {
		s.log.Debug("issuer does not say when to renew", "issuer", a.name, "err", err)
		return twoThirds(leaf)
	}
	return at
}

// sayLoaded tells of a certificate that was there at the start.
func (s *Store) sayLoaded(t task, st *state) {
	level, msg := slog.LevelInfo, "certificate"
	now := time.Now()
	switch {
	case st.entry.expired(now):
		level, msg = slog.LevelError, "certificate has expired, it is shown until there is another one"
	case st.entry.leaf.NotBefore.After(now.Add(skew)):
		level, msg = slog.LevelError, "certificate is not valid yet by the clock of this machine: set the clock, or run a time service (chrony, systemd-timesyncd)"
	}
	if !t.listed {
		level = min(level, slog.LevelDebug)
	}
	s.log.Log(context.Background(), level, msg, "host", t.name, "not_before", st.entry.leaf.NotBefore, "not_after", st.entry.leaf.NotAfter, "renew_at", st.renewAt)
}
