package certs_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/certs"
)

// remote is an authority at the other end of a network: an issuer that does what
// a test has scripted.
type remote struct {
	t    *testing.T
	sign *authority

	life    time.Duration                                   // of a certificate; 90 days by default
	behind  time.Duration                                   // its clock
	takes   time.Duration                                   // an order
	refuse  func(n int, o certs.Order) error                // the nth order, from 1
	renewAt func(leaf *x509.Certificate) (time.Time, error) // ARI; none by default

	mu      sync.Mutex // guards all of this, see do
	orders  []certs.Order
	revoked []*x509.Certificate
	busy    int
	most    int // orders at once
}

func newRemote(t *testing.T) *remote {
	return &remote{t: t, sign: newAuthority(t), life: 90 * 24 * time.Hour}
}

// setup makes every ACME authority this one.
func (r *remote) setup(j *journal) certs.Setup {
	s := setup(nil, j.log())
	s.ACME = func(a certs.Authority) (certs.Issuer, error) { return &client{r, a}, nil }
	return s
}

// client is the issuer of one gateway.
type client struct {
	*remote
	certs.Authority
}

func (c *client) Obtain(ctx context.Context, o certs.Order) (certs.Issued, error) {
	var n int
	var takes, behind, life time.Duration
	var refuse func(int, certs.Order) error
	c.do(func() {
		c.orders = append(c.orders, o)
		n = len(c.orders)
		c.busy++
		c.most = max(c.most, c.busy)
		takes, behind, life, refuse = c.takes, c.behind, c.life, c.refuse
	})
	defer func() {
		c.mu.Lock()
		c.busy--
		c.mu.Unlock()
	}()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return certs.Issued{}, ctx.Err()
		}
	}
	if refuse != nil {
		if err := refuse(n, o); err != nil {
			return certs.Issued{}, err
		}
	}
	now := time.Now().Add(-behind)
	template := &x509.Certificate{
		NotBefore: now.Add(-time.Second), NotAfter: now.Add(life), DNSNames: o.Names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf := create(c.t, template, c.sign.inter, o.Key.Public(), c.sign.key)
	return certs.Issued{Chain: [][]byte{leaf.Raw, c.sign.inter.Raw}, Challenge: "http-01"}, nil
}

func (c *client) RenewAt(_ context.Context, leaf *x509.Certificate) (time.Time, error) {
	var renewAt func(*x509.Certificate) (time.Time, error)
	c.do(func() { renewAt = c.renewAt })
	if renewAt == nil {
		return time.Time{}, errors.New("no renewal information")
	}
	return renewAt(leaf)
}

func (c *client) Revoke(_ context.Context, leaf *x509.Certificate, _ crypto.Signer, _ int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked = append(c.revoked, leaf)
	return nil
}

// do changes the script, or looks at what has happened.
func (r *remote) do(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// count is how many orders there were for a name; "" is all.
func (r *remote) count(name string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.orders {
		if name == "" || slices.Contains(o.Names, name) {
			n++
		}
	}
	return n
}

// faulty is a storage that fails when it is told to.
type faulty struct {
	certs.Storage
	fail  atomic.Pointer[func(op, key string) error]
	loads atomic.Int64
}

func (f *faulty) failure(op, key string) error {
	if fail := f.fail.Load(); fail != nil {
		return (*fail)(op, key)
	}
	return nil
}

func (f *faulty) set(fail func(op, key string) error) {
	if fail == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&fail)
}

func (f *faulty) Load(ctx context.Context, key string) ([]byte, error) {
	f.loads.Add(1)
	if err := f.failure("load", key); err != nil {
		return nil, err
	}
	return f.Storage.Load(ctx, key)
}

func (f *faulty) Store(ctx context.Context, key string, value []byte) error {
	if err := f.failure("store", key); err != nil {
		return err
	}
	return f.Storage.Store(ctx, key, value)
}

func (f *faulty) TryLock(ctx context.Context, name string) (bool, error) {
	if err := f.failure("lock", name); err != nil {
		return false, err
	}
	return f.Storage.TryLock(ctx, name)
}

// withFaults makes the storages of s faulty.
func withFaults(s *certs.Setup) *faulty {
	f := &faulty{}
	open := s.Storage
	s.Storage = func(ctx context.Context, url string) (certs.Storage, error) {
		st, err := open(ctx, url)
		f.Storage = st
		return f, err
	}
	return f
}

// full is a disk without space.
func full(op, key string) error {
	if op == "store" || op == "lock" {
		return fmt.Errorf("write %s: %w", key, fs.ErrInvalid)
	}
	return nil
}
