package certs

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// contents is what the two files of a pair held at one moment.
type contents struct {
	cert, key []byte
	sum       [sha256.Size]byte // of both, or of the error that reading gave
}

// readPair reads both files. The sum also tells one failure from the next, so
// that each is reported once.
func readPair(p Pair) (contents, error) {
	var c contents
	var err error
	if c.cert, err = readFile(p.Cert); err != nil {
		return failed(fmt.Errorf("cert: %w", fileError(err)))
	}
	if c.key, err = readFile(p.Key); err != nil {
		return failed(fmt.Errorf("key: %w", fileError(err)))
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(c.cert))
	h.Write(c.cert)
	h.Write(c.key)
	h.Sum(c.sum[:0])
	return c, nil
}

func failed(err error) (contents, error) {
	return contents{sum: sha256.Sum256([]byte(err.Error()))}, err
}

func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: let uid %d read it", err, os.Geteuid())
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: check the path", err)
	}
	return err
}

// parsePair checks everything about a pair that a client would stumble over.
// Its errors start with "cert: " or "key: " and name the file.
func parsePair(p Pair, c contents) (*tls.Certificate, []*x509.Certificate, error) {
	chain, err := parseChain(c.cert)
	if err != nil {
		return nil, nil, fmt.Errorf("cert: %s: %w", p.Cert, err)
	}
	key, err := parseKey(p.Key, c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("key: %s: %w", p.Key, err)
	}
	if err := checkPair(p, chain, key); err != nil {
		return nil, nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, chain, nil
}

func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue // a file may hold the key as well
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("holds no certificate in PEM form: it needs -----BEGIN CERTIFICATE-----")
	}
	return chain, nil
}

func parseKey(file string, data []byte) (crypto.Signer, error) {
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("holds no private key in PEM form: it needs -----BEGIN PRIVATE KEY-----")
		}
		encrypted := block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
		if encrypted {
			return nil, fmt.Errorf("is locked with a pass phrase: unlock it with openssl pkey -in %s -out NEWFILE", file)
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return parseKeyDER(block.Bytes)
		}
	}
}

func parseKeyDER(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("%T cannot sign: make an ECDSA or RSA key", key)
		}
		return signer, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("unreadable private key: %w", err)
}

// checkPair compares the key with the first certificate, and each certificate
// with the one that has to follow it.
func checkPair(p Pair, chain []*x509.Certificate, key crypto.Signer) error {
	if n := keyOwner(chain, key); n < 0 {
		return fmt.Errorf("key: %s does not belong to the certificate %s: they are of two different requests", p.Key, p.Cert)
	} else if n > 0 {
		return fmt.Errorf("cert: %s: the chain is in the wrong order: the key belongs to certificate %d, which has to come first", p.Cert, n+1)
	}
	for i, c := range chain[1:] {
		if !bytes.Equal(chain[i].RawIssuer, c.RawSubject) {
			return fmt.Errorf("cert: %s: the chain is in the wrong order: certificate %d was issued by %q, but certificate %d is %q: each has to be followed by its issuer",
				p.Cert, i+1, chain[i].Issuer, i+2, c.Subject)
		}
	}
	return nil
}

func keyOwner(chain []*x509.Certificate, key crypto.Signer) int {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return -1
	}
	for i, c := range chain {
		if pub.Equal(c.PublicKey) {
			return i
		}
	}
	return -1
}

// warnings are what is worth saying about a pair that can be served all the same.
func warnings(p Pair, leaf *x509.Certificate) []string {
	var w []string
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		w = append(w, "certificate has expired")
	case now.Before(leaf.NotBefore):
		w = append(w, "certificate is not valid yet")
	case leaf.NotAfter.Sub(now) < 14*24*time.Hour && leaf.NotAfter.Sub(leaf.NotBefore) > 30*24*time.Hour:
		w = append(w, "certificate expires in less than 14 days")
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		w = append(w, "certificate has no subject alternative name, so browsers refuse it")
	}
	if fi, err := os.Stat(p.Key); err == nil && fi.Mode().Perm()&0o004 != 0 {
		w = append(w, "private key can be read by everybody")
	}
	return w
}
