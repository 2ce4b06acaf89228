package uwsgi

import (
	"net"
)

// Response is a worker's answer. The caller closes Body, always; until then the
// connection and with it a core of the worker are busy.
type Response struct {
	Status int    // 101 or 200..999
	Reason string // the phrase of the status line, "" if there was none

	// Fields has what is meant for the client, in the order and with the names
	// of the worker: framing and hop-by-hop fields and the CGI field Status are
	// gone, and of what has one value the first one stays. The slice is good
	// until Body is closed; its strings share one copy of the head and may be
	// kept.
	Fields []Field

	// ContentLength is the length of Body, or -1 when only its end tells. For
	// HEAD and 304 it is the length that the worker declared, or -1; Body is
	// empty then.
	ContentLength int64

	Body *Body

	// Conn is set, and Body empty, only when Status is 101: a raw two-way
	// connection, which the caller closes. Bytes that came with the head are
	// read from it first.
	Conn net.Conn
}
