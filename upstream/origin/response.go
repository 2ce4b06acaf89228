package origin

import (
	"net"
	"net/http"
)

// Response is a member's answer. The caller closes Body, always; until then the
// connection, or its stream, is busy.
type Response struct {
	Status int // 101 or 200..999

	// Header has what is meant for the client: framing and hop-by-hop fields are
	// gone.
	Header http.Header

	// ContentLength is the length of Body, or -1 when only its end tells. For
	// HEAD and 304 it is the length that the member declared, or -1; Body is
	// empty then.
	ContentLength int64

	Body *Body

	// Conn is set, and Body empty, only when Status is 101: a raw two-way
	// connection, which the caller closes. Bytes that came with the head are
	// read from it first.
	Conn net.Conn
}
