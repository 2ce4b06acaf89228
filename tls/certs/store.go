package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Setup is what a Store works with. All of it may be zero: then only
// certificates from files are shown.
type Setup struct {
	// Storage opens what Options.Storage names. Options that need a storage are
	// an error without it.
	Storage func(ctx context.Context, url string) (Storage, error)

	// ACME makes the issuer of an ACME authority. It does no I/O. Names that
	// need one are an error without it.
	ACME func(Authority) (Issuer, error)

	// Web is what OCSP responders are asked through; nil means a transport of
	// its own that honours the proxy variables of the environment.
	Web http.RoundTripper

	Log *slog.Logger // nil: silent
}

// Store answers TLS handshakes with the certificates of the Set that was swapped
// in last. It outlives generations. Its methods are safe for concurrent use.
type Store struct {
	setup      Setup
	log        *slog.Logger
	web        http.RoundTripper
	handshakes *handshakes
	counts     counts

	changed  [3]chan struct{} // each wakes one of the loops of Run; capacity 1
	visitors *visitors
	interims interims
	asking   chan struct{} // one for each question about a renewal that is under way

	// life is the context of work that handshakes begin and do not wait for; it
	// ends with Run, which waits for flights.
	life    context.Context
	end     context.CancelFunc
	flights sync.WaitGroup

	flying sync.RWMutex // guards the field below, and Add of flights against Wait
	ended  bool

	mu     sync.Mutex  // held to replace view; guards the field below
	opened []io.Closer // storages; Run closes them
	view   atomic.Pointer[view]
}

// view is what handshakes read. It is immutable, though its subjects are not.
type view struct {
	set      *Set
	index    *index              // of the set's certificates, or of newer files of the same names
	subjects map[string]*subject // whose certificates are made before anybody asks
	wild     map[string]*subject // of these, the wildcards by what follows the star: ".example.com"
	wanted   map[string]*want    // of the same names as subjects
	address  string              // the public IP address among them if there is just one
}

// The loops of Run that sleep until something changes.
const (
	loopRenew = iota
	loopStaple
	loopWatch
)

// patience is how long a handshake waits for a certificate that is being ordered
// before it is shown an interim one.
const patience = 5 * time.Second

// New returns a Store that serves nothing until the first Swap.
func New(setup Setup) *Store {
	if setup.Web == nil {
		setup.Web = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true, // one request in days
			MaxResponseHeaderBytes: 16 << 10,
		}
	}
	if setup.Log == nil {
		setup.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		setup: setup, log: setup.Log, web: setup.Web,
		visitors: newVisitors(), asking: make(chan struct{}, asksAtOnce),
	}
	s.life, s.end = context.WithCancel(context.Background())
	for i := range s.changed {
		s.changed[i] = make(chan struct{}, 1)
	}
	s.handshakes = newHandshakes(s)
	return s
}

// Swap serves set from now on, which Build of this Store has made. Connections
// that are open keep what they have, and names that stay keep their certificates.
func (s *Store) Swap(set *Set) {
	s.mu.Lock()
	defer s.wake()
	defer s.mu.Unlock()
	var old map[string]*subject
	if v := s.view.Load(); v != nil {
		old = v.subjects
	}
	wanted := set.hosts.managed()
	next := &view{set: set, index: newIndex(set.entries), subjects: make(map[string]*subject, len(wanted)), wild: map[string]*subject{}, wanted: wanted}
	for name, w := range wanted {
		sub := old[name]
		if had := sub; had == nil || !had.fits(w) || !had.usable(w) {
			sub = newSubject(name, true, w.keys())
			if had != nil && had.usable(w) {
				sub.inherit(had)
			}
		}
		next.subjects[name] = sub
		if name[0] == '*' {
			next.wild[name[1:]] = sub
		}
	}
	next.address = onlyAddress(wanted)
	if v := s.view.Load(); v != nil && v.set.storage != nil && v.set.storage != set.storage {
		next.moveIn()
		s.visitors.moveIn(set)
	}
	s.visitors.retain(set)
	s.handshakes.use(set.storage, set.options)
	s.view.Store(next)
}

