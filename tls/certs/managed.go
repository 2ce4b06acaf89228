package certs

import (
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// subject is a name whose certificates issuers make: one of each kind of key. It
// outlives generations.
type subject struct {
	name   string     // clean; may be a wildcard
	listed bool       // a site lists it; otherwise clients brought it
	certs  []*managed // never empty; the kind that is to be preferred first
	used   atomic.Int64
	said   atomic.Int64 // when it was last said that an old certificate is shown
}

// managed is one certificate of a subject, in what state it ever is.
type managed struct {
	name, kind string
	state      atomic.Pointer[state] // nil until the first look at the storage
	broken     atomic.Bool           // it was said that what is stored cannot be read

	mu     sync.Mutex // guards the field below
	flight *flight    // what is under way for it, or nil
}

// state is what is known of a managed certificate. It is replaced, never changed.
type state struct {
	entry     *entry // nil until the first success
	authority string // id of who made it
	challenge string
	renewAt   time.Time
	hold      time.Time // a certificate this new is not renewed, whatever renewAt says

	failures int  // in a row and of one kind
	refused  bool // the kind: an authority said no, or nobody could be asked
	retryAt  time.Time
	err      error
	unsaved  bool // it is not in the storage yet
	revoked  bool // the operator has had it revoked
}

// flight is work on a managed certificate under way.
type flight struct {
	done   chan struct{} // closed when it is over
	ready  chan struct{} // closed when there is something to show although work goes on
	forced bool          // a new certificate is made even if the old one is good
}

func newSubject(name string, listed bool, kinds []string) *subject {
	s := &subject{name: name, listed: listed}
	for _, k := range kinds {
		s.certs = append(s.certs, &managed{name: name, kind: k})
	}
	return s
}

// busy reports whether something is under way for it.
func (m *managed) busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.flight != nil
}

// inherit takes over the certificates of old that are of the same kinds of keys.
func (s *subject) inherit(old *subject) {
	for i, m := range s.certs {
		for _, o := range old.certs {
			if o.kind == m.kind {
				s.certs[i] = o
			}
		}
	}
}

// moveIn makes what was stored in another place be stored in the new one too.
func (s *subject) moveIn() {
	for _, m := range s.certs {
		for st := m.state.Load(); st != nil && st.entry != nil; st = m.state.Load() {
			if m.state.CompareAndSwap(st, st.with(func(n *state) { n.unsaved, n.err, n.retryAt = true, nil, time.Time{} })) {
				break
			}
		}
	}
}

// fits reports whether the subject has the certificates that w wants.
func (s *subject) fits(w *want) bool {
	kinds := w.keys()
	if len(kinds) != len(s.certs) {
		return false
	}
	for i, m := range s.certs {
		if m.kind != kinds[i] {
			return false
		}
	}
	return true
}

// entries are the certificates that can be shown.
func (s *subject) entries() []*entry {
	if len(s.certs) == 1 { // no allocation for most
		st := s.certs[0].state.Load()
		if st == nil || st.entry == nil {
			return nil
		}
		return []*entry{st.entry}
	}
	var out []*entry
	for _, m := range s.certs {
		if st := m.state.Load(); st != nil && st.entry != nil {
			out = append(out, st.entry)
		}
	}
	return out
}

// certificate is what a client is shown, or nil when there is none yet.
func (s *subject) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, *entry) {
	if len(s.certs) == 1 {
		st := s.certs[0].state.Load()
		if st == nil || st.entry == nil {
			return nil, nil
		}
		return st.entry.cert.Load(), st.entry
	}
	list := s.entries()
	if len(list) == 0 {
		return nil, nil
	}
	return choose(list, hello), list[0]
}

// failed returns why there is no certificate, while nobody tries again.
func (s *subject) failed(now time.Time) error {
	for _, m := range s.certs {
		st := m.state.Load()
		if st == nil || st.entry != nil || st.err == nil || !now.Before(st.retryAt) {
			return nil
		}
	}
	return s.certs[0].state.Load().err
}

// due reports whether w wants another certificate in the place of st.
func (st *state) due(w *want, now time.Time) bool {
	if st == nil || st.entry == nil || w.by(st.authority) == nil {
		return true
	}
	return !now.Before(st.nextRenewal()) || st.revoked || st.entry.revoked()
}

// nextRenewal is renewAt, but not sooner than a moment after the certificate was
// made: a wrong clock, here or at the authority, must not order without end.
func (st *state) nextRenewal() time.Time {
	if st.renewAt.Before(st.hold) {
		return st.hold
	}
	return st.renewAt
}

// older reports whether the certificate of st was made before other.
func (st *state) older(other *tls.Certificate) bool {
	if st == nil || st.entry == nil {
		return true
	}
	have := st.entry.leaf
	return have.SerialNumber.Cmp(other.Leaf.SerialNumber) != 0 && !other.Leaf.NotBefore.Before(have.NotBefore)
}

// outranks reports whether what st has is from an authority that w wants, and what
// the authority id has made is not: gateways with other settings share the storage.
func (st *state) outranks(w *want, id string) bool {
	return st != nil && st.entry != nil && w.by(st.authority) != nil && w.by(id) == nil && !st.entry.expired(time.Now())
}

// with returns a copy of st, or of nothing, that f has changed.
func (st *state) with(f func(*state)) *state {
	var next state
	if st != nil {
		next = *st
	}
	f(&next)
	return &next
}
