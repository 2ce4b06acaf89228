package gateway_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"headgate/tls/certs"
)

// publicCA stands for an authority of the world: it makes certificates for
// everybody who asks, and lets a test look on.
type publicCA struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey

	// prove, if not nil, is called for each order before it is granted.
	prove func(ctx context.Context, c *certs.Challenges, name string) error

	mu      sync.Mutex // guards the fields below
	orders  []string
	revoked map[string]int
}

func newPublicCA(t testing.TB) *publicCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Public Test Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca := &publicCA{key: key, revoked: map[string]int{}}
	ca.root, err = ca.sign(template, template, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func (ca *publicCA) sign(template, parent *x509.Certificate, key any) (*x509.Certificate, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, ca.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// issuer is what gatewaytest.StartWith takes.
func (ca *publicCA) issuer(a certs.Authority) (certs.Issuer, error) {
	return account{ca, a.Challenges}, nil
}

// Orders are the names that were asked for, in their order.
func (ca *publicCA) Orders() []string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return append([]string(nil), ca.orders...)
}

// account is the CA for one gateway.
type account struct {
	*publicCA
	challenges *certs.Challenges
}

func (a account) Obtain(ctx context.Context, o certs.Order) (certs.Issued, error) {
	if len(o.Names) != 1 {
		return certs.Issued{}, &certs.Refusal{Err: errors.New("one name at a time")}
	}
	a.mu.Lock()
	a.orders = append(a.orders, o.Names[0])
	a.mu.Unlock()
	if a.prove != nil {
		if err := a.prove(ctx, a.challenges, o.Names[0]); err != nil {
			return certs.Issued{}, err
		}
	}
	leaf, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: o.Names[0]}, DNSNames: o.Names,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(0, 0, 90),
	}, a.root, o.Key.Public())
	if err != nil {
		return certs.Issued{}, err
	}
	return certs.Issued{Chain: [][]byte{leaf.Raw}, Challenge: "http-01"}, nil
}

func (a account) RenewAt(_ context.Context, leaf *x509.Certificate) (time.Time, error) {
	return leaf.NotAfter.AddDate(0, 0, -30), nil
}

func (a account) Revoke(_ context.Context, leaf *x509.Certificate, _ crypto.Signer, reason int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked[leaf.SerialNumber.String()] = reason
	return nil
}
