package acme

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"

	"github.com/mholt/acmez/v3/acme"
)

// pickChain returns the chain with a certificate whose issuer has the common name
// preferred, else the one that the authority gives first.
func pickChain(offered []acme.Certificate, preferred string, log *slog.Logger) ([][]byte, error) {
	if len(offered) == 0 {
		return nil, errors.New("the authority sent no certificate")
	}
	first, err := parseChain(offered[0].ChainPEM)
	if err != nil || preferred == "" {
		return raw(first), err
	}
	issuers := make([]string, 0, len(offered))
	for _, o := range offered {
		chain, err := parseChain(o.ChainPEM)
		if err != nil {
			continue // an alternative that nobody can use
		}
		for _, c := range chain {
			if c.Issuer.CommonName == preferred {
				return raw(chain), nil
			}
		}
		issuers = append(issuers, chain[len(chain)-1].Issuer.CommonName)
	}
	log.Warn("the authority does not offer the preferred chain: the usual one is taken", "preferred_chain", preferred, "offered", issuers)
	return raw(first), nil
}

// parseChain reads a chain, without its root if that is there.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the authority sent an unreadable certificate: %w", err)
		}
		if len(chain) > 0 && bytes.Equal(c.RawIssuer, c.RawSubject) {
			break
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("the authority sent no certificate")
	}
	return chain, nil
}

func raw(chain []*x509.Certificate) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}
