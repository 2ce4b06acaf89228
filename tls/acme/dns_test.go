package acme_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

const orderTime = time.Minute

// client is an account with a real authority.
type client struct {
	ca      *pebbletest.CA
	account acme.Account
}

func newClient(t *testing.T, ca *pebbletest.CA) client {
	t.Helper()
	key := newKey(t)
	c := client{ca: ca}
	account, err := c.acme(nil).NewAccount(t.Context(), acme.Account{TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		t.Fatal(err)
	}
	c.account = account
	return c
}

func (c client) acme(solvers map[string]acmez.Solver) *acmez.Client {
	return &acmez.Client{
		Client:           &acme.Client{Directory: c.ca.Directory, HTTPClient: c.ca.Client(), PollInterval: 50 * time.Millisecond},
		ChallengeSolvers: solvers,
	}
}

// order places a whole order for names with one solver.
func (c client) order(t *testing.T, kind string, s acmez.Solver, names ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(hg.WithNames(t.Context(), names), orderTime)
	defer cancel()
	chains, err := c.acme(map[string]acmez.Solver{kind: s}).ObtainCertificateForSANs(ctx, c.account, newKey(t), names)
	if err != nil {
		return err
	}
	leaf := parseLeaf(t, chains[0].ChainPEM)
	got := slices.Sorted(slices.Values(leaf.DNSNames))
	if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
		t.Errorf("certificate of %v, want %v", got, want)
	}
	return nil
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parseLeaf(t *testing.T, chain []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(chain)
	if block == nil {
		t.Fatal("no certificate in the answer")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// challenge is one of dns-01 as the ACME library hands it over.
func challenge(domain, token string) acme.Challenge {
	return acme.Challenge{
		Type: acme.ChallengeTypeDNS01, Token: token, KeyAuthorization: token + ".thumb",
		Identifier: acme.Identifier{Type: "dns", Value: domain},
	}
}

func dnsSolver(t *testing.T, o certs.ChallengeOptions) acmez.Solver {
	t.Helper()
	s, err := hg.NewDNSSolver(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wait(t *testing.T, s acmez.Solver, c acme.Challenge) error {
	t.Helper()
	return s.(acmez.Waiter).Wait(t.Context(), c)
}
