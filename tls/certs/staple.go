package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	ocspTimeout  = 10 * time.Second
	ocspMaxBytes = 64 << 10
	ocspAtOnce   = 4         // requests under way
	ocspNoNext   = time.Hour // validity of an answer that does not say
)

// staple is what is known of one certificate's revocation.
type staple struct {
	state    string // "", or one of the OCSP constants
	due      time.Time
	expires  time.Time // of the answer that is stapled; zero without one
	failures int
	err      error
}

// What Info.OCSP says.
const (
	OCSPNone    = ""        // the certificate names no responder, or its issuer is not in the file
	OCSPPending = "pending" // no answer yet
	OCSPGood    = "good"    // stapled
	OCSPRevoked = "revoked" // not stapled: every client would refuse it
)

// responder is where to ask, or "".
func (e *entry) responder() string {
	if e.issuer == nil || bytes.Equal(e.leaf.Raw, e.issuer.Raw) {
		return ""
	}
	for _, u := range e.leaf.OCSPServer {
		if strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") {
			return u
		}
	}
	return ""
}

// stapleAll asks for every entry that is due, some at a time, and says when the
// next one is.
func (s *Store) stapleAll(ctx context.Context, entries []*entry) time.Time {
	var wg sync.WaitGroup
	room := make(chan struct{}, ocspAtOnce)
	now := time.Now()
	for _, e := range entries {
		if e.responder() == "" || now.Before(e.stapleDue()) {
			continue
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-room }()
			s.stapleOne(ctx, e)
		})
	}
	wg.Wait()
	next := time.Now().Add(renewPoll)
	for _, e := range entries {
		if at := e.stapleDue(); e.responder() != "" && at.Before(next) {
			next = at
		}
	}
	return next
}

func (e *entry) stapleDue() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.staple.due
}

// stapleOne asks once and keeps what came of it. An answer that could not be
// renewed is stapled until it expires, and no longer.
func (s *Store) stapleOne(ctx context.Context, e *entry) {
	der, resp, err := s.askResponder(ctx, e)
	now := time.Now()
	e.mu.Lock()
	next := e.staple
	if err != nil {
		next.fail(err, now)
	} else {
		next = answered(resp, now)
	}
	e.staple = next
	e.mu.Unlock()

	switch {
	case next.state == OCSPGood && err == nil:
		e.setStaple(der)
	case next.expires.IsZero():
		e.setStaple(nil)
	}
	switch {
	case ctx.Err() != nil:
	case next.state == OCSPRevoked && err == nil && e.pair.Cert == "":
		s.log.Error("certificate is revoked, another one is ordered", e.about(), "revoked_at", resp.RevokedAt)
		s.touch(loopRenew)
	case next.state == OCSPRevoked && err == nil:
		s.log.Error("certificate is revoked: replace it", e.about(), "revoked_at", resp.RevokedAt)
	case err != nil:
		s.log.Warn("no ocsp staple", e.about(), "err", err, "retry_in", next.due.Sub(now).Round(time.Second).String())
	}
}

const stapleRetry = time.Minute

// stapleBackOff doubles from a minute to an hour.
func stapleBackOff(failures int) time.Duration {
	return min(stapleRetry<<min(max(failures-1, 0), 10), maxBackOff)
}

// fail keeps the old answer while it lasts and waits longer each time.
func (st *staple) fail(err error, now time.Time) {
	st.err = err
	st.failures++
	st.due = now.Add(stapleBackOff(st.failures))
	if st.expires.IsZero() {
		return
	}
	if !now.Before(st.expires) {
		st.state, st.expires = OCSPPending, time.Time{}
	} else if st.expires.Before(st.due) {
		st.due = st.expires
	}
}

// answered takes an answer that has been verified.
func answered(resp *ocsp.Response, now time.Time) staple {
	until := resp.NextUpdate
	if until.IsZero() {
		until = now.Add(ocspNoNext)
	}
	st := staple{state: OCSPGood, expires: until, due: resp.ThisUpdate.Add(until.Sub(resp.ThisUpdate) / 2)}
	if resp.Status == ocsp.Revoked {
		st.state, st.expires = OCSPRevoked, time.Time{}
	}
	if soon := now.Add(stapleRetry); st.due.Before(soon) {
		st.due = soon
		if st.expires.After(now) && st.expires.Before(soon) {
			st.due = st.expires
		}
	}
	return st
}

// setStaple puts a copy of the certificate with der, or without a staple, in the
// place of the old one: handshakes read certificates without a lock.
func (e *entry) setStaple(der []byte) {
	old := e.cert.Load()
	if bytes.Equal(old.OCSPStaple, der) {
		return
	}
	cert := *old
	cert.OCSPStaple = der
	e.cert.Store(&cert)
}

// askResponder sends one request as RFC 6960 appendix A.1 describes (POST).
func (s *Store) askResponder(ctx context.Context, e *entry) ([]byte, *ocsp.Response, error) {
	url := e.responder()
	body, err := ocsp.CreateRequest(e.leaf, e.issuer, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("ocsp request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ocspTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	res, err := s.web.RoundTrip(req)
	if err != nil {
		return nil, nil, fmt.Errorf("ocsp responder %s: %w", url, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("ocsp responder %s: status %s", url, res.Status)
	}
	der, err := io.ReadAll(io.LimitReader(res.Body, ocspMaxBytes+1))
	if err != nil {
		return nil, nil, fmt.Errorf("ocsp responder %s: %w", url, err)
	}
	if len(der) > ocspMaxBytes {
		return nil, nil, fmt.Errorf("ocsp responder %s: answer is larger than %d bytes", url, ocspMaxBytes)
	}
	resp, err := verifyAnswer(der, e, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("ocsp responder %s: %w", url, err)
	}
	return der, resp, nil
}

// verifyAnswer checks what RFC 6960 section 3.2 asks of a client.
func verifyAnswer(der []byte, e *entry, now time.Time) (*ocsp.Response, error) {
	resp, err := ocsp.ParseResponseForCert(der, e.leaf, e.issuer)
	if err != nil {
		return nil, err
	}
	if c := resp.Certificate; c != nil && !c.Equal(e.issuer) {
		if !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return nil, errors.New("answer is signed by a certificate that may not sign answers")
		}
		if now.After(c.NotAfter) {
			return nil, errors.New("answer is signed by an expired certificate")
		}
	}
	switch {
	case resp.ThisUpdate.After(now.Add(skew)):
		return nil, fmt.Errorf("answer is from the future: %s", resp.ThisUpdate)
	case !resp.NextUpdate.IsZero() && !now.Before(resp.NextUpdate):
		return nil, fmt.Errorf("answer expired at %s", resp.NextUpdate)
	case resp.Status == ocsp.Unknown:
		return nil, errors.New("responder does not know the certificate")
	}
	return resp, nil
}
