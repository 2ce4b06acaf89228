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
)

// entry is one certificate from files, as those files were at one moment. All
// but its staple and what is known of newer files is immutable.
type entry struct {
	pair   Pair
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
