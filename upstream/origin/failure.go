package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Cures that more than one failure has.
const (
	cureLog      = "the member's log says more"
	cureSlow     = "look for what the app waits for, or raise response_timeout"
	cureUWSGI    = "a server that speaks uwsgi also looks like this: write protocol: uwsgi"
	cureProtocol = "is it an HTTP server that listens at this address?"
	cureReset    = "the server was stopped or reloaded with connections that it had not accepted"
)

// noHead says why no complete head came.
func (x *exchange) noHead(err error) *Error {
	e := &Error{Stage: StageHead, Addr: x.t.name, Err: err}
	switch {
	case x.foreign(e), x.late(e), x.stranger(e):
	case errors.Is(err, errInterims):
		return x.bad(errInterims.Error(), "")
	case x.t.http2:
		x.noHeadHTTP2(e)
	default:
		x.noHeadHTTP1(e)
	}
	if e.Err == io.EOF {
		e.Err = nil
	}
	return e
}

// foreign fills e if the exchange ended by another's fault than the member's.
func (x *exchange) foreign(e *Error) bool {
	if x.send != nil {
		if err := x.send.failure(); err != nil {
			*e = *x.t.bodyFailure(e.Stage, err, false)
			return true
		}
	}
	switch {
	case x.ctx.Err() == nil:
	case x.send == nil || !x.send.stoppedFirst():
		canceled(e, x.ctx)
		return true
	case errors.Is(e.Err, context.Canceled): // which StopBody may do, of a client that is still there
		if err := x.link.conn.progress().readErr; err != nil {
			e.Err = err
		}
	}
	if context.Cause(x.inner) == errGivenUp {
		e.Kind, e.Cause, e.Err = KindCanceled, errGivenUp.Error(), context.Canceled
		return true
	}
	return false
}

// late fills e if time ran out.
func (x *exchange) late(e *Error) bool {
	p := x.link.conn.progress()
	limit := seconds(x.t.responseTimeout)
	switch {
	case context.Cause(x.inner) == errStalled, isTimeout(p.writeErr):
		e.Stage, e.Cause = StageSend, "the member took nothing of the request for "+limit
	case !isTimeout(e.Err) && !isTimeout(p.readErr):
		return false
	case !x.t.http2 && p.got > 0:
		e.Cause = "the response's head was not complete within " + limit
	default:
		e.Cause = "no answer within " + limit
	}
	e.Kind, e.Cure = KindTimeout, cureSlow
	x.suspect(e)
	return true
}

// suspect adds to e what a member that never spoke HTTP may be.
func (x *exchange) suspect(e *Error) {
	if !x.t.spoke.Load() && x.link.conn.greeting() == "" {
		e.Cure += "; " + cureUWSGI
	}
}

// stranger fills e if the member speaks another protocol. Such a one has run
// nothing.
func (x *exchange) stranger(e *Error) bool {
	cause, cure := strange(x.link.conn.greeting(), x.t.http2)
	if cause == "" {
		return false
	}
	e.Kind, e.Cause, e.Cure, e.NeverRan = KindBadAnswer, cause, cure, true
	return true
}

// strange returns what speaks against a member that began like that.
func strange(begin string, http2 bool) (cause, cure string) {
	switch {
	case begin == "":
	case strings.HasPrefix(begin, "HTTP/"):
		if http2 {
			return "the member speaks HTTP/1.1, not HTTP/2 by prior knowledge", "write protocol: http"
		}
	case len(begin) >= 9 && begin[0] == 0 && begin[3] == 4 && begin[5:9] == "\x00\x00\x00\x00": // SETTINGS (RFC 9113, 6.5)
		if !http2 {
			return "the member speaks HTTP/2 by prior knowledge", "write protocol: h2c"
		}
	case len(begin) >= 2 && (begin[0] == 0x15 || begin[0] == 0x16) && begin[1] == 3:
		return "the member speaks TLS", "give it an address without TLS"
	case strings.HasPrefix(begin, "SSH-"):
		return "the member is an SSH server", "check the address"
	case strings.HasPrefix("HTTP/", begin): // and nothing more came
	default:
		line, _, _ := strings.Cut(begin, "\n")
		return "the answer begins with " + short(line) + ", which is not HTTP", cureProtocol
	}
	return "", ""
}

