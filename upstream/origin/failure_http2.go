package origin

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// streamError has the fields of package net/http's error of one stream, which is
// not exported: errors.As fills it in.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error implements error.
func (e streamError) Error() string {
	return fmt.Sprintf("stream %d was reset with code %d", e.StreamID, e.Code)
}

const (
	codeRefusedStream = 7 // RFC 9113, 7
	causeFromPeer     = "received from peer"
)

// What package net/http says in errors that it does not export. A test with
// a real peer stands behind each.
const (
	saysGoAway     = "http2: Transport received "                          // GOAWAY: the stream is behind the last that was taken (RFC 9113, 6.8)
	saysUnusable   = "http2: client conn not usable"                       // it ended before the request was sent
	saysNever      = "http2: client conn could not be established"         // likewise
	saysLargeHead  = "http2: response header list larger"                  // than what we allow
	saysLargeAsked = "http2: request header list larger than peer's"       // settings allow
	saysLost       = "http2: client connection lost"                       // no answer to a ping
	saysClosed     = "http2: server sent GOAWAY and closed the connection" // with the stream among those that were taken
)

// noHeadHTTP2 fills e by what package net/http says.
func (x *exchange) noHeadHTTP2(e *Error) {
	e.Kind, e.Cure = KindNoAnswer, cureLog
	says := e.Err.Error()
	var reset streamError
	switch {
	case errors.As(e.Err, &reset):
		x.streamReset(e, reset)
	case strings.HasPrefix(says, saysGoAway):
		e.Cause, e.Cure, e.NeverRan = "the member shuts the connection down and did not take the request", "", true
	case strings.HasPrefix(says, saysUnusable), strings.HasPrefix(says, saysNever):
		e.Stage, e.Cause, e.NeverRan = StageSend, "the connection was closed before the request was sent", true
		x.suspect(e)
	case strings.HasPrefix(says, saysLargeAsked):
		e.Stage, e.Kind, e.NeverRan = StageEncode, KindBadRequest, true
		e.Cause, e.Cure = "the request's header is larger than the member allows", "raise the limit of the member's server"
	case strings.HasPrefix(says, saysLost):
		e.Cause, e.Cure = "the member does not answer a ping of HTTP/2", "is the host up?"
	case strings.HasPrefix(says, saysClosed):
		e.Cause = "the member closed the connection in the middle of the request"
	default:
		e.Cause = "the connection was lost after " + seconds(time.Since(x.began))
		x.suspect(e)
	}
}

// streamReset fills e for a stream that one side has ended: Cause is this side's
// reason, if it was this one.
func (x *exchange) streamReset(e *Error, reset streamError) {
	switch {
	case reset.Code == codeRefusedStream:
		x.declined = true
		e.NeverRan, e.full = true, true
		e.Cause, e.Cure = "the member refused the stream: it has too many", "let it allow more concurrent streams, or set slots"
	case reset.Cause == nil || reset.Cause.Error() == causeFromPeer:
		e.Cause = fmt.Sprintf("the member reset the stream with code %d after %s", reset.Code, seconds(time.Since(x.began)))
	case strings.HasPrefix(reset.Cause.Error(), saysLargeHead):
		*e = *x.bad(causeLargeHead, cureLargeHead)
	case errors.Is(reset.Cause, errInterims):
		*e = *x.bad(errInterims.Error(), "")
	default:
		e.Kind, e.Cause, e.Cure, e.Err = KindBadAnswer, "the head of the response is not valid", "", reset.Cause
	}
}
