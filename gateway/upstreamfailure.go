package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/origin"
	"headgate/upstream/uwsgi"
	"headgate/upstream/worker"
)

// memberError is what a transport says of a failed exchange, of whichever
// protocol.
type memberError struct {
	kind              string // a word of stats.Failure
	addr, cause, cure string
	err               error // what lies below, or nil
}

func memberErrorOf(err error) (memberError, bool) {
	var u *uwsgi.Error
	if errors.As(err, &u) {
		return memberError{u.Kind.String(), u.Addr, u.Cause, u.Cure, u.Err}, true
	}
	var o *origin.Error
	if errors.As(err, &o) {
		return memberError{o.Kind.String(), o.Addr, o.Cause, o.Cure, o.Err}, true
	}
	return memberError{}, false
}

func tooLarge(err error) bool {
	e, ok := memberErrorOf(err)
	return ok && e.kind == "too_large"
}

func failureOf(err error) stats.Failure {
	if e, ok := memberErrorOf(err); ok {
		return stats.FailureNamed(e.kind)
	}
	return stats.FailureOther
}

// upstreamFailure maps what a pool or a member reported to an answer. It is the
// one place in which errors of the upstream become statuses.
func upstreamFailure(err error) *failure {
	f := &failure{status: http.StatusBadGateway, kind: "other", cause: err.Error(), err: err}
	var w *upstream.WaitError
	if errors.As(err, &w) {
		fromQueue(f, w)
		return f
	}
	if e, ok := memberErrorOf(err); ok {
		fromMember(f, e)
		return f
	}
	switch {
	case errors.Is(err, errStopping):
		f.status, f.kind, f.err = http.StatusServiceUnavailable, "stopping", nil
		f.retryAfter, f.close = 1, true
	case errors.Is(err, context.Canceled):
		f.status, f.kind, f.cause = statusClientGone, "canceled", "the client went away"
	}
	return f
}

// statusClientGone is logged when the client left before the answer; nginx
// gives it the same number. Nobody receives it.
const statusClientGone = 499

// fromQueue is for a request that got no slot.
func fromQueue(f *failure, w *upstream.WaitError) {
	f.status, f.err = http.StatusServiceUnavailable, nil
	f.retryAfter = int(w.RetryAfter / time.Second)
	waited := w.Waited.Round(100 * time.Millisecond).String()
	switch w.Reason {
	case upstream.ErrQueueFull:
		f.kind = "queue_full"
		f.cause, f.cure = "too many requests wait for a worker", "add workers, or raise queue.limit"
	case upstream.ErrPaused:
		f.kind = "paused"
		f.cause, f.cure = "the pool is paused, and the request has waited for "+waited, "headgate resume, or wait for the end of the pause"
	case upstream.ErrDrained:
		f.kind = "drained"
		f.cause, f.cure = "every member of the pool is drained, and the request has waited for "+waited, "headgate undrain, or add a member"
	case upstream.ErrNoMembers:
		var trouble *worker.TroubleError
		if errors.As(w.Err, &trouble) {
			fromTrouble(f, trouble)
			return
		}
		f.kind = "no_member"
		f.cause, f.cure = "the pool has no members", "add one, or look for why its names have no addresses"
	case upstream.ErrAway:
		f.kind = "away"
		f.cause, f.cure = "no worker could be reached for "+waited, "start the workers"
		if e, ok := memberErrorOf(w.Err); ok {
			f.cause = fmt.Sprintf("no worker could be reached for %s; member %s: %s", waited, w.Member, e.cause)
			f.cure, f.err = e.cure, e.err
		}
	default:
		f.kind = "queue_timeout"
		f.cause, f.cure = "no worker became free within "+waited, "add workers, or raise queue.timeout"
	}
}

func fromMember(f *failure, e memberError) {
	f.kind, f.cause, f.cure, f.err = e.kind, e.cause, e.cure, e.err
	if e.addr != "" {
		f.cause = "member " + e.addr + ": " + e.cause
	}
	switch e.kind {
	case "too_large":
		f.status = http.StatusRequestHeaderFieldsTooLarge
		f.cause = e.cause
	case "timeout":
		f.status = http.StatusGatewayTimeout
	case "bad_request":
		f.status, f.cause = http.StatusBadRequest, e.cause
	case "body":
		f.status, f.close = http.StatusBadRequest, true
	case "canceled":
		f.status, f.cause = statusClientGone, "the client went away"
	}
}
