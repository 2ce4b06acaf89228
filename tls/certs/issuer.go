package certs

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"
)

// An Issuer makes certificates. The local authority [CA] is one, the ACME client
// of package acme is another. Its methods may be called from many goroutines at
// once; the [Store] never has two calls of Obtain under way for the same names,
// neither in this process nor in another one that shares its storage.
type Issuer interface {
	// Obtain has a certificate made as o says. It blocks until the certificate
	// is there, which with a remote authority takes seconds to minutes, and gives
	// up when ctx ends. It does not retry a refusal: the Store waits longer after
	// each one. An error that wraps a [*Refusal] means that the authority was
	// reached and said no; any other is a failure on the way to it.
	Obtain(ctx context.Context, o Order) (Issued, error)

	// RenewAt says when leaf, which this issuer made, wants to be replaced. The
	// Store asks again about once an hour, so an authority that changes its mind
	// (RFC 9773) is heard; an issuer that asks over the network caches. On an
	// error the Store keeps to two thirds of the certificate's life.
	RenewAt(ctx context.Context, leaf *x509.Certificate) (time.Time, error)
}

// Order is what an Issuer is asked for.
type Order struct {
	// Names are host names, wildcards such as *.example.com where the issuer can
	// prove them, or IP addresses; all clean: lower case, no final dot.
	Names []string

	// Key is the private key of the certificate. It is in the storage before the
	// order is placed, so that no certificate is ever made whose key is lost.
	Key crypto.Signer

	// Replaces is the certificate that the new one takes the place of, or nil
	// (RFC 9773 section 5).
	Replaces *x509.Certificate
}

// Issued is what an Issuer has made.
type Issued struct {
	Chain     [][]byte // DER: the certificate, then its intermediates in order, without the root
	Challenge string   // how control of the names was proven, such as "http-01"; "" when it was not
}

// A Revoker is an Issuer that can take back what it has made.
type Revoker interface {
	// Revoke tells the authority that leaf is not to be trusted any more. Key is
	// leaf's private key, which proves the right to do so. Reason is a code of
	// RFC 5280 section 5.3.1: 0 unspecified, 1 key compromise, 4 superseded.
	Revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer, reason int) error
}

// A Preflighter is an Issuer that can tell beforehand what stands in the way of
// a certificate.
type Preflighter interface {
	// Preflight looks at name as the authority would, as far as that can be done
	// from here: does it exist, does it point here, does a challenge arrive. The
	// error says what stands in the way and the cure; nil promises nothing. It
	// blocks for some seconds at most.
	Preflight(ctx context.Context, name string) error
}

// Refusal is an authority's no. The Store waits minutes before it asks again,
// since authorities count failures.
type Refusal struct {
	Err  error     // what the authority said, and the cure where it is known
	Wait time.Time // not before then, if the authority says so; else zero
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns what the authority said.
func (r *Refusal) Unwrap() error { return r.Err }

// Authority is what an ACME issuer is made of.
type Authority struct {
	Name       string      // "acme", or the name that Options.Issuers gives it
	Email      string      // for the account; may be ""
	Options    ACMEOptions // how to reach it and what to ask for
	Storage    Storage     // keeps its account
	Challenges *Challenges // answers it, at whichever gateway it asks
	Log        *slog.Logger
}

// twoThirds is the moment when two thirds of leaf's life are over.
func twoThirds(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}

// parseIssued checks that what an issuer made is what it was asked for.
func parseIssued(o Order, got Issued) ([]*x509.Certificate, error) {
	if len(got.Chain) == 0 {
		return nil, fmt.Errorf("the authority sent no certificate")
	}
	chain := make([]*x509.Certificate, len(got.Chain))
	for i, der := range got.Chain {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("the authority sent an unreadable certificate: %w", err)
		}
	}
	if keyOwner(chain[:1], o.Key) != 0 {
		return nil, fmt.Errorf("the authority sent a certificate of another key")
	}
	for _, n := range o.Names {
		if err := chain[0].VerifyHostname(hostToVerify(n)); err != nil {
			return nil, fmt.Errorf("the authority sent a certificate for other names: %w", err)
		}
	}
	return chain, nil
}

// hostToVerify turns a wildcard into a name that it stands for.
func hostToVerify(name string) string {
	if len(name) > 2 && name[:2] == "*." {
		return "x" + name[1:]
	}
	return name
}
