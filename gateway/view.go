package gateway

import (
	"crypto/x509"

	"headgate/gateway/expression"
)

// view is what expressions of the configuration see of the request.
func (x *exchange) view() expression.View {
	v := expression.View{
		Method: x.r.Method, Scheme: x.scheme, Host: x.name, Path: x.path, RawQuery: x.req.Query, Proto: x.r.Proto,
		Header: x.r.Header, Client: x.client.Addr(), TLS: x.r.TLS, Now: x.entry.Time,
	}
	v.Cert = x.verifiedCert()
	return v
}

// verifiedCert is the certificate that the client has shown, if it was verified.
func (x *exchange) verifiedCert() *x509.Certificate {
	if t := x.r.TLS; t != nil && len(t.VerifiedChains) > 0 && len(t.PeerCertificates) > 0 {
		return t.PeerCertificates[0]
	}
	return nil
}
