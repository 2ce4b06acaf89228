package uwsgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Cures that more than one failure has.
const (
	cureLog   = "the worker's log says more; uWSGI answers 500 itself with catch-exceptions"
	cureSlow  = "look for what the app waits for, or raise response_timeout"
	cureHTTP  = "a server that waits for HTTP also looks like this: gunicorn needs --protocol uwsgi, uWSGI a socket (not http-socket)"
	cureReset = "the server was stopped or reloaded with requests in its listen queue, or its buffer-size is smaller than the request's variables"
)

// noHead says why no complete head came, by what is known of uWSGI and gunicorn:
// a worker that read the whole request and dies ends in EOF, and a request that
// nobody read in a reset, because its bytes were still waiting.
func (x *exchange) noHead(err error) *Error {
	e := &Error{Stage: StageHead, Addr: x.t.name, Err: err}
	after := time.Since(x.began)
	switch {
	case x.foreign(e):
	case isTimeout(err):
		x.silent(e)
	case x.got > 0:
		e.Kind, e.Cure = KindNoAnswer, cureLog
		e.Cause = fmt.Sprintf("cut in the middle of the response's head, after %d bytes and %s", x.got, seconds(after))
	case isReset(err), x.cutPacket:
		x.refusal(e)
	default:
		x.ended = true
		e.Kind, e.Cure = KindNoAnswer, cureLog
		e.Cause = "closed without an answer after " + seconds(after) + " (harakiri, a crash, or an exception before the first byte?)"
		if after > 3500*time.Millisecond && !x.t.spoke.Load() {
			e.Cure += "; " + cureHTTP
		}
	}
	if e.Err == io.EOF {
		e.Err = nil
	}
	return e
}

// foreign fills e if the exchange ended by another's fault than the member's.
func (x *exchange) foreign(e *Error) bool {
	if x.send != nil {
		if err := x.send.bodyErr.Load(); err != nil {
			*e = *x.t.bodyFailure(e.Stage, *err, false)
			return true
		}
	}
	if x.ctx.Err() != nil {
		canceled(e, x.ctx)
		return true
	}
	if errors.Is(e.Err, os.ErrClosed) || errors.Is(e.Err, net.ErrClosed) {
		e.Kind, e.Cause, e.Err = KindCanceled, "given up by the caller", context.Canceled
		return true
	}
	return false
}

// silent fills e for a member that says nothing.
func (x *exchange) silent(e *Error) {
	e.Kind, e.Cure = KindTimeout, cureSlow
	switch {
	case x.writeErr != nil || x.send != nil && !x.send.whole.Load():
		e.Stage, e.Cause = StageSend, "the member took nothing of the request for "+seconds(x.t.responseTimeout)
	case x.got > 0:
		e.Cause = "the response's head was not complete within " + seconds(x.t.responseTimeout)
	default:
		e.Cause = "no answer within " + seconds(x.t.responseTimeout)
	}
	if x.got == 0 && !x.t.spoke.Load() {
		e.Cure += "; " + cureHTTP
	}
}

// refusal fills e for a connection that was closed with the request unread. It
// cannot have run if no byte of a body may be what was unread: there was none, it
// was held back, or not even the variables went out.
func (x *exchange) refusal(e *Error) {
	x.refused = true
	e.Kind, e.Cure = KindNoAnswer, cureReset
	e.NeverRan = !x.touched() || x.cutPacket
	if x.writeErr != nil || x.send != nil && e.NeverRan {
		e.Stage = StageSend
	}
	e.Cause = "reset without an answer: the request was not read by any worker"
	if !e.NeverRan {
		e.Cause = "reset without an answer, with a part of the request's body unread: a worker may have run it"
	}
}

// bad is the error of an answer that is not valid.
func (x *exchange) bad(cause, cure string) *Error {
	return &Error{Stage: StageHead, Kind: KindBadAnswer, Addr: x.t.name, Cause: cause, Cure: cure}
}

// cut says why the response's body ends before its end.
func (x *exchange) cut(err error) *Error {
	e := &Error{Stage: StageBody, Addr: x.t.name, Err: err}
	switch {
	case err == nil:
		e.Err = io.ErrNoProgress
		e.Kind, e.Cause = KindCut, "nothing to be read"
	case x.foreign(e):
	case isTimeout(err):
		e.Kind, e.Cure = KindTimeout, cureSlow
		e.Cause = "nothing more of the response's body within " + seconds(x.t.responseTimeout)
	default:
		e.Kind, e.Cure = KindCut, cureLog
		e.Cause = "the response was cut in its body after " + seconds(time.Since(x.began))
		if err == io.EOF {
			e.Cause, e.Err = e.Cause+x.body.missing(), nil
		}
	}
	return e
}

// missing says how much of the body did not come.
func (b *Body) missing() string {
	switch b.framing {
	case frameLength:
		return fmt.Sprintf(": %d of %d bytes are missing", b.left, b.x.resp.ContentLength)
	case frameChunked:
		return ": the last chunk is missing"
	}
	return ""
}

func (x *exchange) badChunk(err error) *Error {
	return &Error{
		Stage: StageBody, Kind: KindCut, Addr: x.t.name, Cause: "the chunks of the response are not valid", Err: err,
		Cure: "the app sets Transfer-Encoding: chunked itself and does not keep to it",
	}
}

// bodyFailure is the error of a request whose body could not be read.
func (t *Transport) bodyFailure(stage Stage, err error, neverRan bool) *Error {
	return &Error{
		Stage: stage, Kind: KindBody, Addr: t.name, Err: err, NeverRan: neverRan,
		Cause: "the request's body could not be read to its end",
	}
}

// suspicious recognises an HTTP server that took the packet for a bad request.
// An app behind uWSGI sends no Connection, which WSGI forbids, and gunicorn's
// own answers to a packet are 500s.
func (x *exchange) suspicious(h *head) *Error {
	if h.status != 400 || !h.closing || h.gunicorn || x.t.spoke.Load() {
		return nil
	}
	e := x.bad("the member seems to speak HTTP, not uwsgi: it answered 400 to the packet", "give the address of a uwsgi socket: gunicorn needs --protocol uwsgi, uWSGI a socket (not http-socket)")
	if server, _ := h.fields.get("server"); server != "" {
		e.Cause += fmt.Sprintf(" (Server: %.40s)", strings.ToValidUTF8(server, "?"))
	}
	e.NeverRan = true
	return e
}
