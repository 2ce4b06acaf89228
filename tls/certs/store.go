package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Store answers TLS handshakes with the certificates of the Set that was swapped
// in last. It outlives generations. Its methods are safe for concurrent use.
type Store struct {
	log     *slog.Logger
	web     http.RoundTripper
	tickets *tickets
	strict  *tls.Config // what TLSConfig returns, but TLS 1.3 only

	changed [3]chan struct{} // each wakes one of the loops of Run; capacity 1

	mu   sync.Mutex // held to replace view
	view atomic.Pointer[view]
}

// view is what handshakes read. It is immutable.
type view struct {
	set   *Set
	index *index // of the set's certificates, or of newer files of the same names
}

// The loops of Run that sleep until something changes.
const (
	loopRenew = iota
	loopStaple
	loopWatch
)

// New returns a Store that serves nothing until the first Swap. OCSP responders
// are asked through web; nil means a transport of its own that honours the
// proxy variables of the environment. A nil log is silent.
func New(web http.RoundTripper, log *slog.Logger) *Store {
	if web == nil {
		web = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DisableKeepAlives:      true, // one request in days
			MaxResponseHeaderBytes: 16 << 10,
		}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{log: log, web: web, tickets: newTickets()}
	for i := range s.changed {
		s.changed[i] = make(chan struct{}, 1)
	}
	s.strict = s.config(tls.VersionTLS13)
	return s
}

// TLSConfig returns the one base configuration for TCP and QUIC: TLS 1.2 and 1.3
// with Go's ciphers and its post-quantum key exchange, h2 and http/1.1. It may
// be cloned, as net/http and http3 do: certificates, versions and ticket keys
// follow the Store in every clone. Clones made for another purpose, such as
// client certificates, must replace WrapSession and UnwrapSession, or a ticket
// from here skips their check.
func (s *Store) TLSConfig() *tls.Config {
	c := s.config(tls.VersionTLS12)
	c.GetConfigForClient = s.policy
	return c
}

func (s *Store) config(min uint16) *tls.Config {
	c := &tls.Config{
		GetCertificate: s.Get,
		MinVersion:     min,
		NextProtos:     []string{"h2", "http/1.1"},
	}
	s.tickets.use(c)
	return c
}

// policy lets a reload change the oldest version. Nil means the base config.
func (s *Store) policy(*tls.ClientHelloInfo) (*tls.Config, error) {
	if v := s.view.Load(); v != nil && v.set.options.MinVersion == "1.3" {
		return s.strict, nil
	}
	return nil, nil
}

// Swap serves set from now on, which Build of this Store has made. Connections
// that are open keep what they have.
func (s *Store) Swap(set *Set) {
	s.mu.Lock()
	s.view.Store(&view{set: set, index: newIndex(set.entries)})
	s.mu.Unlock()
	s.wake()
}

func (s *Store) wake() {
	for _, c := range s.changed {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// Get is a tls.Config's GetCertificate. It looks for, in this order: a file for
// the exact name, a file for its wildcard, a certificate from an issuer if some
// site answers for the name, the first file. A client without a server name is
// one that asks for the address it connected to. Of several files for a name it
// shows the first that the client can use, ECDSA before RSA.
//
// For a name that nobody serves it returns nil and no error, which crypto/tls
// turns into the alert unrecognized_name. It blocks only while an issuer makes a
// certificate, and not longer than the handshake's context.
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
	if v.set.hosts.kind(name) == KindInternal && isHostName(name) {
		return s.fromIssuer(v, hello, name)
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
	if v.set.issued != nil && (len(v.index.fallback) == 0 || v.set.hosts.kind(ip) == KindInternal) {
		return s.fromIssuer(v, hello, ip)
	}
	return s.fallback(v, hello), nil
}

func (s *Store) fromIssuer(v *view, hello *tls.ClientHelloInfo, name string) (*tls.Certificate, error) {
	_, listed := v.set.hosts.exact[name]
	return v.set.issued.get(handshakeContext(hello), name, !listed)
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
	if list == nil && v.set.hosts.kind(sni) == KindInternal {
		return false // the issuer's certificates are for one name each
	}
	if list == nil {
		list = v.index.fallback
	}
	for _, e := range list {
		if !e.covers(host) {
			return false
		}
	}
	return len(list) > 0
}

// Run keeps what is served fresh until ctx ends: it watches certificate files,
// obtains and renews certificates from issuers, refreshes OCSP staples and
// rotates ticket keys. It returns after its last goroutine, and never with an
// error but ctx's. One Run at a time.
func (s *Store) Run(ctx context.Context) error { return s.run(ctx, true) }

func (s *Store) run(ctx context.Context, events bool) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.tickets.run(ctx) })
	wg.Go(func() { s.loop(ctx, loopRenew, s.renewAll) })
	wg.Go(func() {
		s.loop(ctx, loopStaple, func(ctx context.Context, v *view) time.Time { return s.stapleAll(ctx, v.index.entries) })
	})
	wg.Go(func() { s.watch(ctx, events) })
	wg.Wait()
	return ctx.Err()
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

func (s *Store) renewAll(ctx context.Context, v *view) time.Time {
	if v.set.issued == nil {
		return time.Now().Add(renewPoll)
	}
	return v.set.issued.renew(ctx, v.set.hosts.names(KindInternal))
}
