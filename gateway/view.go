package gateway

import (
	"crypto/x509"
	"net/http"

	"headgate/gateway/expression"
	"headgate/gateway/wire"
)

// view is what expressions of the configuration see of the request.
func (x *exchange) view() expression.View {
	v := expression.View{
		Method: x.r.Method, Scheme: x.scheme, Host: x.name, Path: x.path, RawQuery: x.req.Query, Proto: x.r.Proto(),
		Header: httpHeader(x.r.Fields), Client: x.client.Addr(), TLS: x.tls, Now: x.entry.Time,
	}
	v.Cert = x.verifiedCert()
	return v
}

// verifiedCert is the certificate that the client has shown, if it was verified.
func (x *exchange) verifiedCert() *x509.Certificate {
	if t := x.tls; t != nil && len(t.VerifiedChains) > 0 && len(t.PeerCertificates) > 0 {
		return t.PeerCertificates[0]
	}
	return nil
}

// httpHeader is a header as net/http has it.
func httpHeader(f wire.Fields) http.Header {
	h := make(http.Header, len(f))
	for _, field := range f {
		if !wire.Same(field.Name, "Host") { // it has its own place
			h.Add(field.Name, field.Value)
		}
	}
	return h
}
