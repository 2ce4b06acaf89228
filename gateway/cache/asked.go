package cache

import (
	"strings"
	"time"

	"headgate/gateway/wire"
)

// asked is what a request says to a cache, found in one pass over its header.
type asked struct {
	method      method
	noStore     bool
	noCache     bool
	onlyCached  bool
	maxAge      time.Duration // unsaid: none
	minFresh    time.Duration // unsaid: none
	maxStale    time.Duration // unsaid: none; forever: any
	authorized  bool          // there is an Authorization
	cookies     bool
	ranges      bool // there is a Range
	conditional bool // If-None-Match or If-Modified-Since
	unsuited    bool // the answer of a cache would not be one to it
}

type method uint8

const (
	methodGET    method = iota
	methodHEAD          // is answered from what was stored for GET
	methodSafe          // has nothing to do with the store
	methodUnsafe        // makes what is stored invalid (4.4)
)

func methodOf(name string) method {
	switch name {
	case "GET":
		return methodGET
	case "HEAD":
		return methodHEAD
	case "OPTIONS", "TRACE", "QUERY", "PROPFIND", "REPORT", "SEARCH": // RFC 9110, 9.2.1
		return methodSafe
	}
	return methodUnsafe
}

// ask reads the header of a request.
func ask(r *Request) asked {
	q := asked{method: methodOf(r.Method), maxAge: unsaid, minFresh: unsaid, maxStale: unsaid}
	q.unsuited = r.ContentLength != 0
	control, pragma := false, false
	for i := range r.Fields {
		f := &r.Fields[i]
		switch len(f.Name) { // most names are none of these
		case len("Range"):
			q.ranges = q.ranges || wire.Same(f.Name, "Range")
		case len("Cookie"):
			q.cookies = q.cookies || wire.Same(f.Name, "Cookie")
			pragma = pragma || wire.Same(f.Name, "Pragma") && saysNoCache(f.Value)
		case len("Upgrade"):
			q.unsuited = q.unsuited || wire.Same(f.Name, "Upgrade") && r.Major == 1
		case len("If-Match"):
			q.unsuited = q.unsuited || wire.Same(f.Name, "If-Match") // for the app alone (4.3.2)
		case len("If-Unmodified-Since"):
			q.unsuited = q.unsuited || wire.Same(f.Name, "If-Unmodified-Since")
		case len("Cache-Control"): // as long as If-None-Match and Authorization
			switch {
			case wire.Same(f.Name, "Cache-Control"):
				control = true
				q.control(f.Value)
			case wire.Same(f.Name, "If-None-Match"):
				q.conditional = true
			case wire.Same(f.Name, "Authorization"):
				q.authorized = true
			}
		case len("If-Modified-Since"):
			q.conditional = q.conditional || wire.Same(f.Name, "If-Modified-Since")
		}
	}
	q.noCache = q.noCache || pragma && !control // 5.4
	return q
}

func saysNoCache(v string) bool {
	return len(v) >= len("no-cache") && strings.EqualFold(trim(v), "no-cache")
}

// control reads a line of the request's Cache-Control (5.2.1).
func (q *asked) control(v string) {
	for v != "" {
		var token, arg string
		var has bool
		token, arg, has, v = nextDirective(v)
		switch {
		case wire.Same(token, "no-store"):
			q.noStore = true
		case wire.Same(token, "no-cache"):
			q.noCache = true
		case wire.Same(token, "only-if-cached"):
			q.onlyCached = true
		case wire.Same(token, "max-age"):
			first(&q.maxAge, arg)
		case wire.Same(token, "min-fresh"):
			first(&q.minFresh, arg)
		case wire.Same(token, "max-stale") && !has:
			q.maxStale = forever
		case wire.Same(token, "max-stale"):
			first(&q.maxStale, arg)
		}
	}
}

// demands reports whether the client does not take just any fresh answer.
func (q *asked) demands() bool { return q.noCache || q.maxAge != unsaid || q.minFresh != unsaid }

// forgo takes back what the client has demanded.
func (q *asked) forgo() { q.noCache, q.maxAge, q.minFresh = false, unsaid, unsaid }
