package certs

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// entry is one certificate that can be shown: from files, as those files were at
// one moment, or from an issuer. All but its staple and what is known of newer
// files is immutable.
type entry struct {
	pair   Pair // the files; zero if an issuer made it
	sum    [sha256.Size]byte
	names  []string          // clean; never empty
	leaf   *x509.Certificate // first of the chain
	issuer *x509.Certificate // second of the chain, or nil

	cert atomic.Pointer[tls.Certificate] // replaced, never changed, when a staple comes or goes

	mu     sync.Mutex // guards the fields below
	staple staple
	bad    [sha256.Size]byte // sum of newer files that could not be used
	badErr error             // why; nil while the files are as they were loaded
}

// newEntry checks a pair and says what is odd about it.
func newEntry(p Pair, c contents, log *slog.Logger) (*entry, error) {
	cert, chain, err := parsePair(p, c)
	if err != nil {
		return nil, err
	}
	e := &entry{pair: p, sum: c.sum, leaf: chain[0], names: leafNames(chain[0])}
	if len(e.names) == 0 {
		return nil, fmt.Errorf("cert: %s: the certificate names no host: ask for one with subject alternative names", p.Cert)
	}
	if len(chain) > 1 {
		e.issuer = chain[1]
	}
	e.cert.Store(cert)
	for _, w := range warnings(p, e.leaf) {
		log.Warn(w, "file", p.Cert, "names", e.names, "not_after", e.leaf.NotAfter)
	}
	return e, nil
}

// issuedEntry takes a certificate that an issuer has made, with its Leaf.
func issuedEntry(cert *tls.Certificate) (*entry, error) {
	e := &entry{leaf: cert.Leaf, names: leafNames(cert.Leaf)}
	if len(cert.Certificate) > 1 {
		var err error
		if e.issuer, err = x509.ParseCertificate(cert.Certificate[1]); err != nil {
			return nil, fmt.Errorf("second certificate of the chain: %w", err)
		}
	}
	e.cert.Store(cert)
	return e, nil
}

// about names the certificate in a log.
func (e *entry) about() slog.Attr {
	if e.pair.Cert != "" {
		return slog.Group("", "file", e.pair.Cert, "names", e.names)
	}
	return slog.Group("", "names", e.names)
}

func (e *entry) expired(now time.Time) bool { return !now.Before(e.leaf.NotAfter) }

// revoked reports what the authority's OCSP responder said last.
func (e *entry) revoked() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.staple.state == OCSPRevoked
}

// leafNames are the names that clients look at, or the common name that they
// looked at twenty years ago.
func leafNames(leaf *x509.Certificate) []string {
	var names []string
	for _, n := range leaf.DNSNames {
		names = append(names, cleanName(n))
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, cleanName(ip.String()))
	}
	if cn := cleanName(leaf.Subject.CommonName); len(names) == 0 && cn != "" {
		names = append(names, cn)
	}
	return names
}

// covers reports whether the certificate is valid for a clean name.
func (e *entry) covers(host string) bool {
	for _, n := range e.names {
		if matches(n, host) {
			return true
		}
	}
	return false
}

func (e *entry) isRSA() bool {
	_, ok := e.leaf.PublicKey.(*rsa.PublicKey)
	return ok
}
