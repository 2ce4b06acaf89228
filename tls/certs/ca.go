package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	rootLife = 10 * 365 * 24 * time.Hour
	leafLife = 7 * 24 * time.Hour
	skew     = time.Hour // clocks of clients and virtual machines run behind
)

// Keys of the local authority in the storage.
const (
	rootCertKey = "ca/root.crt"
	rootKeyKey  = "ca/root.key"
	rootLock    = "local-authority"
)

// CA is the local authority: an [Issuer] for development and for networks that
// trust its root. Its root (ECDSA P-256, ten years) is kept in the storage; the
// certificates it makes (seven days) are kept nowhere, since making one takes
// less time than reading one.
//
// The root signs directly. An intermediate would have to lie, with its key, in
// the same storage as the root's key and under the same owner, so it would
// protect nothing.
//
// A CA is immutable and safe for concurrent use.
type CA struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	id   string
	made bool
}

// OpenCA reads the local authority kept in st, and makes one where there is none.
// Processes that do so at the same time agree on one. It waits for another
// process for some seconds at most, or until ctx ends.
func OpenCA(ctx context.Context, st Storage) (*CA, error) {
	ca, err := readCA(ctx, st)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makeCA(ctx, st)
	}
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	return ca, nil
}

// ReadCA is OpenCA, but says fs.ErrNotExist where there is no authority.
func ReadCA(ctx context.Context, st Storage) (*CA, error) {
	ca, err := readCA(ctx, st)
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	return ca, nil
}

// RootFile is where the root certificate of the local authority is, whether there
// is one or not, if the storage is the directory dir.
func RootFile(dir string) string { return filepath.Join(dir, filepath.FromSlash(rootCertKey)) }

// readCA returns fs.ErrNotExist when there is no root certificate, which is
// written last.
func readCA(ctx context.Context, st Storage) (*CA, error) {
	certPEM, err := st.Load(ctx, rootCertKey)
	if err != nil {
		return nil, err
	}
	keyPEM, err := st.Load(ctx, rootKeyKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is in the storage but %s is not: bring the key back, or remove %[1]s for a new authority", rootCertKey, rootKeyKey)
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s and %s of the storage: %w: remove both for a new authority", rootCertKey, rootKeyKey, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s of the storage is not an authority that this program made: remove it and %s for a new one", rootCertKey, rootKeyKey)
	}
	if !time.Now().Before(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s of the storage expired on %s: remove it for a new authority, and trust that one (the clock of this machine says %s)",
			rootCertKey, pair.Leaf.NotAfter.Format(time.DateOnly), time.Now().Format(time.DateOnly))
	}
	return &CA{root: pair.Leaf, key: key, id: fingerprint(pair.Leaf)}, nil
}

// makeCA takes the lock and looks again, so that only the first process makes a
// root. The certificate is written after the key: where it is, both are.
func makeCA(ctx context.Context, st Storage) (*CA, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	if err := st.Lock(ctx, rootLock); err != nil {
		return nil, err
	}
	defer st.Unlock(context.WithoutCancel(ctx), rootLock) // nothing is lost with it
	ca, err := readCA(ctx, st)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	key, root, err := newRoot()
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := st.Store(ctx, rootKeyKey, keyPEM); err != nil {
		return nil, err
	}
	if err := st.Store(ctx, rootCertKey, encodeCert(root.Raw)); err != nil {
		return nil, err
	}
	return &CA{root: root, key: key, id: fingerprint(root), made: true}, nil
}

// lockTimeout bounds the wait for another process, which makes an authority in
// far less.
const lockTimeout = 20 * time.Second

func newRoot() (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	host = strings.ToValidUTF8(host[:min(len(host), 30)], "") // a CN holds 64 characters
	root, err := sign(&x509.Certificate{
		Subject: pkix.Name{
			Organization: []string{"Headgate"},
			CommonName:   fmt.Sprintf("Headgate Local Authority %s %d", host, now.Year()),
		},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(rootLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}, nil, &key.PublicKey, key)
	return key, root, err
}

// sign makes the certificate of key; a nil parent signs itself.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, parentKey *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, parentKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Obtain makes a certificate for o at once; it never blocks. It fails for a name
// that cannot stand in a certificate and after the root has expired.
func (c *CA) Obtain(_ context.Context, o Order) (Issued, error) {
	now := time.Now()
	if !now.Add(skew).Before(c.root.NotAfter) {
		return Issued{}, fmt.Errorf("local authority %s expired on %s: remove %s from the storage, restart, and trust the new one", c.root.Subject.CommonName, c.root.NotAfter.Format(time.DateOnly), rootCertKey)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Headgate"}},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if template.NotAfter.After(c.root.NotAfter) {
		template.NotAfter = c.root.NotAfter
	}
	if err := addNames(template, o.Names); err != nil {
		return Issued{}, err
	}
	leaf, err := sign(template, c.root, o.Key.Public(), c.key)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Chain: [][]byte{leaf.Raw}}, nil
}

func addNames(template *x509.Certificate, names []string) error {
	if len(names) == 0 {
		return errors.New("a certificate needs at least one name")
	}
	for _, name := range names {
		name = cleanName(name)
		switch {
		case isIP(name):
			template.IPAddresses = append(template.IPAddresses, net.ParseIP(name))
		case isHostName(strings.TrimPrefix(name, "*.")):
			template.DNSNames = append(template.DNSNames, name)
		default:
			return fmt.Errorf("%q cannot stand in a certificate: it is neither a host name nor an IP address", name)
		}
	}
	return nil
}

// RenewAt is when two thirds of leaf's life are over.
func (c *CA) RenewAt(_ context.Context, leaf *x509.Certificate) (time.Time, error) {
	return twoThirds(leaf), nil
}

// Root is the root certificate. The caller does not change it.
func (c *CA) Root() *x509.Certificate { return c.root }

// RootPEM is the root certificate as PEM, for others to trust.
func (c *CA) RootPEM() []byte { return encodeCert(c.root.Raw) }

// Made reports that OpenCA made this authority rather than read it, so that
// nobody can trust it yet.
func (c *CA) Made() bool { return c.made }

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// lateCA is the local authority of a storage that could not be reached at the
// start. It is opened by the first order that finds it.
type lateCA struct {
	storage Storage

	turn  chan struct{} // held to use the fields below; capacity 1
	ca    *CA
	err   error     // of the last try
	again time.Time // when the next one is
}

// Obtain implements Issuer.
func (l *lateCA) Obtain(ctx context.Context, o Order) (Issued, error) {
	ca, err := l.open(ctx)
	if err != nil {
		return Issued{}, err
	}
	return ca.Obtain(ctx, o)
}

func (l *lateCA) open(ctx context.Context) (*CA, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l.ca != nil || time.Now().Before(l.again) { // whoever has waited gets what came of it
		return l.ca, l.err
	}
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	l.ca, l.err = OpenCA(ctx, l.storage)
	l.again = time.Now().Add(failedBackOff)
	return l.ca, l.err
}

// RenewAt implements Issuer.
func (l *lateCA) RenewAt(_ context.Context, leaf *x509.Certificate) (time.Time, error) {
	return twoThirds(leaf), nil
}
