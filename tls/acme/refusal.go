package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

const (
	maxDetail          = 400              // bytes of what an authority says
	maxWord            = 200              // bytes of a name, a type or a URL that an authority says
	lateWait           = 30 * time.Second // and four times longer after each failure, by certs.Store
	problemBadProfile  = acme.ProblemTypeNamespace + "invalidProfile"
	challengeUnknown   = ""
	cureOtherChallenge = "or use the challenge dns-01"
)

// explain turns what went wrong into words that name the cure: a [*certs.Refusal]
// where the authority said no, another error where it was not reached. S may be
// nil; challenge is the type that was tried, or "".
func (i *Issuer) explain(err error, n *notes, s *service, challenge string) error {
	var refusal *certs.Refusal
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	status, wait := n.last()
	if p, ok := problem(err); ok {
		if !busy(p.Status) {
			wait = time.Time{}
		}
		return i.refuse(p, err, wait, s, challenge)
	}
	var put *presentError
	var network net.Error
	switch {
	case errors.As(err, &put):
		return put
	case notOffered(err):
		return &certs.Refusal{Err: fmt.Errorf("%s does not offer the challenge %s for this name: add another to challenges", i.host, challenge)}
	case errors.As(err, &network), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return i.unreached(err)
	case status == http.StatusTooManyRequests, busy(status) && !wait.IsZero():
		return &certs.Refusal{Err: fmt.Errorf("%s asks to come back later (%d %s)", i.host, status, http.StatusText(status)), Wait: wait}
	case status >= 500:
		return fmt.Errorf("%s is in trouble (%d %s): %w", i.host, status, http.StatusText(status), shortError{err})
	}
	return i.unreached(err)
}

// refuse words a problem document.
func (i *Issuer) refuse(p acme.Problem, err error, wait time.Time, s *service, challenge string) error {
	name := short(subject(p), maxWord)
	what, cure := words(p, i, s, challenge)
	text := what
	if name != "" {
		text = name + ": " + text
	} else {
		text = i.host + ": " + text
	}
	if d := detail(p); d != "" {
		text += ": " + d
	}
	if cure != "" {
		text += ": " + cure
	}
	var acct *accountError
	if errors.As(err, &acct) {
		text = "account: " + text
	}
	out := &problemError{text: printable(text), problem: p}
	if notAccepted(p) {
		i.account.forget()
	}
	if p.Status >= 500 && wait.IsZero() || p.Type == acme.ProblemTypeServerInternal && wait.IsZero() {
		return out // it was no answer to what was asked
	}
	return &certs.Refusal{Err: out, Wait: wait}
}

// late makes a refusal of an error after the order was finalized: the certificate
// is made or in the making, and authorities count those of the same names. That the
// order itself has failed is no such error.
func late(why, err error) error {
	var order *acme.Problem
	if errors.As(err, &order) && order != nil {
		return why
	}
	wait := time.Now().Add(lateWait)
	var r *certs.Refusal
	if errors.As(why, &r) && r.Wait.After(wait) {
		wait = r.Wait
	}
	return &certs.Refusal{Err: fmt.Errorf("the certificate may be made, but did not arrive: %w: another is ordered in %d minutes at the earliest", why, lateWait/time.Minute), Wait: wait}
}

// notAccepted reports whether p is about the account.
func notAccepted(p acme.Problem) bool {
	if _, ofChallenge := p.Resource.(acme.Authorization); ofChallenge {
		return false
	}
	switch p.Type {
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse, acme.ProblemTypeAccountDoesNotExist:
		return true
	}
	return false
}

// problemError is a problem document in words.
type problemError struct {
	text    string
	problem acme.Problem
}

// Error implements error.
func (e *problemError) Error() string { return e.text }

// Unwrap returns the problem document.
func (e *problemError) Unwrap() error { return e.problem }

// subject is the name that a problem is about, or "".
func subject(p acme.Problem) string {
	if a, ok := p.Resource.(acme.Authorization); ok {
		return a.IdentifierValue()
	}
	for _, sub := range p.Subproblems {
		if sub.Identifier.Value != "" {
			return sub.Identifier.Value
		}
	}
	return ""
}

// detail is what the authority says, in one line of bounded length.
func detail(p acme.Problem) string {
	all := []string{p.Detail}
	for _, sub := range p.Subproblems {
		if sub.Detail != "" && sub.Detail != p.Detail {
			all = append(all, sub.Detail)
		}
	}
	return short(strings.TrimRight(strings.Join(all, "; "), ". \n"), maxDetail)
}

