package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// A bundle is a private key and the chain of its certificate in one PEM text: it
// is in the storage whole or not at all.
func encodeBundle(key crypto.PrivateKey, chain [][]byte) ([]byte, error) {
	out, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	for _, der := range chain {
		out = append(out, encodeCert(der)...)
	}
	return out, nil
}

func encodeKey(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parseBundle undoes encodeBundle. The key fits the certificate, and Leaf is set.
func parseBundle(data []byte) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("not a key and its certificate: %w", err)
	}
	return &cert, nil
}

// errNoKey is what parseKeyPEM says of a text without a key.
var errNoKey = errors.New("holds no private key in PEM form")

// parseKeyPEM reads the first key of a PEM text.
func parseKeyPEM(data []byte) (crypto.Signer, error) {
	for rest := bytes.TrimSpace(data); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errNoKey
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return parseKeyDER(block.Bytes)
		}
	}
}

// safeName makes a clean name one component of a storage key.
func safeName(name string) string {
	name = strings.ReplaceAll(name, "*", "wildcard_")
	return strings.ReplaceAll(name, ":", "-")
}
