package cache

import (
	"net/http"
	"strings"
	"time"

	"headgate/gateway/conditional"
	"headgate/gateway/wire"
)

// facts are what is known of an answer that is kept. They go to disk as they are.
type facts struct {
	Status   int
	ETag     string
	Modified time.Time
	Born     time.Time // when it would have had age 0: now less the age (4.2.3)

	Lifetime     time.Duration // that it says; unsaid: it says nothing
	Heuristic    time.Duration // that may be taken for it; 0: none
	WhileFetched time.Duration // stale-while-revalidate
	OnError      time.Duration // stale-if-error

	NoCache    bool // only after the app has said that nothing has changed
	Must       bool // never stale (must-revalidate, proxy-revalidate)
	Shared     bool // has s-maxage, which allows less than max-age
	Open       bool // may answer requests with Authorization (3.5)
	Authorized bool // was the answer to one
	SetCookie  bool // there is one in it
	NoRanges   bool // Accept-Ranges: none

	Accel string    // X-Accel-Expires, which is not among the fields
	Until time.Time // when nobody can use it any more, unless the app says that it has not changed
}

// head is the head of an answer that is kept. It is immutable.
type head struct {
	facts
	fields wire.Fields // as they are sent, with Date and without Age
	tags   []string
	weight int64 // bytes of memory that it takes
}

// judged is what has been found out of the head of an answer before it is known
// whether it is kept.
type judged struct {
	facts
	d        directives
	targeted bool // d is of a field of RFC 9213, which counts more than others
	accel    bool // X-Accel-Expires has decided
	never    bool // X-Accel-Expires: 0
}

// exchangeTimes are when the request went to the app and when its answer came.
type exchangeTimes struct{ asked, came time.Time }

// judge finds out what the head of an answer says about storing it.
func judge(status int, f wire.Fields, t exchangeTimes) judged {
	var j judged
	j.Status = status
	if j.d, j.targeted = parseTargeted(f, "CDN-Cache-Control"); !j.targeted {
		j.d = parseDirectives(f, "Cache-Control")
	}
	j.ETag = f.Get("ETag")
	date, dated := httpDate(f.Get("Date"))
	if !dated {
		date = t.came
	}
	if m, ok := httpDate(f.Get("Last-Modified")); ok {
		j.Modified = m
	}
	j.Born = t.came.Add(-initialAge(f, date, t))
	j.freshness(f, date, t.came)
	d := &j.d
	j.NoCache = d.noCache && !j.accel
	j.Must = (d.mustRevalidate || d.proxyRevalidate) && !j.accel
	j.Shared = d.sMaxAge != unsaid && !j.accel
	j.Open = d.public || d.mustRevalidate || d.sMaxAge != unsaid
	j.WhileFetched, j.OnError = d.staleWhileRevalidate, d.staleIfError
	j.SetCookie = f.Has("Set-Cookie") && !j.apart("Set-Cookie")
	j.NoRanges = strings.EqualFold(f.Get("Accept-Ranges"), "none")
	return j
}

// initialAge is the age with which an answer came (4.2.3).
func initialAge(f wire.Fields, date time.Time, t exchangeTimes) time.Duration {
	apparent := max(t.came.Sub(date), 0)
	number, _, _ := strings.Cut(f.Get("Age"), ",") // of a list the first counts (5.1)
	said, _ := deltaSeconds(trim(number))
	return min(max(apparent, said+t.came.Sub(t.asked)), forever)
}

// freshness finds out for how long an answer is fresh (4.2.1). Of several fields
// the most special one counts.
func (j *judged) freshness(f wire.Fields, date, came time.Time) {
	j.Lifetime = unsaid
	if v, ok := f.Lookup("X-Accel-Expires"); ok && j.takeAccel(trim(v), came) {
		return
	}
	expires, has := f.Lookup("Expires")
	switch {
	case j.d.sMaxAge != unsaid:
		j.Lifetime = j.d.sMaxAge
	case j.d.maxAge != unsaid:
		j.Lifetime = j.d.maxAge
	case has && !j.targeted:
		j.Lifetime = 0 // what is not a date is in the past (5.3)
		if t, ok := httpDate(expires); ok {
			j.Lifetime = min(max(t.Sub(date), 0), forever)
		}
	case !j.Modified.IsZero() && heuristic(j.Status):
		j.Heuristic = min(max(date.Sub(j.Modified)/10, 0), 24*time.Hour) // 4.2.2
	}
}

