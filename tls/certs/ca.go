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

// CA is the local authority: an [Issuer] for development and for networks that
// trust its root. Its root (ECDSA P-256, ten years) is kept in a directory with
// owner-only rights; the certificates it makes (ECDSA P-256, seven days) are
// kept nowhere, since making one takes less time than reading one.
//
// The root signs directly. An intermediate would have to lie, with its key, in
// the same directory as the root's key and under the same owner, so it would
// protect nothing.
//
// A CA is immutable and safe for concurrent use.
type CA struct {
	dir  string
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	id   string
	made bool
}

// OpenCA reads the local authority kept below the directory storage, and makes
// one where there is none. Processes that do so at the same time agree on one.
// It waits for another process for some seconds at most, or until ctx ends.
func OpenCA(ctx context.Context, storage string) (*CA, error) {
	if err := checkParent(storage); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	dir := filepath.Join(storage, "ca")
	if err := ownDir(dir); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	ca, err := readCA(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makeCA(ctx, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	return ca, nil
}

// RootFile is where the root certificate of the local authority kept below
// storage is, whether there is one or not.
func RootFile(storage string) string { return filepath.Join(storage, "ca", "root.crt") }

func keyFile(dir string) string { return filepath.Join(dir, "root.key") }

// readCA returns fs.ErrNotExist when there is no root certificate, which is
// written last.
func readCA(dir string) (*CA, error) {
	rootFile := filepath.Join(dir, "root.crt")
	certPEM, err := readFile(rootFile)
	if err != nil {
		return nil, storageError(err)
	}
	keyPEM, err := readOwn(keyFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there but %s is not: bring the key back, or remove %[1]s for a new authority", rootFile, keyFile(dir))
	}
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: remove %s for a new authority", rootFile, err, dir)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is not an authority that this program made: remove %s for a new one", rootFile, dir)
	}
	if !time.Now().Before(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("%s expired on %s: remove %s for a new authority, and trust that one", rootFile, pair.Leaf.NotAfter.Format(time.DateOnly), dir)
	}
	return &CA{dir: dir, root: pair.Leaf, key: key, id: fingerprint(pair.Leaf)}, nil
}

// makeCA takes the lock and looks again, so that only the first process makes a
// root. The certificate is written after the key: where it is, both are.
func makeCA(ctx context.Context, dir string) (*CA, error) {
	unlock, err := lockFile(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	ca, err := readCA(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	key, root, err := newRoot()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeFile(keyFile(dir), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "root.crt"), encodeCert(root.Raw), 0o644); err != nil {
		return nil, err
	}
	return &CA{dir: dir, root: root, key: key, id: fingerprint(root), made: true}, nil
}

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
		return Issued{}, fmt.Errorf("local authority %s expired on %s: remove %s, restart, and trust the new one", c.root.Subject.CommonName, c.root.NotAfter.Format(time.DateOnly), c.dir)
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

// RootFile is the file that holds RootPEM.
func (c *CA) RootFile() string { return filepath.Join(c.dir, "root.crt") }

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
