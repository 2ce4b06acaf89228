package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const (
	renewalTime     = 8 * time.Second // of one question
	renewalAtOnce   = 8               // questions; an authority has other customers
	renewalWait     = time.Minute     // for one's turn to ask
	renewalUsual    = 6 * time.Hour   // between questions when the authority does not say
	renewalMin      = time.Minute
	renewalMax      = 24 * time.Hour
	renewalPause    = time.Minute // without questions after the authority was not reached
	renewalForget   = 3 * time.Hour
	renewalSweep    = time.Hour
	shortLife       = 10 * 24 * time.Hour
	maxExplanation  = 500
	errNoRenewalURL = "the authority gives no renewal information"
)

// renewals is what an authority suggests about certificates (RFC 9773).
type renewals struct {
	slots chan struct{} // one token for each question that may be under way

	mu      sync.Mutex // guards the fields below
	known   map[string]suggestion
	paused  time.Time // no question before
	swept   time.Time
	refused error // why there is a pause
}

// suggestion is the last word about one certificate.
type suggestion struct {
	start, end time.Time // the window
	at         time.Time // chosen in it, once; zero when there was no window
	err        error     // of the last question
	next       time.Time // of the next question
	used       time.Time // by a caller
}

func newRenewals() *renewals {
	r := &renewals{slots: make(chan struct{}, renewalAtOnce), known: map[string]suggestion{}}
	for range renewalAtOnce {
		r.slots <- struct{}{}
	}
	return r
}

// RenewAt implements [certs.Issuer]. The authority is asked as seldom as it wants to
// be, for few certificates at once, and never for longer than 10 seconds; whoever
// comes when it is busy waits for a minute at most. Without an answer it is the
// usual time: two thirds of the certificate's life, half of it when that is less
// than 10 days. The time can lie in the past. The error says that the authority
// does not tell, or was not reached; the time is the usual one then.
func (i *Issuer) RenewAt(ctx context.Context, leaf *x509.Certificate) (time.Time, error) {
	now := time.Now()
	if len(leaf.AuthorityKeyId) == 0 {
		return usual(leaf, errors.New(errNoRenewalURL))
	}
	id, err := acme.ARIUniqueIdentifier(leaf)
	if err != nil {
		return usual(leaf, err)
	}
	s, ask := i.renewals.look(id, now)
	if ask && i.renewals.wait(ctx) {
		// Others were asked about meanwhile: it may be known, or out of reach, now.
		if s, ask = i.renewals.look(id, time.Now()); ask {
			s = i.askRenewal(ctx, id, s)
		}
		i.renewals.slots <- struct{}{}
	}
	if s.at.IsZero() {
		return usual(leaf, s.err)
	}
	return latest(leaf, s.at), nil
}

// usual is when to renew by age. A short life has its own, so err has no say.
func usual(leaf *x509.Certificate, err error) (time.Time, error) {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if life < shortLife {
		return leaf.NotBefore.Add(life / 2), nil
	}
	return leaf.NotBefore.Add(life / 3 * 2), err
}

// latest keeps a suggestion from leaving no time for the renewal itself.
func latest(leaf *x509.Certificate, at time.Time) time.Time {
	if last := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 10); at.After(last) {
		return last
	}
	return at
}

