package uwsgi

import (
	"io"
	"net/http"
	"net/netip"
)

// Request is what the protocol needs of an HTTP request: a small view that any
// server engine can fill without building an *http.Request. A Request is read
// only while Do runs; Do never changes it and keeps no reference to it.
//
// Nothing here is checked for sense: the caller has already decided on one
// host, one canonical path and one client address.
type Request struct {
	Method     string // REQUEST_METHOD
	Proto      string // SERVER_PROTOCOL: HTTP/1.0, HTTP/1.1, HTTP/2.0 or HTTP/3.0
	Scheme     string // "http" or "https"
	Host       string // HTTP_HOST, with the port if the client gave one
	ServerName string // SERVER_NAME
	ServerPort string // SERVER_PORT, decimal
	URI        string // REQUEST_URI: path and query as the client sent them
	ScriptName string // SCRIPT_NAME: the mount point, decoded, "" or "/x"
	PathInfo   string // PATH_INFO: canonical, percent-decoded, without ScriptName
	Query      string // QUERY_STRING, as sent, without "?"

	Remote netip.AddrPort // REMOTE_ADDR and REMOTE_PORT

	// Header holds the fields of the request. The encoder leaves out what a
	// worker must not see: hop-by-hop fields, Content-Length, Expect, Host,
	// Proxy, and names with a byte other than a letter, a digit or "-".
	Header Fields

	// Extra are variables that the caller vouches for; they replace a header
	// or a default of the same name. Keys are variable names as sent
	// (HTTP_X_REQUEST_ID), not header names.
	Extra []Var

	// Upgrade is the value of the Upgrade field when the client asks for a
	// protocol switch that may be granted; "" otherwise. Only then are
	// HTTP_UPGRADE and HTTP_CONNECTION sent and is a 101 accepted.
	Upgrade string

	// Body is nil when there is none. ContentLength is its exact length and is
	// sent as CONTENT_LENGTH; a body of unknown length must be spooled first.
	// Do stops reading Body before it returns an error, but after success goes
	// on until the response body has been closed. Of an error of StageEncode or
	// StageDial it is sure that Body was not touched.
	Body          io.Reader
	ContentLength int64

	// StopBody, if not nil, makes a Read of Body that is waiting return soon. It
	// is called when the member wants no more of Body, and Do (on an error) and
	// Close of the response body then wait until that Read has returned. Without
	// it they do not wait for a Read that is going on: its bytes are dropped, and
	// Body is in use until it returns. It is not needed where Read never waits
	// for a client: Rewind is set, or Body has a method Len.
	StopBody func()

	// Rewind, if not nil, starts Body again from its first byte. Without it a
	// request whose body has been touched is never sent a second time.
	Rewind func() (io.Reader, error)

	// Interim, if not nil, is called for every 1xx response before the final
	// one, except 101. It is called from the goroutine that called Do. The slice
	// is good until Do has returned an error or the response's body is closed.
	Interim func(status int, fields []Field)
}

// Var is one variable of the packet.
type Var struct{ Key, Value string }

// Fields is the header of a request. Range calls f for each value in the order
// in which it is known and stops when f returns false; values of one name that
// was sent more than once come one after another.
type Fields interface {
	Range(f func(name, value string) bool)
}

// Listed is what Fields are walked through by if they have it: that costs less
// than calling back. A field without a name is passed over. The other rules are
// those of Range.
type Listed interface {
	Fields
	Len() int
	At(i int) (name, value string)
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
