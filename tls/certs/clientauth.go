package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// The modes of ClientAuth.
const (
	modeRequire = "require"
	modeRequest = "request"
)

// clients says whose certificates are accepted from clients. It is immutable.
type clients struct {
	authorities *x509.CertPool
	roots       map[string]bool   // the same, by their DER form
	sum         [sha256.Size]byte // of the authorities
	depth       int               // intermediates between a client and an authority
	require     bool
	revoked     *revocations // nil: nothing is
	files       stamps
}

// loadClients reads the files of a. Its errors start with the key they are about.
func loadClients(a ClientAuth, log *slog.Logger) (*clients, error) {
	c := &clients{
		authorities: x509.NewCertPool(), roots: map[string]bool{},
		depth: max(a.Depth, 0), require: a.Mode != modeRequest, files: stampsOf(a),
	}
	list, err := loadAuthorities(a.CA, log)
	if err != nil {
		err = fmt.Errorf("client_auth.ca: %w", err)
	}
	h := sha256.New()
	for _, ca := range list {
		c.authorities.AddCert(ca)
		c.roots[string(ca.Raw)] = true
		h.Write(ca.Raw)
	}
	h.Sum(c.sum[:0])
	if a.CRL != "" {
		var bad error
		if c.revoked, bad = loadRevocations(a.CRL, list, log); bad != nil {
			err = errors.Join(err, fmt.Errorf("client_auth.crl: %w", bad))
		}
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func loadAuthorities(file string, log *slog.Logger) ([]*x509.Certificate, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, fileError(err)
	}
	list, err := parseChain(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, ca := range list {
		if now := time.Now(); now.After(ca.NotAfter) {
			log.Warn("an authority of clients has expired, its clients are not let in", "file", file, "authority", ca.Subject.String(), "not_after", ca.NotAfter)
		}
	}
	return list, nil
}

// verify is what a tls.Config's VerifyConnection has to do, after crypto/tls has
// found chains from the client's certificate to an authority. It is asked at full
// handshakes and at resumed ones.
func (c *clients) verify(cs *tls.ConnectionState, now time.Time) error {
	if len(cs.PeerCertificates) == 0 && !c.require {
		return nil
	}
	err := errors.New("the client has shown no certificate of an authority in ca")
	for _, chain := range cs.VerifiedChains {
		if err = c.check(chain, now); err == nil {
			return nil
		}
	}
	return err
}

// check looks at one chain: the client's certificate, its intermediates, an
// authority.
func (c *clients) check(chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 || !c.roots[string(chain[len(chain)-1].Raw)] {
		return errors.New("the chain of the client's certificate does not end at an authority in ca")
	}
	if n := len(chain) - 2; n > c.depth {
		return fmt.Errorf("there are %d intermediates between the client's certificate and its authority, and %d are allowed: see depth", n, c.depth)
	}
	if c.revoked != nil {
		return c.revoked.check(chain, now)
	}
	return nil
}

// stamps tell whether the files of a ClientAuth have changed. They are comparable.
type stamps struct{ ca, crl stamp }

type stamp struct {
	changed time.Time
	size    int64
	inode   uint64
}

func stampsOf(a ClientAuth) stamps {
	s := stamps{ca: stampOf(a.CA)}
	if a.CRL != "" {
		s.crl = stampOf(a.CRL)
	}
	return s
}

// stampOf is zero for a file that is not there.
func stampOf(file string) stamp {
	fi, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	s := stamp{changed: fi.ModTime(), size: fi.Size()}
	if sys, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// settling reports whether a file changed a moment ago, and may be half written.
func (s stamps) settling(now time.Time) bool {
	for _, x := range []stamp{s.ca, s.crl} {
		if age := now.Sub(x.changed); age >= 0 && age < policySettle {
			return true
		}
	}
	return false
}