// moveIn makes what was stored in another place be stored in the new one too.
func (v *view) moveIn() {
	for name, sub := range v.subjects {
		if !v.wanted[name].local() {
			sub.moveIn()
		}
	}
}

// moveIn is that of the view, for names that clients have brought.
func (v *visitors) moveIn(set *Set) {
	for _, sub := range v.all() {
		if w := set.wanted(sub.name); w != nil && !w.local() {
			sub.moveIn()
		}
	}
}

// onlyAddress returns the IP address that an ACME authority certifies if there is
// just one.
func onlyAddress(wanted map[string]*want) (only string) {
	for name, w := range wanted {
		if w.local() || !isIP(name) {
			continue
		}
		if only != "" {
			return ""
		}
		only = name
	}
	return only
}

// usable reports whether what the subject has may be shown for w: a certificate
// of another public authority is as good until it is replaced, but one of another
// local authority is trusted by nobody.
func (sub *subject) usable(w *want) bool {
	for _, m := range sub.certs {
		st := m.state.Load()
		if st != nil && st.entry != nil && w.by(st.authority) == nil && (w.local() || strings.HasPrefix(st.authority, string(KindInternal))) {
			return false
		}
	}
	return true
}

// retain forgets the names that the sites do not want any more.
func (v *visitors) retain(set *Set) {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.denied)
	v.deniedRing, v.deniedNext = nil, 0
	for _, group := range []map[string]*subject{v.subjects, v.locals} {
		for name, sub := range group {
			if w := set.wanted(name); w == nil || !sub.fits(w) || !sub.usable(w) {
				delete(group, name)
			}
		}
	}
}

func (s *Store) wake() {
	for i := range s.changed {
		s.touch(i)
	}
}

// touch wakes one loop of Run.
func (s *Store) touch(loop int) {
	select {
	case s.changed[loop] <- struct{}{}:
	default:
	}
}

// Get is a tls.Config's GetCertificate. It looks for, in this order: a file for
// the exact name, a file for its wildcard, a certificate from an issuer if some
// site answers for the name, the first file. A client without a server name is
// one that asks for the address it connected to. Of several certificates for a
// name it shows the first that the client can use, ECDSA before RSA.
//
// A name that a site lists, and for which there is none yet, waits a few seconds
// for it and is then shown an interim certificate that nobody trusts. For a name
// that nobody serves, or that may not have one, Get returns nil and no error,
// which crypto/tls turns into the alert unrecognized_name. An expired certificate
// is shown rather than none. It never blocks longer than the handshake's context.
func (s *Store) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	v := s.view.Load()
	if v == nil {
		return nil, errors.New("no certificates yet")
	}
	name := cleanName(hello.ServerName)
	if name == "" {
		return s.nameless(v, hello)
	}
	if list := v.index.lookup(name); list != nil {
		return choose(list, hello), nil
	}
	if c, err := s.fromIssuer(v, hello, name); c != nil || err != nil {
		return c, err
	}
	return s.fallback(v, hello), nil
}

// nameless answers a client that sent no server name: it is too old, or it
// connects to an IP address.
func (s *Store) nameless(v *view, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	ip := localIP(hello.Conn)
	if ip == "" {
		return s.fallback(v, hello), nil
	}
	if list := v.index.exact[ip]; list != nil {
		return choose(list, hello), nil
	}
	if w, _ := v.set.hosts.find(ip); w != nil || len(v.index.fallback) == 0 {
		if c, err := s.fromIssuer(v, hello, v.addressFor(ip)); c != nil || err != nil {
			return c, err
		}
	}
	return s.fallback(v, hello), nil
}

