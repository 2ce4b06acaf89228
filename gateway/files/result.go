package files

import "errors"

// Outcome is what became of a request.
type Outcome uint8

// The outcomes. Nothing was written unless it is Answered or Cut.
const (
	// Answered: the answer is complete, with Result.Status.
	Answered Outcome = iota

	// NotFound: there is no such file. Result.Status is what Options.Try ends with,
	// or 0.
	NotFound

	// Redirect: the name is that of a directory, without the slash at its end, and
	// with it there is an answer: the client is sent to its path with a slash.
	Redirect

	// Forbidden: a directory without an index that is not listed (Result.Err is nil),
	// or a file that may not be read (Result.Err says so).
	Forbidden

	// NotAllowed: the method is neither GET nor HEAD.
	NotAllowed

	// Failed: Result.Err says why the file could not be read, and the cure.
	Failed

	// Cut: the answer began with Result.Status and did not come to its end, because of
	// Result.Err: the stream has to be aborted.
	Cut
)

// String returns a short word for logs.
func (o Outcome) String() string {
	switch o {
	case Answered:
		return "answered"
	case NotFound:
		return "not_found"
	case Redirect:
		return "redirect"
	case Forbidden:
		return "forbidden"
	case NotAllowed:
		return "not_allowed"
	case Failed:
		return "failed"
	}
	return "cut"
}

// Result is what became of a request, and why.
type Result struct {
	Outcome Outcome
	Status  int
	Err     error
}

// ErrShort is the cause of a Cut when the file got shorter while it was sent. Any
// other cause is the client's.
var ErrShort = errors.New("files: the file got shorter while it was sent")
