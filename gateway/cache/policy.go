package cache

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"headgate/gateway/notation"
)

// Policy is what one route keeps. It is immutable, and may be used by several
// goroutines at once.
type Policy struct {
	off     bool
	query   []string // parameters that count; nil: all
	rules   []TTL
	private bool
	reload  bool
	stale   time.Duration // while a new one is fetched
	onError time.Duration
	maxBody int64
	lock    time.Duration // 0: off
}

// NewPolicy checks o and fills in its defaults. What Options.Key is about, the
// caller has to give with each request.
func NewPolicy(o Options) (*Policy, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	return &Policy{
		off: o.On == notation.Disabled, query: slices.Clone(o.Query), rules: slices.Clone(o.TTL), private: o.Private,
		reload: o.Reload == notation.On, stale: max(o.StaleWhileRevalidate, 0), onError: max(o.StaleIfError, 0),
		maxBody: int64(o.MaxBody), lock: max(o.Lock, 0),
	}, nil
}

// rule returns the rule for a status.
func (p *Policy) rule(status int) *TTL {
	for i := range p.rules {
		if slices.Contains(p.rules[i].Status, status) {
			return &p.rules[i]
		}
	}
	return nil
}

// selected returns the part of a query that counts.
func selected(query string, names []string) string {
	if names == nil || query == "" {
		return query
	}
	if len(names) == 0 {
		return ""
	}
	var b strings.Builder
	for part := range strings.SplitSeq(query, "&") {
		if !matters(part, names) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(part)
	}
	return b.String()
}

// matters reports whether a part of a query is one of names, or might be to an app:
// what only looks different must not be given for the page without it.
func matters(part string, names []string) bool {
	name, _, _ := strings.Cut(part, "=")
	if strings.ContainsAny(name, "%+") {
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return true
		}
		name = plain
	}
	return strings.Contains(part, ";") || slices.Contains(names, name) // some divide parameters by semicolons
}

// refusal is why an answer is not stored.
type refusal uint8

const (
	admitted refusal = iota
	refusedNotFresh
	refusedPrivate
	refusedNoStore
	refusedSetCookie
	refusedAuthorization
	refusedVary
	refusedStatus
	refusedSize
	refusedBusy
	refusedDisk
	refusedCut
	refusedPurged
	refusedTags
	refusedStream
	refusals // how many there are
)

func (r refusal) String() string {
	return [refusals]string{
		"", "not_fresh", "private", "no_store", "set_cookie", "authorization", "vary", "status", "size", "busy", "disk", "cut", "purged", "tags", "stream",
	}[r]
}

// admit decides whether an answer may be stored, and is worth it (RFC 9111, 3).
func (p *Policy) admit(q *asked, j *judged, came time.Time) refusal {
	d := &j.d
	switch {
	case !storableStatus(j.Status), d.mustUnderstand && !understood(j.Status):
		return refusedStatus
	case j.never, d.noStore && !d.mustUnderstand && !j.accel:
		return refusedNoStore
	case d.private && !j.accel:
		return refusedPrivate
	case j.SetCookie && !p.private:
		return refusedSetCookie
	case j.Authorized && !p.private && !j.Open:
		return refusedAuthorization
	}
	if p.left(&j.facts, q, came) > 0 {
		return admitted
	}
	explicit := j.NoCache || j.Lifetime != unsaid || j.Heuristic > 0 && !q.cookies
	if explicit && (j.ETag != "" || !j.Modified.IsZero()) {
		return admitted
	}
	if w := p.windows(&j.facts); explicit && max(w.fetched, w.onError) > 0 {
		return admitted
	}
	return refusedNotFresh
}

// lifetime is how long an answer is fresh: what a rule forces, what it says itself,
// what a rule has for those that say nothing, what can be guessed (4.2.1). A guess is
// not made for a request with cookies: such a page is often somebody's own.
func (p *Policy) lifetime(h *facts, q *asked) time.Duration {
	rule := p.rule(h.Status)
	switch {
	case rule != nil && rule.Force:
		return rule.For
	case h.NoCache:
		return 0
	case h.Lifetime != unsaid:
		return h.Lifetime
	case rule != nil:
		return rule.For
	case q.cookies:
		return 0
	}
	return h.Heuristic
}

// left is how long an answer is still fresh, negative when it is stale.
func (p *Policy) left(h *facts, q *asked, now time.Time) time.Duration {
	return p.lifetime(h, q) - max(now.Sub(h.Born), 0)
}

// until is when an answer cannot be given any more without asking the app.
func (p *Policy) until(h *facts, q *asked) time.Time {
	w := p.windows(h)
	return h.Born.Add(min(p.lifetime(h, q)+max(w.fetched, w.onError), forever))
}

// windows are how long an answer may be given when it is stale.
type windows struct {
	fetched time.Duration // while a new one is fetched
	onError time.Duration
	asked   time.Duration // when the client says that it takes it
}

// windows returns what the answer allows, and where it does not say, the policy
// (RFC 5861; RFC 9111, 4.2.4). s-maxage alone forbids it as proxy-revalidate does.
func (p *Policy) windows(h *facts) windows {
	if h.Must || h.NoCache {
		return windows{}
	}
	w := windows{h.WhileFetched, h.OnError, forever}
	if h.Shared {
		w.asked = 0
	}
	if w.fetched == unsaid {
		w.fetched = p.stale
		if h.Shared {
			w.fetched = 0
		}
	}
	if w.onError == unsaid {
		w.onError = p.onError
		if h.Shared {
			w.onError = 0
		}
	}
	return w
}

// permits reports whether a kept answer may be given at all: the policy may have
// changed since it was kept, and an answer to anybody is not one to somebody unless
// it says so (3.5).
func (p *Policy) permits(h *facts, q *asked) bool {
	return p.private || !h.SetCookie && (h.Open || !q.authorized && !h.Authorized)
}
