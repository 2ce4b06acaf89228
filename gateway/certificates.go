package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"headgate/gateway/stats"
	"headgate/tls/certs"
)

// RenewCertificate obtains a new certificate for a name of Snapshot now, and
// waits for it or for ctx. The old one serves until then, and after an error. An
// error whose NotFound() bool is true says that no issuer serves the name.
func (g *Gateway) RenewCertificate(ctx context.Context, name string) error {
	return notFound(g.certs.Renew(ctx, name))
}

// RevokeCertificate takes back the certificate of a name and obtains another one,
// as RenewCertificate. Reason is one of RevocationReasons; "" is unspecified.
func (g *Gateway) RevokeCertificate(ctx context.Context, name, reason string) error {
	code, ok := revocationReasons()[reason]
	if !ok && reason != "" {
		return fmt.Errorf("%q is not a reason that an authority takes: write %s", reason, strings.Join(RevocationReasons(), ", "))
	}
	return notFound(g.certs.Revoke(ctx, name, code))
}

// RevocationReasons are the words for why a certificate is taken back (RFC 5280
// section 5.3.1) that authorities take from who has it.
func RevocationReasons() []string { return slices.Sorted(maps.Keys(revocationReasons())) }

func revocationReasons() map[string]int {
	return map[string]int{
		"unspecified": 0, "keyCompromise": 1, "affiliationChanged": 3, "superseded": 4, "cessationOfOperation": 5,
	}
}

// unknownName is an error of a name without a certificate.
type unknownName struct{ error }

// NotFound is what package admin asks of errors.
func (unknownName) NotFound() bool { return true }

// Unwrap returns the error.
func (e unknownName) Unwrap() error { return e.error }

func notFound(err error) error {
	if errors.Is(err, certs.ErrUnknown) {
		return unknownName{err}
	}
	return err
}

// certificates lists what is served and what is to be.
func (g *Gateway) certificates() []stats.Certificate {
	var out []stats.Certificate
	for _, c := range g.certs.Snapshot() {
		out = append(out, stats.Certificate{
			Names: c.Names, Source: c.Source, File: c.File, Issuer: c.Issuer, Key: c.Key, Challenge: c.Challenge, OnDemand: c.OnDemand,
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, RenewAt: c.RenewAt, RetryAt: c.RetryAt, OCSP: c.OCSP, Error: c.Err,
		})
	}
	return out
}
