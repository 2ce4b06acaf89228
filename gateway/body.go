package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"headgate/upstream/uwsgi"
)

// requestBody is what has become of the body of one request.
type requestBody struct {
	spool  *uwsgi.Spool // nil: there is none, or it streams
	stream *clientBody  // nil: it does not stream
}

// unread reports that a body that streams has not come to its end.
func (b *requestBody) unread() bool { return b.stream != nil && !b.stream.ended.Load() }

// gone reports that a part of the body may have been sent and cannot be read again.
func (b *requestBody) gone() bool { return b.stream != nil && b.stream.touched.Load() }

func (b *requestBody) close() {
	if b.spool != nil {
		b.spool.Close()
	}
}

// takeBody makes the body ready to be sent: whole, with its length known, unless
// the route streams and the client has told the length.
func (x *exchange) takeBody() *failure {
	r, limit := x.r, x.route.bodyLimit
	switch {
	case r.ContentLength == 0 && r.Header["Content-Length"] != nil: // an empty body is not the same as none
		x.req.Body = http.NoBody
		x.req.Rewind = func() (io.Reader, error) { return http.NoBody, nil }
		return nil
	case r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0:
		return nil
	case limit > 0 && r.ContentLength > limit:
		return bodyTooLarge(fmt.Sprintf("the body has %d bytes; the limit is %d", r.ContentLength, limit))
	}
	in := &clientBody{x: x}
	if x.route.stream && r.ContentLength > 0 {
		x.body.stream = in
		x.req.Body, x.req.ContentLength = in, r.ContentLength
		x.req.StopBody = in.stop
		x.rc.EnableFullDuplex() // HTTP/1.1 only: net/http would take the rest of the body before the answer's first byte
		return nil
	}
	s, err := x.route.spooler.Read(in, r.ContentLength)
	if err != nil {
		return x.bodyFailure(err)
	}
	x.rc.SetReadDeadline(time.Time{})
	x.body.spool = s
	if s.Len() == 0 && r.ProtoMajor > 1 { // an h3 stream tells only by its end that there is no body
		return nil
	}
	x.req.ContentLength = s.Len()
	x.req.Body = s.NewReader()
	x.req.Rewind = func() (io.Reader, error) { return s.NewReader(), nil }
	return nil
}

func bodyTooLarge(cause string) *failure {
	return &failure{
		status: http.StatusRequestEntityTooLarge, kind: "body_bytes", close: true,
		cause: cause, cure: "send less, or raise limits.body",
	}
}

// bodyFailure says whose fault it was that the body did not arrive.
func (x *exchange) bodyFailure(err error) *failure {
	var spool *uwsgi.SpoolError
	switch {
	case errors.Is(err, uwsgi.ErrBodyTooLarge):
		return bodyTooLarge(fmt.Sprintf("the body is longer than the limit of %d bytes", x.route.bodyLimit))
	case errors.As(err, &spool) && spool.Op != uwsgi.SpoolRead:
		return &failure{
			status: http.StatusServiceUnavailable, kind: "spool", retryAfter: 10, close: true,
			cause: "the body of the request could not be stored: " + spool.Err.Error(), cure: spool.Cure,
		}
	case isTimeout(err):
		return &failure{
			status: http.StatusRequestTimeout, kind: "body_timeout", close: true,
			cause: fmt.Sprintf("nothing of the body came for %s", x.route.bodyIdle),
			cure:  "send faster, or raise limits.body_idle_timeout",
		}
	case x.r.Context().Err() != nil:
		return &failure{status: statusClientGone, kind: "canceled", cause: "the client went away", close: true}
	}
	return &failure{status: http.StatusBadRequest, kind: "body", close: true, cause: "the body is not valid: " + err.Error(), err: err}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// clientBody reads the body of a request, counts it, and gives the client the
// configured time for each piece.
type clientBody struct {
	x       *exchange
	touched atomic.Bool // it has been read from
	stopped atomic.Bool
	ended   atomic.Bool // every byte has been read
}

// stop makes a Read that waits return: the worker wants no more of the body.
func (b *clientBody) stop() {
	b.stopped.Store(true)
	b.x.rc.SetReadDeadline(past)
}

// limitDrain bounds how long net/http waits for a body that nobody has read: it
// takes in the rest of a short one, before the answer or behind it.
func (x *exchange) limitDrain() {
	r := x.r
	if r.ProtoMajor != 1 || r.ContentLength == 0 || x.body.spool != nil || x.req.Body != nil {
		return
	}
	if r.Header["Expect"] != nil && x.entry.BytesIn == 0 {
		x.rc.SetReadDeadline(past) // the client was not told to send it
		return
	}
	x.rc.SetReadDeadline(time.Now().Add(drainTime))
}

// endStream bounds how long net/http waits for the rest of a body that streamed,
// behind the answer. The worker's side does not read it any more.
func (x *exchange) endStream() {
	if x.r.ProtoMajor == 1 && x.body.unread() {
		x.rc.SetReadDeadline(time.Now().Add(drainTime))
	}
}

// drainTime is how long a client that gets its answer may go on with its body.
const drainTime = 5 * time.Second

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	x := b.x
	b.touched.Store(true)
	if t := x.route.bodyIdle; t > 0 {
		x.rc.SetReadDeadline(time.Now().Add(t)) // without it the read only waits for the client to go
		if b.stopped.Load() {
			x.rc.SetReadDeadline(past)
		}
	}
	n, err := x.r.Body.Read(p)
	x.entry.BytesIn += int64(n)
	if err == io.EOF {
		b.ended.Store(true)
		x.rc.SetReadDeadline(time.Time{}) // what is read from here on only tells that the client has gone
	}
	return n, err
}
