package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// handshakes is what handshakes need besides certificates. It outlives the Sets.
type handshakes struct {
	tickets *tickets
	ech     *ech
	answer  *tls.Config   // for authorities that come for the answer to tls-alpn-01
	woken   chan struct{} // wakes runPolicies; capacity 1
}

func newHandshakes(s *Store) *handshakes {
	h := &handshakes{tickets: newTickets(s.log), ech: newECH(s.log), woken: make(chan struct{}, 1)}
	h.answer = &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{ALPNProto},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.challenge(handshakeContext(hello), hello.ServerName), nil // nil: unrecognized_name
		},
	}
	return h
}

// use follows a Swap: keys are kept in st from now on, or with nil in this process
// alone.
func (h *handshakes) use(st Storage, o Options) {
	h.tickets.share(st)
	h.ech.use(st, o.ECH.PublicName)
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// TLSConfig returns the one base configuration for TCP and QUIC: TLS 1.2 and 1.3
// with Go's ciphers and its post-quantum key exchange, h2 and http/1.1. It may
// be cloned, as net/http, http3 and quic-go do: certificates, what sites say of
// versions and client certificates, ticket keys and Encrypted Client Hello follow
// the Store in every clone. A ticket is good for sites of one policy only. Clones
// that ask for client certificates themselves must replace WrapSession and
// UnwrapSession, or a ticket from here skips their check.
func (s *Store) TLSConfig() *tls.Config {
	c := s.config(tls.VersionTLS12, "")
	c.GetConfigForClient = s.configFor
	return c
}

func (s *Store) config(min uint16, policy string) *tls.Config {
	c := &tls.Config{
		GetCertificate:              s.Get,
		GetEncryptedClientHelloKeys: s.handshakes.ech.forHello,
		MinVersion:                  min,
		NextProtos:                  []string{"h2", "http/1.1"},
		DynamicRecordSizingDisabled: true, // small records cost a system call each, and save a round trip's part at most
	}
	s.handshakes.tickets.use(c, policy)
	return c
}

// configFor chooses how a handshake is made. Nil means the base config.
func (s *Store) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	quic := overQUIC(hello.Conn)
	if !quic && len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ALPNProto {
		return s.handshakes.answer, nil
	}
	v := s.view.Load()
	if v == nil {
		return nil, nil
	}
	p := v.set.policies.forHello(hello)
	st := p.state.Load()
	if st.id == "" && (quic || p.key.min == tls.VersionTLS12) {
		return nil, nil
	}
	return st.tlsConfig(s, p.key.min), nil
}

// overQUIC reports whether a connection is one of quic-go, where the challenge
// tls-alpn-01 has no meaning (RFC 8737 section 3) and all is TLS 1.3.
func overQUIC(c net.Conn) bool {
	if c == nil {
		return true
	}
	_, udp := c.LocalAddr().(*net.UDPAddr)
	return udp
}

// forHello returns the policy of the name that a client asks for; without a name,
// that of the address it connected to.
func (p *policies) forHello(hello *tls.ClientHelloInfo) *policy {
	name := cleanName(hello.ServerName)
	if name == "" && len(p.exact) > 0 {
		name = localIP(hello.Conn)
	}
	return p.of(name)
}

// tlsConfig makes the config of a policy that is not the base, once.
func (st *policyState) tlsConfig(s *Store, min uint16) *tls.Config {
	st.once.Do(func() {
		st.config = s.config(min, st.id)
		if st.clients != nil {
			st.clients.ask(st.config, s.log)
		}
	})
	return st.config
}

// ask makes c ask clients for certificates. Crypto/tls takes the rest of a chain
// from the client, wants the extended key usage of clients, and sends the names of
// the authorities.
func (c *clients) ask(config *tls.Config, log *slog.Logger) {
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if c.require {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	config.ClientCAs = c.authorities
	config.VerifyConnection = func(cs tls.ConnectionState) error {
		err := c.verify(&cs, time.Now())
		if err != nil && len(cs.PeerCertificates) > 0 {
			leaf := cs.PeerCertificates[0]
			log.Debug("client certificate refused", "host", cs.ServerName, "subject", leaf.Subject.String(), "serial", serialText(leaf), "err", err)
		}
		return err
	}
}

// SamePolicy reports whether a connection that was opened for the server name sni
// may carry requests for host as far as policies go: not if they differ and either
// asks for client certificates. Where it is false, 421 is the answer (RFC 9110
// section 15.5.20). An sni of "" is a client that sent none. Host has no port. It
// does not allocate when the names are equal, and never blocks. Admits asks more.
func (s *Store) SamePolicy(sni, host string) bool {
	if sni == host || sni != "" && strings.EqualFold(sni, host) {
		return true
	}
	v := s.view.Load()
	if v == nil {
		return false
	}
	return v.set.policies.same(cleanName(sni), cleanName(host))
}

// same compares the policies of two clean names.
func (p *policies) same(a, b string) bool {
	x, y := p.of(a), p.of(b)
	if x == y {
		return true
	}
	sx, sy := x.state.Load(), y.state.Load()
	return sx.id == sy.id || !sx.asks() && !sy.asks()
}

// Admits reports whether a request for host may be taken from a connection. It is
// false, and 421 the answer, where SamePolicy is, and also where the connection is
// older than what is asked for now: a reload has begun to ask for certificates, or
// changed whose are accepted or which TLS versions are spoken, or the client's has
// been revoked since. A client that sent no server name may mean the address it
// connected to. It does not allocate for hosts without client certificates.
func (s *Store) Admits(cs *tls.ConnectionState, host string) bool {
	v := s.view.Load()
	if v == nil {
		return false
	}
	host = cleanName(host)
	p := v.set.policies.of(host)
	st := p.state.Load()
	if cs.Version < p.key.min {
		return false
	}
	if sni := cleanName(cs.ServerName); sni != host && !(sni == "" && isIP(host)) && !v.set.policies.same(sni, host) {
		return false
	}
	return st.clients == nil || st.clients.verify(cs, time.Now()) == nil
}

// WantsClientVars reports whether the app behind host is told about client
// certificates, and whether it is sent the certificate itself; see ClientVars.
func (s *Store) WantsClientVars(host string) (wants, certificate bool) {
	v := s.view.Load()
	if v == nil {
		return false, false
	}
	k := v.set.policies.of(cleanName(host)).key
	return k.auth.CA != "", k.auth.Certificate
}

// ECHRecord returns the ECHConfigList to publish in the HTTPS records of all
// hosts, and false while Encrypted Client Hello is off or its keys are not there.
// It changes every few days; an old one is good for a week. The caller does not
// change it.
func (s *Store) ECHRecord() (configList []byte, ok bool) {
	set := s.handshakes.ech.keys.Load()
	if set == nil {
		return nil, false
	}
	return set.list, true
}

// runPolicies reads the files of policies again when they change, and rotates and
// shares ticket keys and those of Encrypted Client Hello, until ctx ends. It
// returns after its last goroutine.
func (s *Store) runPolicies(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.handshakes.tickets.run(ctx) })
	wg.Go(func() { s.handshakes.ech.run(ctx) })
	for ctx.Err() == nil {
		wait := policyPoll
		if v := s.view.Load(); v != nil && !v.set.policies.refresh(time.Now(), s.log) {
			wait = policySettle
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.handshakes.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}
