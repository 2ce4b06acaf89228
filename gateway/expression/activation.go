package expression

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

const (
	maxText  = 64 << 10 // bytes of one value of a request
	maxNames = 256      // of one map
)

// An activation gives the variables of one evaluation. Its values point into it
// and end with the evaluation.
type activation struct {
	view   View
	excess error // the first bound that was crossed

	client                address
	header, query, cookie table
}

func newActivation() *activation {
	a := &activation{}
	a.header = table{a, "request.header", (*headers)(&a.view)}
	a.query = table{a, "request.query", (*parameters)(&a.view)}
	a.cookie = table{a, "request.cookie", (*cookies)(&a.view)}
	return a
}

// variables returns every variable with its type.
func variables() map[string]*cel.Type {
	text, texts := cel.StringType, cel.MapType(cel.StringType, cel.StringType)
	return map[string]*cel.Type{
		"request.method": text, "request.scheme": text, "request.host": text, "request.path": text, "request.proto": text,
		"request.header": texts, "request.query": texts, "request.cookie": texts,
		"client.ip": addressType, "client.cert.present": cel.BoolType, "client.cert.subject": text,
		"client.cert.issuer": text, "client.cert.serial": text, "client.cert.fingerprint": text,
		"tls.version": text, "tls.cipher": text, "tls.server_name": text, "tls.alpn": text,
		"now": cel.TimestampType,
	}
}

// Parent returns nil: there is no other scope.
func (a *activation) Parent() cel.Activation { return nil }

// ResolveName returns the value of a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	v := &a.view
	switch name {
	case "request.method":
		return a.text(name, v.Method), true
	case "request.scheme":
		return a.text(name, v.Scheme), true
	case "request.host":
		return a.text(name, v.Host), true
	case "request.path":
		return a.text(name, v.Path), true
	case "request.proto":
		return a.text(name, v.Proto), true
	case "request.header":
		return &a.header, true
	case "request.query":
		a.text(name, v.RawQuery)
		return &a.query, true
	case "request.cookie":
		for _, line := range v.Header["Cookie"] {
			a.text(name, line)
		}
		return &a.cookie, true
	case "client.ip":
		a.client.Addr = v.Client
		return &a.client, true
	case "now":
		if v.Now.IsZero() {
			v.Now = time.Now()
		}
		return types.Timestamp{Time: v.Now.UTC()}, true
	case "client.cert.present":
		return types.Bool(v.Cert != nil), true
	case "client.cert.subject", "client.cert.issuer", "client.cert.serial", "client.cert.fingerprint":
		return a.text(name, certText(v.Cert, name)), true
	case "tls.version", "tls.cipher", "tls.server_name", "tls.alpn":
		return a.text(name, tlsText(v.TLS, name)), true
	}
	return nil, false
}

// text returns s, or "" and remembers the excess when s is too long.
func (a *activation) text(name, s string) types.String {
	if len(s) > maxText {
		a.exceeds(fmt.Errorf("%s has more than %d bytes: %w", name, maxText, ErrLimit))
		return ""
	}
	return types.String(s)
}

func (a *activation) exceeds(err error) {
	if a.excess == nil {
		a.excess = err
	}
}

func certText(c *x509.Certificate, name string) string {
	if c == nil {
		return ""
	}
	switch name {
	case "client.cert.subject":
		return c.Subject.String()
	case "client.cert.issuer":
		return c.Issuer.String()
	case "client.cert.serial":
		if c.SerialNumber == nil {
			return ""
		}
		return c.SerialNumber.Text(16)
	}
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func tlsText(cs *tls.ConnectionState, name string) string {
	if cs == nil {
		return ""
	}
	switch name {
	case "tls.version":
		return versionText(cs.Version)
	case "tls.cipher":
		return tls.CipherSuiteName(cs.CipherSuite)
	case "tls.server_name":
		return cs.ServerName
	}
	return cs.NegotiatedProtocol
}

// versionText writes versions as OpenSSL and nginx do.
func versionText(v uint16) string {
	switch v {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return ""
}