// takeAccel reads X-Accel-Expires as nginx does: seconds, @ and a time, or 0.
func (j *judged) takeAccel(v string, came time.Time) bool {
	if v == "off" {
		v = "0"
	}
	at, absolute := strings.CutPrefix(v, "@")
	t, ok := deltaSeconds(at)
	if !ok {
		return false
	}
	if absolute {
		t = max(time.Unix(int64(t/time.Second), 0).Sub(came), 0)
	}
	j.accel, j.never, j.Accel = true, t == 0, strings.Clone(v)
	j.Lifetime = min(t+came.Sub(j.Born), forever) // it counts from now, whatever the age
	return true
}

// apart reports whether a field of the answer is not for the store.
func (j *judged) apart(name string) bool {
	return named(j.d.privateFields, name) || named(j.d.noCacheFields, name)
}

// heuristic reports whether answers with a status may be kept although they do not
// say for how long (RFC 9110, 15.1).
func heuristic(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// storableStatus reports whether answers with a status are ever kept: what is final
// and whole.
func storableStatus(status int) bool {
	return status >= 200 && status <= 599 && status != http.StatusPartialContent && status != http.StatusNotModified
}

// understood reports whether the meaning of a status for a cache is known here, as
// must-understand wants it (5.2.2.3).
func understood(status int) bool {
	switch status {
	case 302, 303, 307, 400, 403, 421, 451:
		return true
	}
	return heuristic(status)
}

// hop reports whether a field is not part of what is stored: it belongs to one
// connection (RFC 9110, 7.6.1), it is said anew with every answer, or it is for
// this cache.
func hop(name string) bool {
	switch len(name) {
	case len("TE"):
		return wire.Same(name, "TE")
	case len("Age"):
		return wire.Same(name, "Age")
	case len("Trailer"):
		return wire.Same(name, "Trailer") || wire.Same(name, "Upgrade")
	case len("Connection"):
		return wire.Same(name, "Connection") || wire.Same(name, "Keep-Alive")
	case len("Cache-Status"):
		return wire.Same(name, "Cache-Status")
	case len("Content-Length"):
		return wire.Same(name, "Content-Length")
	case len("Proxy-Connection"):
		return wire.Same(name, "Proxy-Connection")
	case len("Transfer-Encoding"):
		return wire.Same(name, "Transfer-Encoding")
	case len("Proxy-Authenticate"):
		return wire.Same(name, "Proxy-Authenticate")
	case len("Proxy-Authentication-Info"):
		return wire.Same(name, "Proxy-Authentication-Info")
	}
	return ours(name)
}

// ours reports whether a field is for this cache alone.
func ours(name string) bool {
	switch len(name) {
	case len("Cache-Tag"):
		return wire.Same(name, "Cache-Tag")
	case len("Surrogate-Key"):
		return wire.Same(name, "Surrogate-Key")
	case len("X-Accel-Expires"):
		return wire.Same(name, "X-Accel-Expires")
	}
	return false
}

// connected returns the names that Connection lists.
func connected(f wire.Fields) []string {
	var names []string
	for v := range f.Values("Connection") {
		names = append(names, fieldNames(v)...)
	}
	return names
}

// kept makes the head of an answer that is kept. What it has of f is a copy.
func (j *judged) kept(f wire.Fields, came time.Time) *head {
	h := &head{facts: j.facts, tags: tagsOf(f)}
	listed := connected(f)
	fields := make(wire.Fields, 0, len(f)+2)
	dated, ranges := false, false
	for _, field := range f {
		if hop(field.Name) || named(listed, field.Name) || j.apart(field.Name) {
			continue
		}
		dated = dated || wire.Same(field.Name, "Date")
		ranges = ranges || wire.Same(field.Name, "Accept-Ranges")
		fields = append(fields, field)
	}
	if !dated {
		fields.Add("Date", came.UTC().Format(http.TimeFormat)) // RFC 9110, 6.6.1
	}
	if !ranges && j.Status == http.StatusOK {
		fields.Add("Accept-Ranges", "bytes")
	}
	h.setFields(fields)
	return h
}

// setFields keeps a copy of f in one piece of memory.
func (h *head) setFields(f wire.Fields) {
	n := 0
	for i := range f {
		n += len(f[i].Name) + len(f[i].Value)
	}
	var b strings.Builder
	b.Grow(n + len(h.ETag))
	for i := range f {
		b.WriteString(f[i].Name)
		b.WriteString(f[i].Value)
	}
	b.WriteString(h.ETag)
	text := b.String()
	h.fields = make(wire.Fields, len(f))
	for i := range f {
		name := len(f[i].Name)
		end := name + len(f[i].Value)
		h.fields[i] = wire.Field{Name: text[:name], Value: text[name:end]}
		text = text[end:]
	}
	h.ETag = text
	const field = 32
	h.weight = int64(n + len(h.ETag) + 2*field*len(f)) // also for what is ready to be sent
	for _, tag := range h.tags {
		h.weight += int64(len(tag) + field)
	}
}

// updated returns the head with what a 304 says (3.2, 4.3.4). What it says about
// the body is not taken, which stays.
func (h *head) updated(j *judged, f wire.Fields, came time.Time) *head {
	fresh := j.kept(f, came)
	n := &head{facts: h.facts, tags: h.tags}
	if fresh.tags != nil {
		n.tags = fresh.tags
	}
	fields := make(wire.Fields, 0, len(h.fields)+len(fresh.fields))
	for _, old := range h.fields {
		if !replaces(fresh.fields, old.Name) {
			fields = append(fields, old)
		}
	}
	for _, field := range fresh.fields {
		if !aboutBody(field.Name) {
			fields = append(fields, field)
		}
	}
	n.takeFreshness(judge(h.Status, h.withAccel(fields, f), exchangeTimes{came, came}), j)
	n.setFields(fields)
	return n
}

// replaces reports whether a 304 has a field in place of a stored one.
func replaces(f wire.Fields, name string) bool { return f.Has(name) && !aboutBody(name) }

// aboutBody reports whether a field is about the body, which a 304 does not have.
// Accept-Ranges is what was added to the first answer, or is not.
func aboutBody(name string) bool {
	for _, n := range [...]string{"Content-Encoding", "Content-Type", "Content-Range", "Set-Cookie", "Accept-Ranges"} {
		if wire.Same(n, name) {
			return true
		}
	}
	return false
}

// withAccel returns fields with the X-Accel-Expires of f, or that of before.
func (h *head) withAccel(fields, f wire.Fields) wire.Fields {
	v, ok := f.Lookup("X-Accel-Expires")
	if !ok {
		v = h.Accel
	}
	if v == "" {
		return fields
	}
	return append(fields[:len(fields):len(fields)], wire.Field{Name: "X-Accel-Expires", Value: v})
}

// takeFreshness takes what the merged fields say, with the age of the 304.
func (h *head) takeFreshness(merged judged, j *judged) {
	authorized, cookie := h.Authorized, h.SetCookie
	h.facts = merged.facts
	h.Born, h.Authorized, h.SetCookie = j.Born, authorized, cookie
}

func (h *head) validators() conditional.Validators {
	return conditional.Validators{ETag: h.ETag, Modified: h.Modified}
}

// validatable reports whether the app can be asked if the answer has changed.
func (h *head) validatable() bool { return h.ETag != "" || !h.Modified.IsZero() }

// age is the current age (4.2.3).
func (h *head) age(now time.Time) time.Duration { return max(now.Sub(h.Born), 0) }