// wait takes a slot, which the caller puts back, or reports that none was free in
// time.
func (r *renewals) wait(ctx context.Context) bool {
	timer := time.NewTimer(renewalWait)
	defer timer.Stop()
	select {
	case <-r.slots:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// look returns what is known, and whether to ask.
func (r *renewals) look(id string, now time.Time) (suggestion, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweepLocked(now)
	s := r.known[id]
	if !s.next.IsZero() {
		s.used = now
		r.known[id] = s
	}
	if now.Before(s.next) {
		return s, false
	}
	if now.Before(r.paused) {
		if s.err == nil {
			s.err = r.refused
		}
		return s, false
	}
	return s, true
}

// sweepLocked forgets certificates that nobody has.
func (r *renewals) sweepLocked(now time.Time) {
	if now.Sub(r.swept) < renewalSweep {
		return
	}
	r.swept = now
	for id, s := range r.known {
		if now.Sub(s.used) > renewalForget {
			delete(r.known, id)
		}
	}
}

// askRenewal asks the authority. The caller holds a slot.
func (i *Issuer) askRenewal(ctx context.Context, id string, old suggestion) suggestion {
	r := i.renewals
	limited, cancel := context.WithTimeout(ctx, renewalTime)
	defer cancel()
	got, err := i.fetchRenewal(limited, id)
	if ctx.Err() != nil { // the caller went away; that says nothing of the authority
		old.err = ctx.Err()
		return old
	}
	now := time.Now()
	got.used = now
	if err != nil {
		got = suggestion{start: old.start, end: old.end, at: old.at, err: err, used: now, next: got.next}
	} else if got.start.Equal(old.start) && got.end.Equal(old.end) {
		got.at = old.at
	} else {
		i.log.Debug("renewal information", "id", id, "start", got.start, "end", got.end, "renew_at", got.at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.next.IsZero() { // not reached: true for all certificates
		r.paused, r.refused = now.Add(renewalPause), err
		got.next = r.paused
	}
	r.known[id] = got
	return got
}

// fetchRenewal asks for one certificate. With an error, the time of the next
// question is zero when the authority could not be reached at all.
func (i *Issuer) fetchRenewal(ctx context.Context, id string) (suggestion, error) {
	s, err := i.directory.get(ctx)
	if err != nil {
		return suggestion{}, i.unreached(err)
	}
	if s.dir.RenewalInfo == "" {
		return suggestion{next: time.Now().Add(renewalMax)}, errors.New(errNoRenewalURL)
	}
	resp, err := get(ctx, i.http, strings.TrimSuffix(s.dir.RenewalInfo, "/")+"/"+url.PathEscape(id))
	if err != nil {
		return suggestion{}, i.unreached(err)
	}
	defer resp.Body.Close()
	next := nextRenewal(resp.Header, time.Now())
	switch {
	case resp.StatusCode == http.StatusOK:
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return suggestion{}, fmt.Errorf("renewal information: %s answers %s", i.host, resp.Status)
	default: // of another authority, or of before it was reset
		return suggestion{next: next}, fmt.Errorf("renewal information: %s answers %s", i.host, resp.Status)
	}
	got, why, err := parseRenewal(resp.Body)
	if why != "" {
		i.log.Info("the authority explains when it wants certificates to be renewed", "url", why)
	}
	got.next = next
	return got, err
}

// nextRenewal is when to ask again (RFC 9773 section 4.3.2).
func nextRenewal(h http.Header, now time.Time) time.Time {
	at := retryAfter(h, now)
	switch {
	case at.IsZero():
		return now.Add(renewalUsual)
	case at.Before(now.Add(renewalMin)):
		return now.Add(renewalMin)
	case at.After(now.Add(renewalMax)):
		return now.Add(renewalMax)
	}
	return at
}

// parseRenewal reads an answer: the window with a time in it, and the URL of an
// explanation if there is one (RFC 9773 section 4.2).
func parseRenewal(text io.Reader) (s suggestion, why string, err error) {
	var info struct {
		SuggestedWindow struct{ Start, End time.Time }
		ExplanationURL  string
	}
	if err := json.NewDecoder(text).Decode(&info); err != nil {
		return suggestion{}, "", fmt.Errorf("renewal information: %w", err)
	}
	s = suggestion{start: info.SuggestedWindow.Start, end: info.SuggestedWindow.End}
	width := s.end.Sub(s.start)
	if s.start.IsZero() || width <= 0 {
		return suggestion{}, "", fmt.Errorf("renewal information: a window from %s to %s", s.start, s.end)
	}
	s.at = s.start.Add(rand.N(width))
	return s, info.ExplanationURL[:min(len(info.ExplanationURL), maxExplanation)], nil
}
