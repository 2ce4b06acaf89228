package certs

import (
	"context"
	"crypto/tls"
)

// RunPolling is Run without events of the file system, whose goroutine would
// keep the clock of a synctest bubble from moving.
func (s *Store) RunPolling(ctx context.Context) error { return s.run(ctx, false) }

// ParseStored reads what is kept of a certificate, and writes it again.
func ParseStored(data []byte) ([]byte, error) {
	s, err := parseStored(data)
	if err != nil {
		return nil, err
	}
	return s.encode()
}

// EncodeStored is what is kept of a certificate.
func EncodeStored(cert *tls.Certificate, authority, challenge string) ([]byte, error) {
	return stored{cert: cert, authority: authority, challenge: challenge}.encode()
}
