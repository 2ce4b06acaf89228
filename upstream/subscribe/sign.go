package subscribe

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // digests that uWSGI signs with
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	maxKeyFile  = 64 << 10 // bytes
	maxKeyBits  = 8192     // of RSA: what a packet can cost
	keysPerFile = 4        // more than one while a key is replaced
	rereadAfter = time.Second
)

var errSignature = errors.New("its signature is not by the key of that name")

// digestOf returns the hash of a digest's name; "" is the default.
func digestOf(name string) (crypto.Hash, error) {
	switch strings.ToLower(name) {
	case "", "sha256":
		return crypto.SHA256, nil
	case "sha384":
		return crypto.SHA384, nil
	case "sha512":
		return crypto.SHA512, nil
	case "sha224":
		return crypto.SHA224, nil
	case "sha1":
		return crypto.SHA1, nil
	case "md5":
		return 0, errors.New("md5 can be forged: use sha256, and sign=SHA256:... in subscribe2")
	}
	return 0, fmt.Errorf("%q is no digest that is known: write sha256, sha384, sha512, sha224 or sha1", name)
}

// keyring verifies signatures with the public keys of a directory. Its methods are
// safe for concurrent use.
type keyring struct {
	dir    string
	digest crypto.Hash
	window time.Duration

	mu    sync.Mutex // guards the field below
	files map[string]*keyFile
}

// keyFile is what was last read of one file.
type keyFile struct {
	looked  time.Time
	changed time.Time
	size    int64
	keys    []crypto.PublicKey
	err     error
}

// newKeyring returns nil when s demands no signatures.
func newKeyring(s Sign) (*keyring, error) {
	if s.Keys == "" {
		return nil, nil
	}
	digest, err := digestOf(s.Digest)
	if err != nil {
		return nil, fmt.Errorf("sign.digest: %w", err)
	}
	k := &keyring{dir: s.Keys, digest: digest, window: s.Window, files: make(map[string]*keyFile)}
	if k.window == 0 {
		k.window = DefaultWindow
	}
	if info, err := os.Stat(s.Keys); err != nil || !info.IsDir() {
		return k, fmt.Errorf("sign.keys: %s is no directory that can be read: name one with a KEY.pem for each key", s.Keys)
	}
	return k, nil
}

// verify returns why sign is not a signature over signed by the key of that name.
func (k *keyring) verify(key string, signed, sign []byte, now time.Time) error {
	keys, err := k.keys(key, now)
	if err != nil {
		return err
	}
	h := k.digest.New()
	h.Write(signed)
	sum := h.Sum(nil)
	for _, public := range keys {
		switch public := public.(type) {
		case *rsa.PublicKey:
			err = rsa.VerifyPKCS1v15(public, k.digest, sum, sign)
		case *ecdsa.PublicKey:
			if err = nil; !ecdsa.VerifyASN1(public, sum, sign) {
				err = errSignature
			}
		}
		if err == nil {
			return nil
		}
	}
	return errSignature
}

// keys returns the public keys of a name. It looks at a file at most once a second,
// and reads it when it has changed.
func (k *keyring) keys(key string, now time.Time) ([]crypto.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.files[key]
	if f != nil && now.Sub(f.looked) < rereadAfter && !now.Before(f.looked) {
		return f.keys, f.err
	}
	path := filepath.Join(k.dir, key+".pem")
	info, err := os.Stat(path)
	if err != nil {
		delete(k.files, key)
		return nil, fmt.Errorf("no public key: %w", err)
	}
	if f == nil || !info.ModTime().Equal(f.changed) || info.Size() != f.size {
		if len(k.files) >= mostNodes {
			clear(k.files)
		}
		f = &keyFile{changed: info.ModTime(), size: info.Size()}
		f.keys, f.err = readKeys(path, info)
		k.files[key] = f
	}
	f.looked = now
	return f.keys, f.err
}

func readKeys(path string, info os.FileInfo) ([]crypto.PublicKey, error) {
	if !info.Mode().IsRegular() { // a pipe would never end
		return nil, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// parseKeys reads public keys and certificates in PEM.
func parseKeys(b []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, err
		}
		if keys = append(keys, key); len(keys) > keysPerFile {
			return nil, fmt.Errorf("has more than %d keys: remove old ones", keysPerFile)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("has no public key in PEM: write what openssl rsa -pubout prints")
	}
	return keys, nil
}

func parseKey(block *pem.Block) (key crypto.PublicKey, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	default:
		return nil, fmt.Errorf("has a %s: put the public key there, which openssl rsa -pubout prints", strings.ToLower(block.Type))
	}
	if err != nil {
		return nil, err
	}
	switch public := key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() > maxKeyBits {
			return nil, fmt.Errorf("has a key of %d bits: use one of at most %d", public.N.BitLen(), maxKeyBits)
		}
	case *ecdsa.PublicKey:
	default:
		return nil, errors.New("has a key that is neither RSA nor EC: use RSA")
	}
	return key, nil
}
