package worker

import (
	"errors"
	"strings"
	"time"
)

// TroubleError is why workers have not started, or have ended. Its texts are for
// operators: they may have parts of the app's source in them.
type TroubleError struct {
	Cause   string    // one line
	Tail    []string  // the last lines that they wrote; of an app that cannot be imported, its traceback
	RetryAt time.Time // when they are started again; zero: when a file or the configuration changes, or somebody asks for it
}

// Error returns the cause, and the tail in lines of its own.
func (e *TroubleError) Error() string {
	if len(e.Tail) == 0 {
		return e.Cause
	}
	return e.Cause + "\n" + strings.Join(e.Tail, "\n")
}

// trouble makes a TroubleError of any error: its first line is the cause.
func trouble(err error) *TroubleError {
	var t *TroubleError
	if errors.As(err, &t) {
		again := *t
		return &again
	}
	lines := strings.Split(strings.TrimRight(err.Error(), "\n"), "\n")
	return &TroubleError{Cause: lines[0], Tail: lines[1:]}
}

// telling leaves out what servers write before the traceback that says why they have
// ended.
func telling(tail []string) []string {
	for i := len(tail) - 1; i > 0; i-- {
		if strings.HasSuffix(tail[i], "Traceback (most recent call last):") {
			return tail[i:]
		}
	}
	return tail
}
