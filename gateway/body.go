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
	"syscall"

	"headgate/upstream/uwsgi"
)

// requestBody is what has become of the body of one request.
type requestBody struct {
	taken  bool
	spool  *uwsgi.Spool // nil: there is none, or it streams
	shared *bodyShare   // nil: nobody else reads the spool
	stream *clientBody  // nil: it does not stream
}

// bodyShare closes a spool after its last reader.
type bodyShare struct{ readers atomic.Int32 }

// share lets somebody else read the spool too, until they call the function.
func (b *requestBody) share() (release func()) {
	spool := b.spool
	if b.shared == nil {
		b.shared = &bodyShare{}
		b.shared.readers.Store(1)
	}
	s := b.shared
	s.readers.Add(1)
	return func() {
		if s.readers.Add(-1) == 0 {
			spool.Close()
		}
	}
}

// gone reports that a part of the body may have been sent and cannot be read again.
func (b *requestBody) gone() bool { return b.stream != nil && b.stream.touched.Load() }

func (b *requestBody) close() {
	if b.spool != nil && (b.shared == nil || b.shared.readers.Add(-1) == 0) {
		b.spool.Close()
	}
}

// dropBody makes a request be one without a body.
func (x *exchange) dropBody() {
	x.body.close()
	x.body = requestBody{taken: true}
	x.req.Body, x.req.Rewind, x.req.StopBody, x.req.ContentLength = nil, nil, nil, 0
}

// takeBody makes the body ready to be sent: whole, with its length known, unless
// the route streams and the client has told the length. It may be called again.
func (x *exchange) takeBody() *failure {
	if x.body.taken {
		return nil
	}
	x.body.taken = true
	r, limit := x.r, x.route.bodyLimit
	switch {
	case r.ContentLength == 0 && r.Fields.Has("Content-Length"): // an empty body is not the same as none
		x.req.Body = http.NoBody
		x.req.Rewind = func() (io.Reader, error) { return http.NoBody, nil }
		return nil
	case r.ContentLength == 0:
		return nil
	case limit > 0 && r.ContentLength > limit:
		return bodyTooLarge(fmt.Sprintf("the body has %d bytes; the limit is %d", r.ContentLength, limit))
	}
	in := &clientBody{x: x}
	x.s.SetReadTimeout(x.route.bodyIdle)
	if x.route.stream && r.ContentLength > 0 {
		x.body.stream = in
		x.req.Body, x.req.ContentLength = in, r.ContentLength
		x.req.StopBody = x.s.StopRead
		return nil
	}
	s, err := x.route.spooler.Read(in, r.ContentLength)
	if err != nil {
		return x.bodyFailure(err)
	}
	x.body.spool = s
	if s.Len() == 0 && r.Major > 1 { // an h3 stream tells only by its end that there is no body
		return nil
	}
	x.req.ContentLength = s.Len()
	x.req.Body = s.NewReader()
	x.req.Rewind = func() (io.Reader, error) { return s.NewReader(), nil }
	return nil
}

// bodyless reports whether the request has no body. Of a GET over HTTP/3 that may be
// known only when its stream ends, which is waited for.
func (x *exchange) bodyless() (bool, *failure) {
	switch m := x.r.Method; {
	case x.r.ContentLength >= 0:
		return x.r.ContentLength == 0, nil
	case m != http.MethodGet && m != http.MethodHead && m != http.MethodOptions:
		return false, nil
	}
	if f := x.takeBody(); f != nil {
		return false, f
	}
	if x.body.spool == nil || x.body.spool.Len() > 0 {
		return false, nil
	}
	x.ownRequest().ContentLength = 0
	return true, nil
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
	case x.context().Err() != nil, isGone(err):
		return &failure{status: statusClientGone, kind: "canceled", cause: "the client went away", close: true}
	}
	return &failure{status: http.StatusBadRequest, kind: "body", close: true, cause: "the body is not valid: " + err.Error(), err: err}
}

// isGone reports whether a body ends because its client does.
func isGone(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// clientBody reads the body of a request and counts it.
type clientBody struct {
	x       *exchange
	touched atomic.Bool // it has been read from
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	b.touched.Store(true)
	n, err := b.x.s.Read(p)
	b.x.entry.BytesIn += int64(n)
	return n, err
}
