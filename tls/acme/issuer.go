package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

// Issuer has certificates made by an ACME authority. Beside [certs.Issuer] it is a
// [certs.Revoker] and a [certs.Preflighter]. Safe for concurrent use. It starts no
// goroutine that outlives a call but those of idle connections, which end by
// themselves.
type Issuer struct {
	options    certs.ACMEOptions
	host       string // of the authority, for messages
	challenges *certs.Challenges
	log        *slog.Logger
	http       *http.Client
	methods    []method // by preference
	directory  *directory
	account    *account
	renewals   *renewals
	view       view
}

// New returns an Issuer for an authority. It reads the file of Options.Roots and
// does no other I/O. Storage and Challenges have to be there; a nil Log is silent.
func New(a certs.Authority) (certs.Issuer, error) {
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	if a.Options.Directory == "" {
		a.Options.Directory = certs.DefaultDirectory
	}
	u, err := url.Parse(a.Options.Directory)
	if err != nil || u.Host == "" || u.Scheme != "https" {
		return nil, fmt.Errorf("directory: %q is not the URL of an ACME authority: write it like %s", a.Options.Directory, certs.DefaultDirectory)
	}
	client, err := newHTTPClient(a.Options.Roots)
	if err != nil {
		return nil, err
	}
	eab, err := parseEAB(a.Options.EAB)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		options: a.Options, host: u.Host, challenges: a.Challenges, http: client,
		log:       a.Log.With("issuer", a.Name),
		directory: newDirectory(a.Options.Directory, client, a.Log),
		renewals:  newRenewals(),
		view:      view{resolver: net.DefaultResolver, httpPort: "80", tlsPort: "443"},
	}
	i.account = newAccount(a, u, eab, i.log)
	if i.methods, err = newMethods(a.Options.Challenges, a.Challenges, i.account.url, i.log); err != nil {
		return nil, err
	}
	return i, nil
}

// Obtain implements [certs.Issuer]. The error names what stands in the way and the
// cure where it is known.
func (i *Issuer) Obtain(ctx context.Context, o certs.Order) (certs.Issued, error) {
	csr, err := acmez.NewCSR(o.Key, o.Names)
	if err != nil {
		return certs.Issued{}, fmt.Errorf("certificate request: %w", err)
	}
	attempts, err := plan(i.methods, o.Names)
	if err != nil {
		return certs.Issued{}, &certs.Refusal{Err: err}
	}
	ctx, n := withNotes(withNames(ctx, o.Names))
	s, acct, err := i.enter(ctx)
	if err != nil {
		return certs.Issued{}, i.explain(err, n, s, "")
	}
	if err := s.checkProfile(i.options.Profile); err != nil {
		return certs.Issued{}, &certs.Refusal{Err: err}
	}
	order := acmez.OrderParameters{Account: acct, Profile: i.options.Profile, CSR: request{csr}, Identifiers: identifiers(csr)}
	if s.dir.RenewalInfo != "" && o.Replaces != nil && len(o.Replaces.AuthorityKeyId) > 0 {
		order.Replaces = o.Replaces
	}
	return i.attempt(ctx, s, order, attempts)
}

// enter returns what every order needs: the authority's URLs and an account there.
func (i *Issuer) enter(ctx context.Context) (*service, acme.Account, error) {
	s, err := i.directory.get(ctx)
	if err != nil {
		return nil, acme.Account{}, err
	}
	acct, err := i.account.get(ctx, s)
	return s, acct, err
}

// attempt places the order with one way after the other to prove control, until
// one has success or the rest would be of no use.
func (i *Issuer) attempt(ctx context.Context, s *service, order acmez.OrderParameters, attempts []method) (certs.Issued, error) {
	var failed []error
	for _, m := range attempts {
		ctx, n := withNotes(ctx)
		t := &track{method: m, log: i.log}
		chains, err := i.place(ctx, s, &order, t, n)
		if err == nil {
			der, err := pickChain(chains, i.options.PreferredChain, i.log)
			return certs.Issued{Chain: der, Challenge: t.used()}, err
		}
		why := i.explain(err, n, s, m.name)
		if n.finalized() {
			why = late(why, err)
		}
		failed = append(failed, why)
		if ctx.Err() != nil || n.finalized() || !t.another(err) {
			break
		}
		i.log.Debug("challenge failed", "challenge", m.name, "err", err)
	}
	return certs.Issued{}, join(failed)
}

// place places an order, and does so again when the authority does not know the
// account or the certificate that is to be replaced.
func (i *Issuer) place(ctx context.Context, s *service, order *acmez.OrderParameters, t *track, n *notes) ([]acme.Certificate, error) {
	client := &acmez.Client{Client: s.client, ChallengeSolvers: t.solvers()}
	registered := false
	for {
		n.begin()
		chains, err := client.ObtainCertificate(ctx, *order)
		switch {
		case n.finalized():
			return chains, err
		case !registered && isProblem(err, acme.ProblemTypeAccountDoesNotExist):
			registered = true
			i.log.Warn("the authority has forgotten the account, which is registered again", "account", order.Account.Location)
			if order.Account, err = i.account.renew(ctx, s, order.Account.Location); err != nil {
				return nil, err
			}
		case order.Replaces != nil && !t.presented.Load() && refusesReplaces(err):
			i.log.Debug("the authority does not take the order as a replacement", "err", err)
			order.Replaces = nil
		default:
			return chains, err
		}
	}
}

// refusesReplaces reports whether err may be about the certificate that is to be
// replaced: it may be of another account, or of before the authority was reset.
// RFC 9773 section 5 has no problem type of its own for that.
func refusesReplaces(err error) bool {
	p, ok := problem(err)
	return ok && p.Status >= 400 && p.Status < 500 && p.Type != acme.ProblemTypeRateLimited
}

// Revoke implements [certs.Revoker]. That leaf is revoked already is no error.
func (i *Issuer) Revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer, reason int) error {
	ctx, n := withNotes(ctx)
	s, err := i.directory.get(ctx)
	if err != nil {
		return i.explain(err, n, s, "")
	}
	var acct acme.Account
	if key == nil {
		if acct, err = i.account.get(ctx, s); err != nil {
			return i.explain(err, n, s, "")
		}
	}
	err = s.client.RevokeCertificate(ctx, acct, leaf, key, reason)
	if err == nil || isProblem(err, acme.ProblemTypeAlreadyRevoked) {
		return nil
	}
	return i.explain(err, n, s, "")
}

func identifiers(csr *x509.CertificateRequest) []acme.Identifier {
	var ids []acme.Identifier
	for _, name := range csr.DNSNames {
		ids = append(ids, acme.Identifier{Type: "dns", Value: name})
	}
	for _, ip := range csr.IPAddresses {
		ids = append(ids, acme.Identifier{Type: "ip", Value: ip.String()})
	}
	return ids
}

// problem finds what the authority said in err.
func problem(err error) (acme.Problem, bool) {
	var p acme.Problem
	if errors.As(err, &p) {
		return p, true
	}
	var q *acme.Problem // that of an order
	if errors.As(err, &q) && q != nil {
		return *q, true
	}
	return p, false
}

func isProblem(err error, kind string) bool {
	p, ok := problem(err)
	return ok && p.Type == kind
}
