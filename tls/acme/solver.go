package acme

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

// httpSolver answers http-01 (RFC 8555 section 8.3).
type httpSolver struct{ challenges *certs.Challenges }

// Present implements acmez.Solver.
func (s httpSolver) Present(ctx context.Context, c acme.Challenge) error {
	return s.challenges.PutText(ctx, c.Token, []byte(c.KeyAuthorization))
}

// CleanUp implements acmez.Solver.
func (s httpSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	return s.challenges.RemoveText(ctx, c.Token)
}

// tlsSolver answers tls-alpn-01 (RFC 8737).
type tlsSolver struct{ challenges *certs.Challenges }

// Present implements acmez.Solver.
func (s tlsSolver) Present(ctx context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return err
	}
	return s.challenges.PutCertificate(ctx, serverName(c.Identifier.Value), cert)
}

// CleanUp implements acmez.Solver.
func (s tlsSolver) CleanUp(ctx context.Context, c acme.Challenge) error {
	return s.challenges.RemoveCertificate(ctx, serverName(c.Identifier.Value))
}

// serverName is the name under which an authority asks for the answer: a host's
// own, an address's in the reverse tree (RFC 8738 section 6).
func serverName(name string) string {
	a, err := netip.ParseAddr(name)
	if err != nil {
		return name
	}
	var b strings.Builder
	bytes := a.Unmap().AsSlice()
	for i := len(bytes) - 1; i >= 0; i-- {
		if len(bytes) == 4 {
			b.WriteString(strconv.Itoa(int(bytes[i])) + ".")
			continue
		}
		const hex = "0123456789abcdef"
		b.Write([]byte{hex[bytes[i]&15], '.', hex[bytes[i]>>4], '.'})
	}
	if len(bytes) == 4 {
		return b.String() + "in-addr.arpa"
	}
	return b.String() + "ip6.arpa"
}