// addressFor is the address whose certificate is meant by a client that connected
// to ip without a name: ip itself, or behind a translation of addresses the only
// one that a site lists.
func (v *view) addressFor(ip string) string {
	if v.subjects[ip] != nil || v.address == "" {
		return ip
	}
	return v.address
}

// fromIssuer returns nil and no error for a name that no issuer serves.
func (s *Store) fromIssuer(v *view, hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	sub := v.subject(name)
	if sub == nil {
		w := v.set.wanted(name)
		if w == nil || !isHostName(name) && !isIP(name) {
			return nil, nil
		}
		return s.visit(v, hello, name, w)
	}
	w := v.wanted[sub.name]
	if c, e := sub.certificate(hello); c != nil && !(w.local() && e.expired(time.Now())) {
		s.shown(sub, e)
		return c, nil
	}
	return s.await(v, hello, sub, w)
}

// subject finds whose certificate is made before anybody asks: exact before
// wildcard.
func (v *view) subject(name string) *subject {
	if sub := v.subjects[name]; sub != nil {
		return sub
	}
	return v.wild[parent(name)]
}

// await waits for the certificate of a subject that has none.
func (s *Store) await(v *view, hello *tls.ClientHelloInfo, sub *subject, w *want) (*tls.Certificate, error) {
	ctx := handshakeContext(hello)
	sub.used.Store(time.Now().Unix())
	err := sub.failed(time.Now())
	if err == nil {
		err = s.waitFor(ctx, v, sub, w)
	}
	if c, e := sub.certificate(hello); c != nil && !(w.local() && e.expired(time.Now())) {
		return c, nil
	}
	if err == nil {
		err = sub.failed(time.Now())
	}
	if sub.listed && !w.local() {
		s.counts.interim.Add(1)
		name := cleanName(hello.ServerName)
		if name == "" {
			name = sub.name
		}
		return s.interims.get(name)
	}
	if err == nil {
		err = ctx.Err()
	}
	return nil, err
}

// waitFor begins to obtain what is missing of sub, and waits until the first
// certificate is there, patience or the client's is over, or nothing is under way.
func (s *Store) waitFor(ctx context.Context, v *view, sub *subject, w *want) error {
	var timeout <-chan time.Time
	if sub.listed && !w.local() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		timeout = timer.C
	}
	for _, m := range sub.certs {
		f := s.start(ctx, task{managed: m, want: w, set: v.set, listed: sub.listed}, false)
		select {
		case <-f.done:
		case <-f.ready:
		case <-timeout:
			return errors.New("the certificate is being ordered")
		case <-ctx.Done():
			return ctx.Err()
		}
		if st := m.state.Load(); st != nil && st.entry != nil {
			return nil
		}
	}
	return nil
}

// shown counts the use of a certificate, and says when it is an old one.
func (s *Store) shown(sub *subject, e *entry) {
	now := time.Now()
	if sec := now.Unix(); !sub.listed && sub.used.Load() != sec {
		sub.used.Store(sec)
	}
	if !e.expired(now) {
		return
	}
	last := sub.said.Load()
	if now.Unix()-last >= int64(time.Hour/time.Second) && sub.said.CompareAndSwap(last, now.Unix()) {
		s.log.Error("an expired certificate is shown, since there is no other", "host", sub.name, "not_after", e.leaf.NotAfter)
		s.touch(loopRenew)
	}
}

func (s *Store) fallback(v *view, hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(v.index.fallback) > 0 {
		return choose(v.index.fallback, hello)
	}
	if s.log.Enabled(handshakeContext(hello), slog.LevelDebug) {
		var client string
		if hello.Conn != nil && hello.Conn.RemoteAddr() != nil {
			client = hello.Conn.RemoteAddr().String()
		}
		s.log.Debug("no certificate for the name a client asked for", "host", hello.ServerName, "client", client)
	}
	return nil
}

