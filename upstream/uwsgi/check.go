package uwsgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// checkBytes is how much of a check's answer is read.
const checkBytes = 64 << 10

// CheckRequest is the request of a health check. The zero value asks for / of
// localhost.
type CheckRequest struct {
	Method string // "": GET
	Scheme string // "": http
	Host   string // with the port if it is not the usual one; "": localhost
	URI    string // path and query, as a client sends them; "": /
}

// Reach connects to the member, TLS included, and closes the connection again:
// nothing is sent and no app runs. uWSGI does not mind; gunicorn logs an error
// each time, so this is for a member that was away and not a check. It blocks until that is done, ctx ends or the
// connect timeout passes. The error is an *Error; that of a ctx whose deadline
// has passed is a timeout, and Away.
func (t *Transport) Reach(ctx context.Context) error {
	if e := t.ended(ctx); e != nil {
		return e
	}
	began := time.Now()
	c, e := t.dial(ctx)
	if e != nil {
		return overdue(ctx, e, began)
	}
	_ = c.Close()
	return nil
}

// Ping asks a worker for a sign of life, without running an app: a ping, for
// which uWSGI needs its ping plugin. It reports whether it was answered. Without
// an error it was not when the server is alive but cannot tell, which is uWSGI
// without the plugin, and gunicorn. The error is an *Error.
//
// It blocks until an answer is there, ctx ends or the response timeout passes: a
// worker that is busy answers when it has done its work.
func (t *Transport) Ping(ctx context.Context) (answered bool, err error) {
	if e := t.ended(ctx); e != nil {
		return false, e
	}
	began := time.Now()
	a, e := t.ping(ctx, t.responseTimeout)
	switch {
	case e != nil:
		return false, overdue(ctx, e, began)
	case a.dialect() != DialectAuto:
		return a.answered(), nil
	}
	return false, overdue(ctx, t.unclear(ctx, &a), began)
}

// unclear is the error of an answer to a ping that no uwsgi server gives.
func (t *Transport) unclear(ctx context.Context, a *echo) *Error {
	e := &Error{Stage: StageHead, Kind: KindNoAnswer, Addr: t.name, Err: a.err, NeverRan: true}
	switch {
	case ctx.Err() != nil:
		return canceled(e, ctx)
	case a.n > 0:
		e.Kind, e.Err = KindBadAnswer, nil
		e.Cause = fmt.Sprintf("the answer to a ping begins with %q, which is none", a.b[:a.n])
		e.Cure = "is it a uwsgi server that listens at this address?"
	case isTimeout(a.err):
		e.Kind, e.Cure = KindTimeout, cureSlow
		e.Cause = "no answer to a ping within " + seconds(t.responseTimeout)
	default:
		e.Cause, e.Cure = "a ping was not read by any worker", "the server was stopped or reloaded with requests in its listen queue"
	}
	return e
}

// Check asks the app with a small request and returns the status of its answer,
// of which at most 64 KiB are read; a body that is cut before that is an error.
// The app knows a check by X-Headgate-Check: 1, which a client can send too, and
// by headgate-check as the User-Agent. The error is an *Error.
//
// It blocks until that is done, ctx ends or a timeout of the transport passes.
func (t *Transport) Check(ctx context.Context, r CheckRequest) (status int, err error) {
	if e := t.ended(ctx); e != nil {
		return 0, e
	}
	began := time.Now()
	s := t.scratch()
	defer t.scratches.Put(s)
	resp, e := t.do(ctx, s, r.request())
	if e != nil {
		return 0, overdue(ctx, e, began)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, checkBytes); err != nil && err != io.EOF {
		if errors.As(err, &e) {
			return resp.Status, overdue(ctx, e, began)
		}
		return resp.Status, err
	}
	return resp.Status, nil
}

func (r CheckRequest) request() *Request {
	or := func(s, standard string) string {
		if s == "" {
			return standard
		}
		return s
	}
	req := &Request{
		Method: or(r.Method, http.MethodGet), Proto: "HTTP/1.1",
		Scheme: or(r.Scheme, "http"), Host: or(r.Host, "localhost"), URI: or(r.URI, "/"),
		Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0),
		Extra:  []Var{{"HTTP_USER_AGENT", "headgate-check"}, {"HTTP_X_HEADGATE_CHECK", "1"}},
	}
	req.ServerName, req.ServerPort = splitHost(req.Host, req.Scheme)
	req.PathInfo, req.Query, _ = strings.Cut(req.URI, "?")
	if path, err := url.PathUnescape(req.PathInfo); err == nil {
		req.PathInfo = path
	}
	return req
}

// overdue turns the error of a ctx whose deadline has passed into that of a
// member that took too long: the deadline of a check is the member's.
func overdue(ctx context.Context, e *Error, began time.Time) *Error {
	took := time.Since(began)
	if e.Kind != KindCanceled || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return e
	}
	e.Kind, e.Err, e.Cure = KindTimeout, ctx.Err(), cureSlow
	switch e.Stage {
	case StageDial:
		e.away = true
		e.Cause, e.Cure = "no connection within "+seconds(took), "is the host up, and the port open in its firewall?"
	case StageBody:
		e.Cause = "the answer was not complete within " + seconds(took)
	default:
		e.Cause = "no answer within " + seconds(took)
	}
	return e
}
