package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"sync"
	"time"
)

const (
	maxVisitors = 8192  // names that clients have brought and that have a certificate
	maxLocal    = 1024  // of these, names whose certificate the local authority makes for whoever asks
	maxDenied   = 16384 // names that are known not to be allowed
	deniedLife  = 5 * time.Minute
	silentLife  = 10 * time.Second // of a no that is only the lack of an answer
	asksAtOnce  = 64               // questions to the app under way
	askTimeout  = 5 * time.Second
	defaultRate = 100 // orders in an hour
)

// visitors are the names that clients have brought and no site lists. Clients
// choose them, so everything about them is bounded.
type visitors struct {
	mu       sync.RWMutex             // guards the fields below
	subjects map[string]*subject      // of public authorities
	locals   map[string]*subject      // of the local authority, made for whoever asks: they must not push out the others
	denied   map[string]time.Time     // until when
	asking   map[string]chan struct{} // questions under way; closed when answered

	deniedRing []string // the names of denied, to know which came first
	deniedNext int      // where the next one goes when the ring is full

	ordered []time.Time // orders of the last hour
	limited time.Time   // when the limit was last said
}

func newVisitors() *visitors {
	return &visitors{subjects: map[string]*subject{}, locals: map[string]*subject{}, denied: map[string]time.Time{}, asking: map[string]chan struct{}{}}
}

func (v *visitors) get(name string) *subject {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.subjects[name]; s != nil {
		return s
	}
	return v.locals[name]
}

func (v *visitors) all() []*subject {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make([]*subject, 0, len(v.subjects)+len(v.locals))
	for _, group := range []map[string]*subject{v.subjects, v.locals} {
		for _, s := range group {
			out = append(out, s)
		}
	}
	return out
}

func (v *visitors) drop(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.subjects, name)
	delete(v.locals, name)
}

// admit returns the subject of a name, and makes it if there is none. When there
// are too many, one that has not been used for long is let go of; if it is in the
// storage, it comes back with the next client.
func (v *visitors) admit(name string, w *want) *subject {
	v.mu.Lock()
	defer v.mu.Unlock()
	group, limit := v.subjects, maxVisitors
	if w.local() {
		group, limit = v.locals, maxLocal
	}
	if s := group[name]; s != nil && s.fits(w) {
		return s
	}
	if len(group) >= limit {
		evict(group)
	}
	s := newSubject(name, false, w.keys())
	group[name] = s
	return s
}

// evict drops the least recently used of a few: the order of a map is random
// enough.
func evict(group map[string]*subject) {
	var worst *subject
	n := 0
	for _, s := range group {
		if worst == nil || s.used.Load() < worst.used.Load() {
			worst = s
		}
		if n++; n == 16 {
			break
		}
	}
	if worst != nil {
		delete(group, worst.name)
	}
}

// isDenied reports whether name was not allowed a moment ago.
func (v *visitors) isDenied(name string, now time.Time) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	until, ok := v.denied[name]
	return ok && now.Before(until)
}

// deny remembers for some time that name has no certificate.
func (v *visitors) deny(name string, life time.Duration) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.denied[name]; !known {
		if len(v.deniedRing) < maxDenied {
			v.deniedRing = append(v.deniedRing, name)
		} else { // the one that has been known for longest makes room
			delete(v.denied, v.deniedRing[v.deniedNext])
			v.deniedRing[v.deniedNext] = name
			v.deniedNext = (v.deniedNext + 1) % maxDenied
		}
	}
	v.denied[name] = now.Add(life)
}

// allowOrder counts one order, or reports that the hour has had its share.
func (v *visitors) allowOrder(rate int) (ok, say bool) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(v.ordered) > 0 && now.Sub(v.ordered[0]) >= time.Hour {
		v.ordered = v.ordered[1:]
	}
	if len(v.ordered) >= rate {
		say = now.Sub(v.limited) >= time.Minute
		if say {
			v.limited = now
		}
		return false, say
	}
	v.ordered = append(v.ordered, now)
	return true, false
}

// ticket lets one caller per name ask. The others wait for its answer; when too
// many names are being asked for, first is false and wait is nil.
func (v *visitors) ticket(name string) (first bool, wait chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := v.asking[name]; c != nil {
		return false, c
	}
	if len(v.asking) >= asksAtOnce {
		return false, nil
	}
	c := make(chan struct{})
	v.asking[name] = c
	return true, c
}

