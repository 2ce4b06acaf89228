package wire

import "errors"

// Errors of a Stream.
var (
	ErrNoHijack = errors.New("wire: the connection cannot be taken over")
	ErrTooLong  = errors.New("wire: more than the declared length of the answer")
	ErrAborted  = errors.New("wire: the stream was aborted")
)
