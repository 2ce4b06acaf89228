package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// An Issuer makes certificates. The local authority [CA] is one, an ACME client
// is another. Both methods may be called from many goroutines at once; the
// [Store] never has two calls of Obtain under way for the same name.
type Issuer interface {
	// Obtain makes a new certificate with a new private key that is valid for
	// all names: host names, wildcards such as *.example.com where the issuer
	// can prove them, or IP addresses. It blocks until the certificate is there,
	// which with a remote authority takes seconds to minutes, and gives up when
	// ctx ends. It does not retry a refusal: the Store waits longer after each
	// one. The result has its Leaf and its chain without the root, belongs to
	// the caller, and is served until it expires, whatever happens to the
	// issuer.
	Obtain(ctx context.Context, names []string) (*tls.Certificate, error)

	// RenewAt says when leaf, which this issuer made, wants to be replaced. The
	// Store asks again about once an hour, so an authority that changes its mind
	// (RFC 9773) is heard; an issuer that asks over the network caches. On an
	// error the Store keeps to two thirds of the certificate's life.
	RenewAt(ctx context.Context, leaf *x509.Certificate) (time.Time, error)
}

// twoThirds is the moment when two thirds of leaf's life are over.
func twoThirds(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3 * 2)
}
