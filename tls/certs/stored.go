package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// stored is a certificate as it is in the storage: the bundle, with lines before
// it that say where it came from.
type stored struct {
	cert      *tls.Certificate
	authority string // id
	challenge string
}

func certificateKey(name, kind string) string {
	return "certificates/" + safeName(name) + "/" + kind + ".pem"
}

// pendingKey is where the key of a certificate lies that is being ordered.
func pendingKey(name, kind string) string {
	return "certificates/" + safeName(name) + "/" + kind + ".pending.key"
}

// issueLock is held while certificates of a name are ordered, one kind of key after
// the other: challenges are answered by name.
func issueLock(name string) string { return "issue-" + safeName(name) }

const (
	authorityLine = "Authority: "
	challengeLine = "Challenge: "
)

func (s stored) encode() ([]byte, error) {
	bundle, err := encodeBundle(s.cert.PrivateKey, s.cert.Certificate)
	if err != nil {
		return nil, err
	}
	head := authorityLine + s.authority + "\n" + challengeLine + s.challenge + "\n"
	return append([]byte(head), bundle...), nil
}

func parseStored(data []byte) (stored, error) {
	var s stored
	head, _, _ := bytes.Cut(data, []byte("-----BEGIN"))
	for line := range strings.Lines(string(head)) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, authorityLine); ok {
			s.authority = v
		}
		if v, ok := strings.CutPrefix(line, strings.TrimSpace(challengeLine)); ok {
			s.challenge = strings.TrimSpace(v)
		}
	}
	var err error
	s.cert, err = parseBundle(data)
	return s, err
}

// errBroken is what is in the storage and cannot be read as a certificate.
var errBroken = errors.New("the stored certificate cannot be read, so another one is ordered")

// loadStored reads the certificate of a name. One that cannot be used is
// errBroken, one that is not there fs.ErrNotExist.
func loadStored(ctx context.Context, st Storage, name, kind string) (stored, error) {
	data, err := st.Load(ctx, certificateKey(name, kind))
	if err != nil {
		return stored{}, err
	}
	s, err := parseStored(data)
	if err == nil {
		err = s.cert.Leaf.VerifyHostname(hostToVerify(name))
	}
	if err == nil {
		_, err = issuedEntry(s.cert) // reads the rest of the chain
	}
	if err != nil {
		return stored{}, fmt.Errorf("%w: %s: %w", errBroken, certificateKey(name, kind), err)
	}
	return s, nil
}

// pendingOrNew returns the key for the next certificate of a name. It is in the
// storage before any order is placed with it: an order that a crash interrupts is
// taken up with the same key, and a storage that cannot be written to is found
// out before an authority has made what nobody could keep.
func pendingOrNew(ctx context.Context, t task, old *state) (crypto.Signer, error) {
	place := pendingKey(t.name, t.kind)
	data, err := t.set.storage.Load(ctx, place)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if key, err := parseKeyPEM(data); err == nil && !old.has(key) {
			// Written again, to see whether the storage still takes it.
			return key, t.set.storage.Store(ctx, place, data)
		}
	}
	key, err := newKey(t.kind)
	if err != nil {
		return nil, err
	}
	if data, err = encodeKey(key); err != nil {
		return nil, err
	}
	return key, t.set.storage.Store(ctx, place, data)
}

// has reports whether the certificate that is there is for key: a crash may leave
// the key of an order behind that had success.
func (st *state) has(key crypto.Signer) bool {
	return st != nil && st.entry != nil && keyOwner([]*x509.Certificate{st.entry.leaf}, key) == 0
}

// The kinds of keys.
const (
	keyP256    = "p256"
	keyP384    = "p384"
	keyRSA2048 = "rsa2048"
	keyRSA4096 = "rsa4096"
)

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case keyP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case keyRSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case keyRSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