// handshakeContext is never nil, though a hello that was not made by crypto/tls
// has no context.
func handshakeContext(hello *tls.ClientHelloInfo) context.Context {
	if ctx := hello.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// Covers reports whether the certificate that is shown for the server name sni
// is valid for host as well, so that a connection opened for sni may carry
// requests for host; where it is not, 421 is the answer (RFC 9110 section
// 15.5.20). It is true when both are the same name, and when the client sent no
// server name, since nothing is known then about what it looked at. Host has no
// port. Covers does not allocate when the names are equal, and never blocks.
func (s *Store) Covers(sni, host string) bool {
	if sni == "" || sni == host || strings.EqualFold(sni, host) {
		return true
	}
	v := s.view.Load()
	if v == nil {
		return false
	}
	sni, host = cleanName(sni), cleanName(host)
	if sni == host {
		return true
	}
	list := v.index.lookup(sni)
	if list == nil {
		if v.set.wanted(sni) != nil {
			list = s.issuedFor(v, sni)
		} else {
			list = v.index.fallback
		}
	}
	for _, e := range list {
		if !e.covers(host) {
			return false
		}
	}
	return len(list) > 0
}

// issuedFor lists the certificates that issuers have made and that are shown for
// a clean name.
func (s *Store) issuedFor(v *view, sni string) []*entry {
	if sub := v.subject(sni); sub != nil {
		return sub.entries()
	}
	if sub := s.visitors.get(sni); sub != nil {
		return sub.entries()
	}
	return nil
}

// Run keeps what is served fresh until ctx ends: it watches certificate files,
// obtains and renews certificates from issuers, takes over what other gateways
// have obtained, refreshes OCSP staples and rotates ticket keys. It returns after
// its last goroutine, and never with an error but ctx's. It is called once.
func (s *Store) Run(ctx context.Context) error { return s.run(ctx, true) }

func (s *Store) run(ctx context.Context, events bool) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.runPolicies(ctx) })
	wg.Go(func() { s.loop(ctx, loopRenew, s.renewAll) })
	wg.Go(func() {
		s.loop(ctx, loopStaple, func(ctx context.Context, v *view) time.Time { return s.stapleAll(ctx, s.entries(v)) })
	})
	wg.Go(func() { s.watch(ctx, events) })
	wg.Go(func() { s.follow(ctx) })
	wg.Go(func() { s.sweep(ctx) })
	wg.Wait()
	s.end()
	s.flying.Lock()
	s.ended = true
	s.flying.Unlock()
	s.flights.Wait()
	s.close()
	return ctx.Err()
}

// close closes the storages. One that a reload has replaced is among them: work
// that began before may still have used it.
func (s *Store) close() {
	s.mu.Lock()
	opened := s.opened
	s.opened = nil
	s.mu.Unlock()
	for _, c := range opened {
		if err := c.Close(); err != nil {
			s.log.Debug("storage not closed", "err", err)
		}
	}
}

// background runs work in a goroutine that Run waits for; after Run it does not.
func (s *Store) background(work func()) (started bool) {
	s.flying.RLock()
	defer s.flying.RUnlock()
	if !s.ended {
		s.flights.Go(work)
	}
	return !s.ended
}

// entries are all certificates that are served.
func (s *Store) entries(v *view) []*entry {
	out := append([]*entry(nil), v.index.entries...)
	for _, sub := range v.subjects {
		out = append(out, sub.entries()...)
	}
	for _, sub := range s.visitors.all() {
		out = append(out, sub.entries()...)
	}
	return out
}

// loop calls work whenever what is served changes, and when work wants it.
func (s *Store) loop(ctx context.Context, which int, work func(context.Context, *view) time.Time) {
	for ctx.Err() == nil {
		next := time.Now().Add(renewPoll)
		if v := s.view.Load(); v != nil {
			next = work(ctx, v)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
		case <-s.changed[which]:
		case <-timer.C:
		}
		timer.Stop()
	}
}
