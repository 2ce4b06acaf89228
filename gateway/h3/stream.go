package h3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"headgate/gateway/wire"
)

// stream is one request and its answer. It is recycled.
type stream struct {
	c       *conn
	q       *quic.Stream
	req     wire.Request
	extra   headExtra
	in      input
	decoder decoder
	body    body
	answer  answer

	before, after *stream      // guarded by conn.mu
	awaited       atomic.Int64 // since when its head is awaited, of the server's clock; 0: it is there
	aborted       atomic.Bool

	mu   sync.Mutex // guards the fields below
	life *lifetime  // nil until somebody asks
	over bool       // it has ended, also if nobody has asked yet
}

var _ wire.Stream = (*stream)(nil)

func (s *Server) getStream(c *conn, q *quic.Stream) *stream {
	x, _ := s.streams.Get().(*stream)
	if x == nil {
		x = new(stream)
	}
	x.c, x.q = c, q
	x.in.reset(q)
	x.awaited.Store(c.s.clock.Load())
	return x
}

// putStream takes x back: what it keeps is memory, and nothing that it says.
func (s *Server) putStream(x *stream) {
	x.c, x.q, x.life, x.over, x.before, x.after = nil, nil, nil, false, nil, nil
	x.req, x.extra = wire.Request{}, headExtra{}
	x.in.r = nil
	x.decoder.forget()
	x.body.forget()
	x.answer.forget()
	x.aborted.Store(false)
	s.streams.Put(x)
}

// Run reads the request and answers it.
func (x *stream) Run() {
	err := x.readHead()
	x.awaited.Store(0)
	if err == nil {
		x.serve()
		err = x.whole()
	}
	if err != nil {
		x.giveUp(err)
		return
	}
	x.c.finish(x)
}

// serve lets the handler answer.
func (x *stream) serve() {
	defer func() {
		x.endLife()
		if p := recover(); p != nil {
			x.c.s.log.Error("panic while serving", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			x.Abort()
		}
	}()
	x.c.h.Serve(x, &x.req)
}

// giveUp ends the stream, or the connection, for what has gone wrong.
func (x *stream) giveUp(err error) {
	x.blame(err)
	x.release()
}

func (x *stream) blame(err error) {
	var fault *connError
	var bad malformed
	why := codeInternal
	switch {
	case errors.As(err, &fault):
		x.c.fail(fault)
		return
	case errors.As(err, &bad):
		x.c.s.log.Debug("malformed HTTP/3 request", "client", x.c.q.RemoteAddr(), "err", err)
		why = codeMessage
	case errors.Is(err, errNoHead):
		why = codeRequestIncomplete
	case errors.Is(err, os.ErrDeadlineExceeded):
		why = codeRequestCancelled
	}
	x.reset(why)
}

// release is the end of x: the client may begin another request in its place.
func (x *stream) release() {
	x.q.ReleaseStreamCredit()
	x.c.end(x)
}

func (x *stream) reset(why code) {
	x.q.CancelRead(quic.StreamErrorCode(why))
	x.q.CancelWrite(quic.StreamErrorCode(why))
}

// errNoHead is the error of a stream that ends or is reset before its request is there.
var errNoHead = errors.New("no request")

// readHead reads the request. One that can be refused with an answer is no error.
func (x *stream) readHead() error {
	for {
		kind, length, err := x.in.frame()
		switch {
		case err == io.ErrUnexpectedEOF:
			return &connError{codeFrame, "a stream ends inside a frame"}
		case err != nil:
			return errNoHead
		case kind == frameHeaders:
			return x.readBlock(length)
		case kind == frameData || onlyOnControl(kind):
			return &connError{codeFrameUnexpected, "a stream does not begin with the head of a request"}
		}
		if err := x.in.skip(length); err == io.EOF {
			return &connError{codeFrame, "a stream ends inside a frame"}
		} else if err != nil {
			return errNoHead
		}
	}
}

// readBlock reads the header.
func (x *stream) readBlock(length uint64) error {
	set := x.c.s.settings.Load()
	if length > uint64(set.HeadBytes) {
		x.refuse(headTooLong(set.HeadBytes))
		return nil
	}
	block, err := x.in.take(int(length))
	if err == io.EOF {
		return &connError{codeFrame, "a stream ends inside a frame"}
	} else if err != nil {
		return errNoHead
	}
	fields, err := x.decoder.decode(block, set.HeadBytes, set.Fields)
	switch err {
	case nil:
	case errHeadBytes:
		x.refuse(headTooLong(set.HeadBytes))
		return nil
	case errFields:
		x.refuse(tooManyFields(set.Fields))
		return nil
	case errBlock:
		return &connError{codeDecompression, err.Error()}
	default:
		return err
	}
	if x.extra, err = fill(&x.req, fields); err != nil {
		return err
	}
	if x.extra.hasWish || x.c.wishes.Load() {
		x.prioritize()
	}
	x.body.begin(x)
	return nil
}

// prioritize sets the priority of the answer. A client that has never wished
// anything gets a part of all its answers at once, as it does over HTTP/2.
func (x *stream) prioritize() {
	if x.extra.hasWish {
		x.c.wishes.Store(true)
	}
	x.q.SetPriority(parsePriority(x.extra.priority))
}

// refuse makes the request one that is only refused, whose body is not read.
func (x *stream) refuse(r *wire.Refusal) {
	x.req = wire.Request{Major: 3, Refusal: r}
	x.body.err = errNoBody
	x.q.CancelRead(quic.StreamErrorCode(codeExcessiveLoad))
}

var errNoBody = errors.New("h3: the body of a request that is refused")

// Abort implements wire.Stream.
func (x *stream) Abort() {
	x.aborted.Store(true)
	x.reset(codeInternal)
}

// CloseAfter implements wire.Stream: a connection has many requests at once.
func (x *stream) CloseAfter() {}

// Hijack implements wire.Stream.
func (x *stream) Hijack() (net.Conn, []byte, error) { return nil, nil, wire.ErrNoHijack }

// Context implements wire.Stream.
func (x *stream) Context() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.life == nil {
		x.life = newLifetime(x.q.Context())
		if x.over {
			x.life.end()
		}
	}
	return x.life
}

// endLife ends the context.
func (x *stream) endLife() {
	x.mu.Lock()
	x.over = true
	l := x.life
	x.mu.Unlock()
	if l != nil {
		l.end()
	}
}
