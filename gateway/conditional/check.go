package conditional

import (
	"net/http"
	"time"

	"headgate/gateway/wire"
)

// Validators are what is known of a representation to compare it by.
type Validators struct {
	ETag     string    // with its quotes, and W/ before them if it is weak; "": none
	Modified time.Time // of Last-Modified, its part of a second does not count; zero: none
}

// Check evaluates the preconditions of r in the order of RFC 9110, 13.2.2, for a
// resource that has a representation with v, or none (exists is false). It returns 0
// if the request is to be served, or the status of its answer: 304 or 412. If-Range
// is a matter of Ranges. A field that is malformed does not count, except that a list
// of tags holds those before its fault. CONNECT, OPTIONS and TRACE have no
// preconditions. It allocates nothing for dates in the preferred form.
func Check(r *wire.Request, v Validators, exists bool) (status int) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch r.Method {
	case http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return 0
	}
	f := r.Fields
	if f.Has("If-Match") {
		if !matches(f, "If-Match", v, exists, strongly) {
			return http.StatusPreconditionFailed
		}
	} else if t, ok := date(f, "If-Unmodified-Since"); ok && !v.Modified.IsZero() && v.Modified.Unix() > t.Unix() {
		return http.StatusPreconditionFailed
	}
	if f.Has("If-None-Match") {
		switch {
		case !matches(f, "If-None-Match", v, exists, weakly):
			return 0
		case reads:
			return http.StatusNotModified
		}
		return http.StatusPreconditionFailed
	}
	if !reads || !exists || v.Modified.IsZero() {
		return 0
	}
	if t, ok := date(f, "If-Modified-Since"); ok && v.Modified.Unix() <= t.Unix() {
		return http.StatusNotModified
	}
	return 0
}

// date returns the time that a field says which was sent once and is well-formed.
func date(f wire.Fields, name string) (time.Time, bool) {
	v, ok := f.Only(name)
	if !ok {
		return time.Time{}, false
	}
	return parseDate(v)
}

// parseDate reads the three forms of a date (RFC 9110, 5.6.7).
func parseDate(v string) (time.Time, bool) {
	if len(v) < len(time.ANSIC) || len(v) > len("Wednesday, 02-Jan-06 15:04:05 GMT") {
		return time.Time{}, false
	}
	if t, err := time.Parse(http.TimeFormat, v); err == nil {
		return t, true
	}
	if t, err := time.Parse("Monday, 02-Jan-06 15:04:05 GMT", v); err == nil {
		return t, true
	}
	t, err := time.Parse(time.ANSIC, v)
	return t, err == nil
}
