package origin

// Stage is the part of an exchange in which it failed.
type Stage string

// The stages, in their order.
const (
	StageEncode Stage = "encode" // the request cannot be written as HTTP: nothing was opened
	StageDial   Stage = "dial"   // no connection
	StageSend   Stage = "send"   // writing head or body
	StageHead   Stage = "head"   // waiting for, or reading, the response's head
	StageBody   Stage = "body"   // reading the response's body
)

// String returns the stage's name as it is logged.
func (s Stage) String() string { return string(s) }

// Kind says which sort of failure it was, so that a caller can choose a status.
type Kind string

// The kinds of failure: a small, fixed set.
const (
	KindBadRequest  Kind = "bad_request" // the request is not one that HTTP can carry: 400
	KindUnavailable Kind = "unavailable" // nobody listens, or no connection could be had: 502
	KindTimeout     Kind = "timeout"     // connect or response timeout passed: 504
	KindNoAnswer    Kind = "no_answer"   // closed, reset or refused before a complete head: 502
	KindBadAnswer   Kind = "bad_answer"  // the answer is not valid: 502
	KindCut         Kind = "cut"         // the body ended before its end: the client's answer must be cut too
	KindBody        Kind = "body"        // reading the request's body failed: the client's fault
	KindCanceled    Kind = "canceled"    // the context ended
)

// String returns the kind's name as it is logged and counted.
func (k Kind) String() string { return string(k) }

// Error is the failure of one exchange with one member.
type Error struct {
	Stage Stage
	Kind  Kind
	Addr  string // the member: unix:/run/app.sock or 10.0.0.7:8000
	Cause string // what happened, in words
	Cure  string // what an operator can do about it, or ""
	Err   error  // the underlying error, or nil

	// NeverRan reports that the member provably did not run the request, so that
	// it may be sent again whatever its method: nothing of it was sent; HTTP/2
	// says so; or the kernel does, since the connection was closed with the
	// request unread (unix sockets and loopback), or before the other side's
	// kernel had any of it.
	NeverRan bool

	away bool // there is nobody to connect to
	full bool // the listen backlog is full
}

// Error returns stage, member, cause and the underlying error in one line.
func (e *Error) Error() string {
	s := e.Stage.String() + ": " + e.Cause
	if e.Addr != "" {
		s = "member " + e.Addr + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// Unsent reports that the member provably never ran the request: it may be sent
// again, to another member or the same, whatever its method.
func (e *Error) Unsent() bool { return e.NeverRan }

// Timeout reports whether time ran out.
func (e *Error) Timeout() bool { return e.Kind == KindTimeout }

// Away reports that no connection could be had since the member is not there;
// waiting may help.
func (e *Error) Away() bool { return e.away }

// Full reports that the member is there and takes no connection, or stream, just
// now.
func (e *Error) Full() bool { return e.full }

// Blameless reports that the failure says nothing of the member.
func (e *Error) Blameless() bool {
	return e.Kind == KindBadRequest || e.Kind == KindBody || e.Kind == KindCanceled
}
