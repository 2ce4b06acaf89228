package certs

import (
	"context"
	"crypto/tls"
)

// HTTPChallenge returns the answer for a token that an authority, or whoever says
// it is one, asks for below /.well-known/acme-challenge/ (RFC 8555 section 8.3).
// The challenge may have been begun by another gateway with the same storage. A
// token that nobody waits for is false, and costs next to nothing.
func (s *Store) HTTPChallenge(ctx context.Context, token string) (answer []byte, ok bool) {
	v := s.view.Load()
	if v == nil || v.set.challenges == nil || !v.set.remote {
		return nil, false
	}
	return v.set.challenges.Text(ctx, token)
}

// challenge returns the certificate that answers a tls-alpn-01 challenge for the
// server name of a client, or nil.
func (s *Store) challenge(ctx context.Context, sni string) *tls.Certificate {
	v := s.view.Load()
	if v == nil || v.set.challenges == nil || !v.set.remote {
		return nil
	}
	return v.set.challenges.Certificate(ctx, sni)
}
