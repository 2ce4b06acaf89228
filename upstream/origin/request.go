package origin

import (
	"io"
	"net/http"
	"strings"
)

// Request is what a member is to be told: a small view that any server engine
// can fill without building an *http.Request. A Request is read only while Do
// runs; Do never changes it and keeps no reference to it.
type Request struct {
	Method string
	Scheme string // "http" (also when it is empty) or "https": HTTP/2 members are told
	Host   string // of the request, with the port if the client gave one
	URI    string // the request target as it is to be sent: path and query, or "*"; "" is "/"

	// Header holds the fields of the request; nil is none. The transport leaves
	// out what a member must not see: hop-by-hop fields, Content-Length, Expect,
	// Host, Proxy, and names with a byte other than a letter, a digit or "-".
	Header Fields

	// Extra are fields that the caller vouches for; they replace those of
	// Header that have the same name.
	Extra []Field

	// Upgrade is the value of the Upgrade field when the client asks for a
	// protocol switch that may be granted; "" otherwise. Only "websocket" is handed
	// on, and only then a 101 accepted: behind a switch to h2c a client would
	// speak HTTP to the member itself. HTTP/2 members are not asked.
	Upgrade string

	// Body is nil when there is none. ContentLength is its exact length, or -1
	// if that is not known, and 0 is an empty body. Do stops reading Body before
	// it returns an error, but after success goes on until the response body has
	// been closed.
	Body          io.Reader
	ContentLength int64

	// StopBody makes a Read of Body that is waiting return soon. It is called
	// when the member wants no more of Body, and Do (on an error) and Close of
	// the response body then wait until that Read has returned. It may be nil
	// where Read never waits for a client; otherwise Do, and Close, may be held
	// up for as long as Read waits.
	StopBody func()

	// Rewind, if not nil, starts Body again from its first byte. Without it a
	// request whose body has been touched is never sent a second time.
	Rewind func() (io.Reader, error)

	// Interim, if not nil, is called for every 1xx response before the final
	// one, except 101. It is called from another goroutine than Do, once at a
	// time, and never any more when Do has returned. A panic of it ends the
	// exchange and goes on in Do.
	Interim func(status int, header http.Header)
}

// Field is one header field.
type Field struct{ Name, Value string }

// Fields is the header of a request. Range calls f for each value in the order
// in which it is known and stops when f returns false; values of one name that
// was sent more than once come one after another.
type Fields interface {
	Range(f func(name, value string) bool)
}

// HeaderFields lets an http.Header serve as Fields.
type HeaderFields http.Header

// Range implements Fields.
func (h HeaderFields) Range(f func(name, value string) bool) {
	for name, values := range h {
		for _, v := range values {
			if !f(name, v) {
				return
			}
		}
	}
}

// body returns what there is to be sent, or nil.
func (r *Request) body() io.Reader {
	if r.ContentLength == 0 {
		return nil
	}
	return r.Body
}

// upgrade returns the protocol that a member of HTTP/1.1 is asked to switch to, or
// "".
func (r *Request) upgrade() string {
	if strings.EqualFold(r.Upgrade, "websocket") {
		return r.Upgrade
	}
	return ""
}

// replayable reports that the request can be sent once more at any time.
func (r *Request) replayable() bool { return r.body() == nil || r.Rewind != nil }

// idempotent reports whether the request may run twice without harm (RFC 9110,
// 9.2.2).
func (r *Request) idempotent() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}
