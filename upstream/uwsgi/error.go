package uwsgi

// Stage is the part of an exchange in which it failed.
type Stage uint8

// The stages, in their order.
const (
	StageEncode Stage = iota + 1 // the request does not fit the protocol: nothing was opened
	StageDial                    // no connection
	StageSend                    // writing head or body
	StageHead                    // waiting for, or reading, the response's head
	StageBody                    // reading the response's body
)

// String returns the stage's name as it is logged.
func (s Stage) String() string {
	switch s {
	case StageEncode:
		return "encode"
	case StageDial:
		return "dial"
	case StageSend:
		return "send"
	case StageHead:
		return "head"
	case StageBody:
		return "body"
	}
	return "unknown"
}

// Kind says which sort of failure it was, so that a caller can choose a status.
type Kind uint8

// The kinds of failure.
const (
	KindTooLarge    Kind = iota + 1 // vars do not fit packet, variable limit or the member's buffer-size: 431
	KindUnavailable                 // nobody listens, or no connection could be had: 502
	KindTimeout                     // connect or response timeout passed: 504
	KindNoAnswer                    // closed or reset before a complete head: 502
	KindBadAnswer                   // the answer is not valid: 502
	KindCut                         // the body ended before its end: the client's answer must be cut too
	KindBody                        // reading the request's body failed: the client's fault
	KindCanceled                    // the context ended
)

// String returns the kind's name as it is logged and counted: a small, fixed set.
func (k Kind) String() string {
	switch k {
	case KindTooLarge:
		return "too_large"
	case KindUnavailable:
		return "unavailable"
	case KindTimeout:
		return "timeout"
	case KindNoAnswer:
		return "no_answer"
	case KindBadAnswer:
		return "bad_answer"
	case KindCut:
		return "cut"
	case KindBody:
		return "body"
	case KindCanceled:
		return "canceled"
	}
	return "unknown"
}

// Error is the failure of one exchange with one member.
type Error struct {
	Stage Stage
	Kind  Kind
	Addr  string // the member, as configured
	Cause string // what happened, in words: "closed without an answer after 30.0 s (harakiri or an exception before the first byte?)"
	Cure  string // what an operator can do about it, or ""
	Err   error  // the underlying error, or nil

	// NeverRan reports that the worker provably did not run the request, so
	// that it may be sent again whatever its method.
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

// Unsent reports that the worker provably never ran the request: it may be sent
// again, to another member or the same, whatever its method.
func (e *Error) Unsent() bool { return e.NeverRan }

// Timeout reports whether time ran out.
func (e *Error) Timeout() bool { return e.Kind == KindTimeout }

// Away reports that no connection could be had because the member is not there:
// it is stopped, being started, or cannot be reached. Waiting may help. It is
// false for what waiting does not cure, such as a certificate that is not
// trusted, or no file descriptor left in this process.
func (e *Error) Away() bool { return e.away }

// Full reports that the member is there and its listen backlog is full: every
// worker is busy, and as many connections as it lets wait are waiting. Only unix
// sockets tell.
func (e *Error) Full() bool { return e.full }

// Blameless reports that the failure says nothing of the member's health.
func (e *Error) Blameless() bool {
	return e.Kind == KindTooLarge || e.Kind == KindBody || e.Kind == KindCanceled
}
