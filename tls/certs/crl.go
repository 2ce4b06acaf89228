package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxRevocations = 64 << 20 // bytes of a file; some hundred thousand certificates
	staleWarning   = 24 * time.Hour
)

// Extensions of lists of revoked certificates and of their entries (RFC 5280
// section 5).
var (
	oidDeltaCRL          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingPoint      = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
)

// revocations are the lists of one file. A list that has expired is as good as
// none: whoever was revoked since is not in it, so clients of its issuer are
// refused, as by nginx, Apache and OpenSSL. The log says so a day before.
type revocations struct {
	byIssuer map[string][]*crl // by the issuer's name in DER form
	expires  time.Time         // when the first of the lists does; zero: never
	sayAt    time.Time         // when to say more about that; of runPolicies
}

// crl is one list. All but signer is immutable.
type crl struct {
	list    *x509.RevocationList // without its entries
	serials map[string]bool      // big-endian
	signer  atomic.Pointer[x509.Certificate]
}

// loadRevocations reads the lists of a file: PEM, as many as there are, or DER.
// Lists of authorities must be signed by them; others are for intermediates that
// clients send, and are checked when one does.
func loadRevocations(file string, authorities []*x509.Certificate, log *slog.Logger) (*revocations, error) {
	data, err := readUpTo(file, maxRevocations)
	if err != nil {
		return nil, fileError(err)
	}
	r := &revocations{byIssuer: map[string][]*crl{}}
	for i, der := range splitCRLs(data) {
		l, err := parseCRL(der)
		if err == nil {
			err = l.checkAuthority(authorities)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: list %d: %w", file, i+1, err)
		}
		issuer := string(l.list.RawIssuer)
		r.byIssuer[issuer] = append(r.byIssuer[issuer], l)
		if end := l.list.NextUpdate; !end.IsZero() && (r.expires.IsZero() || end.Before(r.expires)) {
			r.expires = end
		}
	}
	r.sayAt = r.warn(file, time.Now(), log)
	return r, nil
}

// splitCRLs returns the DER form of every list in data.
func splitCRLs(data []byte) [][]byte {
	var out [][]byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "CRL") {
			out = append(out, block.Bytes)
		}
	}
	if out == nil {
		out = [][]byte{data}
	}
	return out
}

func parseCRL(der []byte) (*crl, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("is not a list of revoked certificates in PEM or DER form: %w", err)
	}
	for _, e := range list.Extensions {
		if e.Id.Equal(oidDeltaCRL) || e.Critical && !e.Id.Equal(oidIssuingPoint) {
			return nil, fmt.Errorf("has the extension %s, which is not supported: use a complete list", e.Id)
		}
	}
	l := &crl{serials: make(map[string]bool, len(list.RevokedCertificateEntries))}
	for _, e := range list.RevokedCertificateEntries {
		for _, x := range e.Extensions {
			if x.Critical || x.Id.Equal(oidCertificateIssuer) {
				return nil, errors.New("is an indirect list, which is not supported: use the issuer's own")
			}
		}
		l.serials[string(e.SerialNumber.Bytes())] = true
	}
	list.RevokedCertificateEntries = nil
	//lint:ignore SA1019 the deprecated field is a second copy of the entries
	list.RevokedCertificates = nil
	l.list = list
	return l, nil
}

// checkAuthority checks the signature if the list is of one of the authorities.
func (l *crl) checkAuthority(authorities []*x509.Certificate) error {
	var err error
	for _, ca := range authorities {
		if !bytes.Equal(ca.RawSubject, l.list.RawIssuer) {
			continue
		}
		if err = l.list.CheckSignatureFrom(ca); err == nil {
			l.signer.Store(ca)
			return nil
		}
		err = fmt.Errorf("is not signed by %s: %w", ca.Subject, err)
	}
	return err
}

// isOf reports whether issuer has signed the list.
func (l *crl) isOf(issuer *x509.Certificate) bool {
	if s := l.signer.Load(); s != nil && bytes.Equal(s.Raw, issuer.Raw) {
		return true
	}
	if l.list.CheckSignatureFrom(issuer) != nil {
		return false
	}
	l.signer.Store(issuer)
	return true
}

func (l *crl) expired(now time.Time) bool {
	return !l.list.NextUpdate.IsZero() && now.After(l.list.NextUpdate)
}

// check refuses a chain in which a certificate is revoked. The client's issuer
// must have a list; issuers of intermediates may have one.
func (r *revocations) check(chain []*x509.Certificate, now time.Time) error {
	for i, cert := range chain[:len(chain)-1] {
		issuer := chain[i+1]
		lists := r.byIssuer[string(cert.RawIssuer)]
		lists = slices.DeleteFunc(slices.Clone(lists), func(l *crl) bool { return !l.isOf(issuer) })
		serial := string(cert.SerialNumber.Bytes())
		switch {
		case slices.ContainsFunc(lists, func(l *crl) bool { return l.serials[serial] }):
			return fmt.Errorf("certificate %s of %s is revoked", serialText(cert), cert.Subject)
		case len(lists) == 0 && i == 0:
			return fmt.Errorf("crl has no list of %s, which has issued the client's certificate", issuer.Subject)
		case len(lists) > 0 && !slices.ContainsFunc(lists, func(l *crl) bool { return !l.expired(now) }):
			return fmt.Errorf("the list of revoked certificates of %s has expired: fetch a new one", issuer.Subject)
		}
	}
	return nil
}

// warn says that a list has expired, or soon will. It returns when to say more.
func (r *revocations) warn(file string, now time.Time, log *slog.Logger) (next time.Time) {
	switch {
	case r.expires.IsZero():
		return time.Time{}
	case now.After(r.expires):
		log.Error("the list of revoked certificates has expired: clients of its issuer are refused until there is a new one", "file", file, "not_after", r.expires)
		return time.Time{}
	case r.expires.Sub(now) <= staleWarning:
		log.Warn("the list of revoked certificates expires soon: clients of its issuer will be refused without a new one", "file", file, "not_after", r.expires)
		return r.expires.Add(time.Second)
	}
	return r.expires.Add(-staleWarning)
}

// serialText writes a serial number as OpenSSL does.
func serialText(cert *x509.Certificate) string {
	n := cert.SerialNumber
	text := strings.ToUpper(hex.EncodeToString(n.Bytes()))
	if text == "" {
		text = "00"
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	return text
}

func readUpTo(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return data, err
}
