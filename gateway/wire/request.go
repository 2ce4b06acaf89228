package wire

// Request is the head of a request as it came. It belongs to the engine and must
// not be used after Serve has returned; its strings may be kept.
type Request struct {
	Method string
	Target string // path and query as they were sent, or "*"; never an absolute form, whose authority is in Host
	Host   string // :authority, that of an absolute form, or the Host field; "" only in HTTP/1.0
	Scheme string // :scheme, or that of an absolute form; "" when the client did not say

	Major, Minor int // of HTTP: 1.0, 1.1, 2.0 or 3.0; a higher minor is 1.1

	// Fields is the header without pseudo-header fields. Host is in it if the
	// client has sent it. On HTTP/2 and HTTP/3 the parts of a divided Cookie
	// (RFC 9113, 8.2.3) are one field.
	Fields Fields

	// ContentLength is the length of the body: 0 for none, -1 when only the
	// stream's end tells.
	ContentLength int64

	// Refusal is set if the request is not to be served: the Handler answers
	// with it and does not trust anything else of the head, which may be empty.
	Refusal *Refusal
}

// Refusal is why an engine does not let a request pass that it can still answer.
type Refusal struct {
	Status int    // 400, 414, 417, 431, 501 or 505
	Cause  string // for people: about what the client has sent
	Cure   string // what can be done about it, or ""
	Kind   string // a short fixed word for logs
}

// Proto returns the name that CGI has for the version: "HTTP/1.1", "HTTP/2.0".
func (r *Request) Proto() string {
	switch r.Major {
	case 3:
		return "HTTP/3.0"
	case 2:
		return "HTTP/2.0"
	}
	if r.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// Interims reports whether the client understands 1xx answers (RFC 9110, 15.2).
func (r *Request) Interims() bool { return r.Major > 1 || r.Minor > 0 }
