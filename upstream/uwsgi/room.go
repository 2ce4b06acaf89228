package uwsgi

import (
	"context"
	"time"
)

// Waits between two attempts to get into a full listen backlog.
const (
	roomWait    = time.Millisecond
	roomWaitMax = 50 * time.Millisecond
)

// untilRoom calls f again for as long as its error is a full listen backlog, as
// a blocking connect would wait: at most for limit, without one if that is not
// positive, and until ctx ends. It returns the last error of f.
func untilRoom(ctx context.Context, limit time.Duration, f func() *Error) *Error {
	e := f()
	if e == nil || !e.full {
		return e
	}
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	wait := roomWait
	again := time.NewTimer(wait)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return canceled(e, ctx)
		case <-over:
			return e
		case <-again.C:
		}
		if e = f(); e == nil || !e.full {
			return e
		}
		wait = min(2*wait, roomWaitMax)
		again.Reset(wait)
	}
}
