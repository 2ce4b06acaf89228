package origin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// Why an exchange was ended from this side.
var (
	errGivenUp = errors.New("given up by the caller")
	errSilent  = errors.New("nothing more of the response came")
	errStalled = errors.New("the member takes nothing of the request")
)

// exchange is one request and its response on one connection. Response and Body
// lie in it, so that an exchange is one piece of memory.
type exchange struct {
	resp Response
	body Body

	t      *Transport
	req    *Request // until the response's head is in
	ctx    context.Context
	cancel context.CancelCauseFunc // ends the exchange below
	inner  context.Context         // what cancel ends
	link   *link
	send   *requestBody // nil without a body
	began  time.Time

	declined bool        // HTTP/2: the member does not want the stream
	released atomic.Bool // the connection is given up, by whoever set this
	watching func() bool // stops watching inner for send
}

func (t *Transport) newExchange(ctx context.Context, req *Request, l *link) *exchange {
	x := &exchange{t: t, req: req, ctx: ctx, link: l, began: time.Now()}
	x.inner, x.cancel = context.WithCancelCause(ctx)
	x.body.x = x
	x.body.waiting.Store(true)
	x.resp.Body = &x.body
	return x
}

// run sends the request and reads the response's head. After an error the
// connection is given up and body is not read any more.
func (x *exchange) run(out *http.Request, body io.Reader) (*Response, *Error) {
	ctx := x.inner
	var told *interims
	if x.req.Interim != nil {
		told = &interims{f: x.req.Interim, end: x.cancel}
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: told.add})
	}
	r := out.WithContext(ctx)
	if body != nil {
		x.send = newRequestBody(x, body)
		x.watching = context.AfterFunc(x.inner, x.send.interrupt)
		r.Body, r.ContentLength = x.send, x.req.ContentLength
	}
	if !x.t.http2 {
		x.link.conn.begin(x.send)
	}
	resp, err := x.link.cc.RoundTrip(r)
	if p := told.finish(); p != nil {
		x.abandon(resp)
		panic(p)
	}
	var e *Error
	if err != nil {
		e = x.noHead(err)
	} else {
		e = x.accept(resp)
	}
	if e != nil {
		x.abandon(resp)
		x.judgeRest(e)
		return nil, e
	}
	return &x.resp, nil
}

// judgeRest takes back that the request may be sent again where a part of its
// body is gone: the rest alone would be taken for all of it.
func (x *exchange) judgeRest(e *Error) {
	if x.touched() && x.req.Rewind == nil {
		e.NeverRan, e.full = false, false
	}
}

// abandon gives up an exchange that came to no response.
func (x *exchange) abandon(resp *http.Response) {
	x.drop()
	if x.send != nil {
		x.send.halt()
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
}

// drop ends the exchange and closes its connection, or stream, unless that is
// given up already.
func (x *exchange) drop() {
	if !x.released.CompareAndSwap(false, true) {
		return
	}
	x.cancel(errGivenUp)
	if x.t.http2 {
		x.t.shared.release(x.link.shared)
		return
	}
	x.link.close()
}

// release gives the connection up after a complete response: it is put aside if
// it can carry another request.
func (x *exchange) release() {
	if !x.released.CompareAndSwap(false, true) {
		return
	}
	l := x.link
	switch {
	case x.t.http2:
		x.t.shared.release(l.shared)
	case l.cc.Available() == 1 && !l.conn.broken() && (x.send == nil || x.send.whole()):
		l.conn.rest()
		x.t.idle.put(&link{conn: l.conn, cc: l.cc})
	default:
		l.close()
	}
	if x.watching != nil && x.send.over() {
		x.watching()
	}
	x.cancel(errGivenUp)
}

// touched reports whether the request's body has been read from.
func (x *exchange) touched() bool { return x.send != nil && x.send.touched() }

// again reports whether the request is to be sent once more, on another
// connection: the one that had been kept was closed, most likely while the
// request was on its way.
func (x *exchange) again(e *Error) bool {
	if !x.link.reused || x.declined || x.ctx.Err() != nil || e.Kind != KindNoAnswer && e.Kind != KindUnavailable {
		return false
	}
	stale := x.t.http2 || x.link.conn.progress().got == 0
	return e.NeverRan || stale && x.req.idempotent() && x.req.replayable()
}

// accept makes the final head the response.
func (x *exchange) accept(resp *http.Response) *Error {
	if cause, cure := fault(resp.Header); cause != "" {
		return x.bad(cause, cure)
	}
	x.resp.Status, x.resp.Header, x.resp.ContentLength = resp.StatusCode, resp.Header, resp.ContentLength
	declared := resp.Header["Content-Length"]
	upgrade := resp.Header["Upgrade"]
	forClient(resp.Header)
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		if e := x.upgrade(resp, upgrade); e != nil {
			return e
		}
	case resp.StatusCode < 200:
		return x.bad("the status of the response is "+strconv.Itoa(resp.StatusCode), "")
	case resp.StatusCode == http.StatusNoContent:
		x.resp.ContentLength = 0
		x.body.begin(resp.Body, 0)
	case resp.StatusCode == http.StatusNotModified:
		x.resp.ContentLength = length(declared)
		x.body.begin(resp.Body, 0)
	case x.req.Method == http.MethodHead:
		x.body.begin(resp.Body, 0)
	default:
		x.body.begin(resp.Body, resp.ContentLength)
	}
	x.t.spoke.Store(true)
	x.req = nil
	return nil
}

// length reads a Content-Length that package net/http has no use for.
func length(values []string) int64 {
	if len(values) != 1 {
		return -1
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}
