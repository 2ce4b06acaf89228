package cache

import (
	"strconv"
	"time"
)

// reason is why a request goes to the app (RFC 9211, 2.2).
type reason uint8

const (
	fwdBypass   reason = iota
	fwdMethod          // of the request
	fwdURIMiss         // nothing is kept of this URI
	fwdVaryMiss        // of it, nothing for such a request
	fwdRequest         // the client does not take what is kept
	fwdStale           // what is kept is stale
)

// field is the name under which every answer says what became of its request.
const field = "Cache-Status"

// forwarded is a Cache-Status of a request that went to the app.
type forwarded struct {
	why       reason
	stored    bool
	collapsed bool
	status    int // of the app, if it is not that of the answer; 0: it is
	detail    string
}

func (r reason) token() string {
	return [...]string{"bypass", "method", "uri-miss", "vary-miss", "request", "stale"}[r]
}

// String returns the value of the field (RFC 9211). The common ones allocate nothing.
func (f forwarded) String() string {
	if f == (forwarded{why: f.why}) {
		return [...]string{
			"Headgate; fwd=bypass", "Headgate; fwd=method", "Headgate; fwd=uri-miss", "Headgate; fwd=vary-miss", "Headgate; fwd=request", "Headgate; fwd=stale",
		}[f.why]
	}
	s := "Headgate; fwd=" + f.why.token()
	if f.status != 0 {
		s += "; fwd-status=" + strconv.Itoa(f.status)
	}
	if f.stored {
		s += "; stored"
	}
	if f.collapsed {
		s += "; collapsed"
	}
	if f.detail != "" {
		s += "; detail=" + f.detail
	}
	return s
}

// hitStatus is the Cache-Status of an answer from the store that is fresh for left,
// or stale when that is negative.
func hitStatus(left time.Duration) string {
	return "Headgate; hit; ttl=" + strconv.FormatInt(seconds(left), 10)
}

// seconds rounds down, so that what is fresh for less than one is fresh for none.
func seconds(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		n--
	}
	return n
}

func ageText(age time.Duration) string { return strconv.FormatInt(int64(age/time.Second), 10) }
