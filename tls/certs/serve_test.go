package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"headgate/tls/certs"
)

// away is an authority that cannot be reached.
type away struct{}

func (away) Obtain(context.Context, certs.Order) (certs.Issued, error) {
	return certs.Issued{}, errors.New("no route to host")
}

func (away) RenewAt(context.Context, *x509.Certificate) (time.Time, error) {
	return time.Time{}, errors.New("no route to host")
}

// TestALPNChallenge: the answer that another gateway has put into the storage is
// shown to who offers acme-tls/1 and nothing else, whatever the site asks of its
// clients.
func TestALPNChallenge(t *testing.T) {
	m := newMemory()
	s := certs.New(certs.Setup{
		Storage: func(context.Context, string) (certs.Storage, error) { return m, nil },
		ACME:    func(certs.Authority) (certs.Issuer, error) { return away{}, nil },
	})
	site := authSite("a.test", certs.ClientAuth{CA: file(t, "ca.pem", certPEM(newClientCA(t, "Staff").certs[0]))})
	acme := certs.Site{Hosts: []string{"b.test"}, Options: certs.SiteOptions{Issuer: []string{"acme"}}}
	s.Swap(siteSet(t, s, certs.Options{}, site, acme))
	answer := newClientCA(t, "Answer").client(t, 0)
	if err := certs.NewChallenges(m).PutCertificate(t.Context(), "a.test", &answer); err != nil {
		t.Fatal(err)
	}
	ask := func(name string, protos ...string) meeting {
		c := visitor(name, 0)
		c.NextProtos = protos
		return meet(t, s.TLSConfig(), c)
	}
	got := ask("A.test", certs.ALPNProto)
	if got.err != nil || got.client.NegotiatedProtocol != certs.ALPNProto || !got.client.PeerCertificates[0].Equal(answer.Leaf) {
		t.Errorf("the answer is not shown: %v, %q", got.err, got.client.NegotiatedProtocol)
	}
	if got := ask("other.test", certs.ALPNProto); got.err == nil {
		t.Error("there is an answer for a name that nobody has put one for")
	}
	if got := ask("b.test", "h2", certs.ALPNProto); got.client.NegotiatedProtocol == certs.ALPNProto {
		t.Error("acme-tls/1 is chosen among others")
	}
	if got := ask("a.test", "h2"); got.err == nil {
		t.Error("a client without a certificate is let in")
	}
	if got := ask("unknown.test", "h2"); got.err != nil || got.client.NegotiatedProtocol != "h2" || tls.VersionName(got.client.Version) != "TLS 1.3" {
		t.Errorf("a browser: %v, %q", got.err, got.client.NegotiatedProtocol)
	}
}