func (v *visitors) answered(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.asking[name])
	delete(v.asking, name)
}

// visit finds a certificate for a name that no site lists one by one. It returns
// nil and no error for a name that must not have one.
func (s *Store) visit(v *view, hello *tls.ClientHelloInfo, name string, w *want) (*tls.Certificate, error) {
	if sub := s.visitors.get(name); sub != nil && sub.fits(w) {
		if c, e := sub.certificate(hello); c != nil && !(w.local() && e.expired(time.Now())) {
			s.shown(sub, e)
			return c, nil
		}
	}
	if !s.allowed(handshakeContext(hello), v, name, w) {
		return nil, nil
	}
	sub := s.visitors.admit(name, w)
	return s.await(v, hello, sub, w)
}

// allowed asks whether name may have a certificate: permission comes before
// everything else, and one question is enough however many clients wait for it.
func (s *Store) allowed(ctx context.Context, v *view, name string, w *want) bool {
	if w.ask == nil {
		return w.local()
	}
	for {
		if s.visitors.isDenied(name, time.Now()) {
			s.counts.denied.Add(1)
			return false
		}
		if s.visitors.get(name) != nil {
			return true
		}
		first, wait := s.visitors.ticket(name)
		if first {
			return s.askFor(ctx, v, name, w)
		}
		if wait == nil {
			s.counts.denied.Add(1)
			return false
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false
		}
	}
}

// askFor asks, and remembers the answer. A client that goes away does not stop
// what others wait for.
func (s *Store) askFor(ctx context.Context, v *view, name string, w *want) bool {
	defer s.visitors.answered(name)
	if s.visitors.isDenied(name, time.Now()) || s.visitors.get(name) != nil {
		return !s.visitors.isDenied(name, time.Now()) // answered since the caller looked
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	s.counts.asks.Add(1)
	err := w.ask(ctx, name)
	if unanswered(err) {
		if kept, _ := s.kept(context.WithoutCancel(ctx), v, name, w); kept {
			err = nil // it was allowed before, and nobody says no
		}
	}
	if err != nil {
		s.counts.denied.Add(1)
		switch {
		case fleeting(err):
		case unanswered(err):
			s.visitors.deny(name, silentLife)
		default:
			s.visitors.deny(name, deniedLife)
		}
		s.log.Debug("no certificate for a name that is not allowed", "host", name, "err", err)
		return false
	}
	kept, err := s.kept(context.WithoutCancel(ctx), v, name, w)
	if err != nil {
		s.visitors.deny(name, silentLife)
		s.log.Debug("storage does not say whether there is a certificate", "host", name, "err", err)
		return false
	}
	if !kept && !s.mayOrder(v.set, name) {
		s.visitors.deny(name, time.Minute)
		return false
	}
	s.visitors.admit(name, w)
	return true
}

// mayOrder counts an order for a name that a client has brought, unless the hour
// has had its share.
func (s *Store) mayOrder(set *Set, name string) bool {
	rate := set.options.OnDemand.Rate
	if rate <= 0 {
		rate = defaultRate
	}
	ok, say := s.visitors.allowOrder(rate)
	if !ok {
		s.counts.limited.Add(1)
		if say {
			s.log.Error("no more certificates on demand in this hour: raise tls.on_demand.rate if this is not an attack", "host", name, "rate", rate)
		}
	}
	return ok
}

// unanswered reports whether err means that nobody said no: the app could not be
// asked.
func unanswered(err error) bool {
	var u interface{ Unanswered() bool }
	return errors.As(err, &u) && u.Unanswered() || errors.Is(err, context.DeadlineExceeded)
}

// fleeting reports whether err is a no that may be a yes in the next moment, and that
// costs nothing to be asked for again: it is not remembered.
func fleeting(err error) bool {
	var f interface{ Fleeting() bool }
	return errors.As(err, &f) && f.Fleeting()
}

// kept reports whether the storage has the certificates of name, so that it needs
// no order. The error is one of the storage.
func (s *Store) kept(ctx context.Context, v *view, name string, w *want) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for _, kind := range w.keys() {
		if _, err := loadStored(ctx, v.set.storage, name, kind); err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBroken) {
				err = nil
			}
			return false, err
		}
	}
	return true, nil
}