// noHeadHTTP1 fills e by how far the exchange has come on its connection.
func (x *exchange) noHeadHTTP1(e *Error) {
	p := x.link.conn.progress()
	after := seconds(time.Since(x.began))
	ended := p.readErr != nil && !errors.Is(p.readErr, net.ErrClosed)
	e.Kind, e.Cure = KindNoAnswer, cureLog
	e.NeverRan = p.got == 0 && (p.sent == 0 || p.unread)
	switch {
	case p.got >= maxHeadBytes:
		*e = *x.bad(causeLargeHead, cureLargeHead)
	case p.got > 0 && !ended:
		e.Kind, e.Cause, e.Cure = KindBadAnswer, "the head of the response is not valid", ""
	case p.got > 0:
		e.Cause = fmt.Sprintf("cut in the middle of the response's head, after %d bytes and %s", p.got, after)
	case p.sent == 0 && !ended && p.writeErr == nil:
		e.Stage, e.Kind, e.Cause, e.Cure = StageEncode, KindBadRequest, "the request cannot be written", ""
	case p.sent == 0:
		e.Stage, e.Cause, e.Cure = StageSend, "the connection was closed before the request was sent", cureReset
		x.suspect(e)
	case isReset(p.readErr), isReset(p.writeErr):
		e.Cause, e.Cure = "reset without an answer", cureReset
		if p.unread {
			e.Cause += ": the request was not read by any worker"
		}
		x.suspect(e)
	default:
		e.Cause = "closed without an answer after " + after + " (a timeout of its own, a crash, or an exception before the first byte?)"
		if p.unread {
			e.Cause, e.Cure = "the connection was closed while the request was on its way", cureReset
		}
		x.suspect(e)
	}
}

const (
	causeLargeHead = "the response's head is larger than 64 KiB"
	cureLargeHead  = "the app sends too many or too long headers"
)

// bad is the error of an answer that is not valid.
func (x *exchange) bad(cause, cure string) *Error {
	return &Error{Stage: StageHead, Kind: KindBadAnswer, Addr: x.t.name, Cause: cause, Cure: cure}
}

// cut says why the response's body ends before its end, of which left bytes are
// missing, or an unknown number.
func (x *exchange) cut(err error, left int64) *Error {
	e := &Error{Stage: StageBody, Addr: x.t.name, Err: err}
	switch {
	case x.foreign(e):
	case context.Cause(x.inner) == errSilent:
		e.Kind, e.Cure, e.Err = KindTimeout, cureSlow, nil
		e.Cause = "nothing more of the response's body within " + seconds(x.t.responseTimeout)
	case x.late(e):
	case !x.t.http2 && x.link.conn.progress().readErr == nil:
		e.Kind, e.Cause = KindCut, "the chunks of the response are not valid"
	default:
		e.Kind, e.Cure = KindCut, cureLog
		e.Cause = "the response was cut in its body after " + seconds(time.Since(x.began))
		switch {
		case left > 0:
			e.Cause += fmt.Sprintf(": %d of %d bytes are missing", left, x.resp.ContentLength)
		case !x.t.http2:
			e.Cause += ": the last chunk is missing"
		}
		if err == io.ErrUnexpectedEOF {
			e.Err = nil
		}
	}
	return e
}

// bodyFailure is the error of a request whose body could not be read.
func (t *Transport) bodyFailure(stage Stage, err error, neverRan bool) *Error {
	return &Error{
		Stage: stage, Kind: KindBody, Addr: t.name, Err: err, NeverRan: neverRan,
		Cause: "the request's body could not be read to its end",
	}
}

// canceled turns e into the error of a caller who went away.
func canceled(e *Error, ctx context.Context) *Error {
	e.Kind, e.Cause, e.Cure, e.Err = KindCanceled, errGivenUp.Error(), "", context.Cause(ctx)
	return e
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &ne) && ne.Timeout()
}

// isReset reports that the peer closed without reading what we sent.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// seconds writes a time the way people say it.
func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// short quotes the beginning of what somebody else has said.
func short(s string) string { return fmt.Sprintf("%.40q", s) }
