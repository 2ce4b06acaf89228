package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"sync"
	"time"
)

const (
	interimLife = 24 * time.Hour
	maxInterims = 1024
)

// interims are certificates for names whose issuers have made none yet. They are
// signed by nobody that anyone trusts, not even by the local authority, and say
// in their subject why they are there: a client that looks sees a reason in place
// of a connection that is closed.
type interims struct {
	mu    sync.Mutex // guards the fields below
	key   *ecdsa.PrivateKey
	certs map[string]*tls.Certificate
}

// get returns the interim certificate of a clean name.
func (i *interims) get(name string) (*tls.Certificate, error) {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.certs[name]; c != nil && now.Before(c.Leaf.NotAfter.Add(-interimLife/2)) {
		return c, nil
	}
	if i.key == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		i.key, i.certs = key, map[string]*tls.Certificate{}
	}
	template := &x509.Certificate{
		Subject: pkix.Name{
			Organization:       []string{"Headgate, until there is a certificate"},
			OrganizationalUnit: []string{"headgate certs tells what stands in the way"},
		},
		NotBefore: now.Add(-skew), NotAfter: now.Add(interimLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if err := addNames(template, []string{name}); err != nil {
		return nil, err
	}
	leaf, err := sign(template, nil, &i.key.PublicKey, i.key)
	if err != nil {
		return nil, err
	}
	if len(i.certs) >= maxInterims {
		clear(i.certs)
	}
	c := &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: i.key, Leaf: leaf}
	i.certs[name] = c
	return c, nil
}