// short makes what others wrote fit for an error: printable, on one line, and of
// most bytes, of which the first are kept.
func short(s string, most int) string {
	s = printable(s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// words says what a type of problem means and what to do about it.
func words(p acme.Problem, i *Issuer, s *service, challenge string) (what, cure string) {
	_, ofChallenge := p.Resource.(acme.Authorization)
	switch p.Type {
	case acme.ProblemTypeRateLimited:
		return "a limit of the authority is reached", "wait, or add another authority to issuers"
	case acme.ProblemTypeDNS:
		return "the authority does not find the name in the DNS", cureDNS(challenge)
	case acme.ProblemTypeCAA:
		return "a CAA record forbids this authority", cureCAA(s)
	case acme.ProblemTypeConnection:
		return "the authority cannot connect" + by(challenge), cureConnection(challenge)
	case acme.ProblemTypeTLS:
		return "the authority's TLS handshake fails" + by(challenge), "let nothing in front of this machine end TLS, " + cureOtherChallenge
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse:
		if ofChallenge {
			return "the authority does not find the answer" + by(challenge), cureAnswer(challenge)
		}
		return "the authority does not accept the account", "check eab, or remove " + i.account.key + " from the storage to have another account made"
	case acme.ProblemTypeRejectedIdentifier:
		return "the authority does not issue for this name", "take it out of hosts, or use another issuer for it"
	case acme.ProblemTypeUnsupportedIdentifier:
		return "the authority does not issue for this kind of name", "use another issuer for it, such as internal"
	case acme.ProblemTypeExternalAccountRequired:
		return "the authority wants an external account", "set eab.key_id and eab.hmac to what it shows for yours"
	case acme.ProblemTypeUserActionRequired:
		return "the authority wants something of you", strings.TrimSpace("read " + short(p.Instance, maxWord))
	case acme.ProblemTypeBadCSR, acme.ProblemTypeBadPublicKey, acme.ProblemTypeBadSignatureAlgorithm:
		return "the authority does not accept the key or the names", "check keys, such as p256 or rsa2048"
	case acme.ProblemTypeInvalidContact, acme.ProblemTypeUnsupportedContact:
		return "the authority does not accept the e-mail address", "correct email, or leave it out"
	case acme.ProblemTypeAccountDoesNotExist:
		return "the authority does not know the account", "remove " + i.account.key + " from the storage to have another made"
	case problemBadProfile:
		return "the authority does not have the profile", cureProfile(s)
	}
	if p.Status >= 500 || p.Type == acme.ProblemTypeServerInternal {
		return "the authority is in trouble", ""
	}
	return "the authority refuses (" + short(strings.TrimPrefix(p.Type, acme.ProblemTypeNamespace), maxWord) + ")", ""
}

func by(challenge string) string {
	if challenge == challengeUnknown {
		return ""
	}
	return " (" + challenge + ")"
}

func cureDNS(challenge string) string {
	if strings.HasPrefix(challenge, "dns-") {
		return "check that the record was set where the world looks for it"
	}
	return "add an A or AAAA record that points here, and wait until it is known everywhere"
}

func cureConnection(challenge string) string {
	switch challenge {
	case acme.ChallengeTypeHTTP01:
		return "let port 80 of the name's address lead here, " + cureOtherChallenge
	case acme.ChallengeTypeTLSALPN01:
		return "let port 443 of the name's address lead here, " + cureOtherChallenge
	}
	return "let the authority reach this machine"
}

func cureAnswer(challenge string) string {
	switch challenge {
	case acme.ChallengeTypeHTTP01:
		return "point the name here and let nothing in front answer /.well-known/acme-challenge/, " + cureOtherChallenge
	case acme.ChallengeTypeTLSALPN01:
		return "point the name here and let nothing in front end TLS, " + cureOtherChallenge
	case acme.ChallengeTypeDNS01, acme.ChallengeTypeDNSPersist01:
		return "check that the record is set in the zone that the world sees, and give it time with propagation_delay"
	}
	return "point the name here"
}

func cureCAA(s *service) string {
	if s == nil || s.dir.Meta == nil || len(s.dir.Meta.CAAIdentities) == 0 {
		return "change the record, or use another issuer"
	}
	return fmt.Sprintf("add a CAA record 0 issue %q beside it, or use another issuer", s.dir.Meta.CAAIdentities[0])
}

func cureProfile(s *service) string {
	if s == nil || s.dir.Meta == nil || len(s.dir.Meta.Profiles) == 0 {
		return "leave profile out"
	}
	return "write one of " + s.profiles()
}

// unreached words an error on the way to the authority.
func (i *Issuer) unreached(err error) error {
	var (
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		alert    tls.AlertError
		lookup   *net.DNSError
		network  net.Error
	)
	add := func(cure string) error { return fmt.Errorf("%s: %w: %s", i.host, shortError{err}, cure) }
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", i.host, shortError{err})
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return add("set this machine's clock, which says " + time.Now().UTC().Format(time.RFC3339) + ", or wait until the authority has renewed its own certificate")
	case errors.As(err, &unknown) && i.options.Roots != "":
		return add("put the root of the authority's own https into " + i.options.Roots)
	case errors.As(err, &unknown):
		return add("set roots to a PEM file with the root of the authority's own https, or look whether a proxy is in between")
	case errors.As(err, &hostname), errors.As(err, &alert), errors.As(err, &invalid):
		return add("check directory, and whether a proxy is in between")
	case errors.As(err, &lookup):
		return add("check directory, and the name servers of this machine")
	case errors.Is(err, syscall.ECONNREFUSED):
		return add("check directory; the authority may be down")
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return add("let this machine connect to " + i.host + ", or set HTTPS_PROXY; the authority may be slow")
	}
	return fmt.Errorf("%s: %w", i.host, shortError{err})
}

// shortError bounds the text of an error that may hold a whole page.
type shortError struct{ error }

// Error implements error.
func (e shortError) Error() string { return short(e.error.Error(), maxDetail) }

// Unwrap returns the whole error.
func (e shortError) Unwrap() error { return e.error }

// join makes one error of the failures of one challenge after the other. It is a
// refusal when one of them is, and waits for the longest.
func join(failed []error) error {
	if len(failed) == 1 {
		return failed[0]
	}
	all := &failures{all: failed}
	var wait time.Time
	refused := false
	for _, err := range failed {
		var r *certs.Refusal
		if errors.As(err, &r) {
			refused = true
			if r.Wait.After(wait) {
				wait = r.Wait
			}
		}
	}
	if refused {
		return &certs.Refusal{Err: all, Wait: wait}
	}
	return all
}

// failures are several errors in one line.
type failures struct{ all []error }

// Error implements error.
func (f *failures) Error() string {
	texts := make([]string, len(f.all))
	for n, err := range f.all {
		texts[n] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors.
func (f *failures) Unwrap() []error { return f.all }
