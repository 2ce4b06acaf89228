package uwsgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxInterim bounds the 1xx responses before the final one.
const maxInterim = 16

// exchange is one request and its response on one connection. Response and Body
// lie in it, so that an exchange is one piece of memory.
type exchange struct {
	resp Response
	body Body

	t    *Transport
	ctx  context.Context // asked why it ended
	conn *conn
	in   inflow
	head head
	send *sender // nil when the whole body is sent before the response is waited for

	mu       sync.Mutex  // guards the fields below
	watched  bool        // the end of ctx interrupts conn
	unwatch  func() bool // nil if ctx never ends
	released bool        // conn is closed or put aside, by whoever set this

	next, prev *exchange // in the transport's flights
	listed     bool      // likewise
	known      bool      // a worker has read the variables, and what it has not read meanwhile says nothing

	began     time.Time
	packet    int   // its size
	got       int64 // bytes of the answer
	waited    bool  // a read of the answer had to wait: from then on the poller is asked
	keepAlive bool  // the member keeps the connection open
	ahead     bool  // the request's body may have been read from, and not by send alone
	writeErr  error // of the first write, or of what is sent without send
	cutPacket bool  // not even the variables went out whole
	refused   bool  // reset without an answer, see refusal
	ended     bool  // EOF without an answer

	inRead   atomic.Bool  // the caller waits for the response; kept only while send runs
	lastRead atomic.Int64 // when bytes of it came last, in ns
}

func (t *Transport) newExchange(ctx context.Context, c *conn) *exchange {
	x := &exchange{t: t, ctx: ctx, conn: c, began: time.Now()}
	x.body.x = x
	x.resp.Body = &x.body
	if c.file == nil {
		x.watch() // nobody tells when a read or a write has to wait
	}
	return x
}

// touched reports whether the request's body may have been read from. It does not
// change any more once the exchange was abandoned.
func (x *exchange) touched() bool { return x.ahead || x.send != nil && x.send.touched() }

// run sends the request and reads the response's head. After an error the
// connection is closed and body is not read any more.
func (x *exchange) run(req *Request, packet []byte, body io.Reader) (*Response, *Error) {
	e := x.write(req, packet, body)
	if e == nil {
		e = x.readResponse(req)
	}
	if e != nil {
		x.abandon()
		return nil, e
	}
	return &x.resp, nil
}

// abandon gives up an exchange that came to no response.
func (x *exchange) abandon() {
	x.drop()
	if x.send != nil {
		x.send.halt()
	}
	x.t.buffers.putIn(&x.in)
}

// drop closes the connection unless it is given up already.
func (x *exchange) drop() {
	if _, first := x.giveUp(); first {
		x.land()
		_ = x.conn.Close()
	}
}

// fly says that the member has been given the request.
func (x *exchange) fly() {
	if x.t.watch {
		x.t.flights.add(x)
	}
}

// land says that the member is done with it, or nobody waits for that any more.
func (x *exchange) land() {
	if x.t.watch {
		x.t.flights.remove(x)
	}
}

// know says that a worker has read the variables.
func (x *exchange) know() {
	if x.t.watch {
		x.t.flights.know(x)
	}
}

// watch makes the end of the context interrupt the connection. It is called before
// something waits: who asks for the end of a context makes it costly.
func (x *exchange) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watched || x.released {
		return
	}
	x.watched = true
	x.unwatch = afterFunc(x.ctx, x.conn.interrupt)
}

// afterFunc is context.AfterFunc, but straight to a context that can do it itself,
// and nil for one that never ends.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	if ctx == context.Background() {
		return nil
	}
	if c, ok := ctx.(interface{ AfterFunc(f func()) func() bool }); ok {
		return c.AfterFunc(f)
	}
	if ctx.Done() == nil {
		return nil
	}
	return context.AfterFunc(ctx, f)
}

// giveUp stops watching the context. Who is the first has the connection, which
// is alive if it has not been interrupted.
func (x *exchange) giveUp() (alive, first bool) {
	x.mu.Lock()
	first, x.released = !x.released, true
	unwatch := x.unwatch
	x.unwatch = nil
	x.mu.Unlock()
	return unwatch == nil || unwatch(), first
}

// release gives the connection up after a complete response: it is put aside if
// it can carry another request, and closed otherwise. excess says that the
// member sent more than its response.
func (x *exchange) release(excess bool) {
	alive, first := x.giveUp()
	if !first {
		return
	}
	x.land()
	if alive && !excess && x.reusable() {
		x.t.idle.put(x.conn)
		return
	}
	_ = x.conn.Close()
}

// reusable reports whether both sides agree on where the next request begins.
func (x *exchange) reusable() bool {
	return x.keepAlive && x.writeErr == nil && (x.send == nil || x.send.over() && x.send.whole.Load())
}

// moving reports whether the member's answer makes progress, or it is not the
// member's fault that it does not. The sender asks.
func (x *exchange) moving() bool {
	return !x.inRead.Load() || time.Since(time.Unix(0, x.lastRead.Load())) < x.t.responseTimeout
}

// read reads once from the connection.
func (x *exchange) read(p []byte) (int, error) {
	if x.send != nil {
		x.inRead.Store(true)
		defer func() {
			x.lastRead.Store(time.Now().UnixNano())
			x.inRead.Store(false)
		}()
	}
	n, err := x.receive(p)
	x.got += int64(n)
	if err == io.EOF && x.wasReset() {
		err = syscall.ECONNRESET
	}
	return n, err
}

// wasReset reports whether EOF stands for a reset: the kernel tells of it only
// once, and that may have been to a write.
func (x *exchange) wasReset() bool {
	return errors.Is(x.writeErr, syscall.ECONNRESET) || x.send != nil && x.send.sawReset()
}

// receive lets other goroutines run, which under load is time enough for the
// answer to come, and waits only if it has not.
func (x *exchange) receive(p []byte) (int, error) {
	if x.ctx.Err() != nil {
		x.conn.interrupt()
	}
	f := x.conn.file
	if f == nil {
		return x.conn.Read(p)
	}
	if !x.waited {
		if n, err := f.readNow(p); n > 0 || err != nil {
			return n, err
		}
		x.watch()
		if x.send != nil { // it says from when on the answer's time counts
			x.waited = true
			return f.readWaiting(p)
		}
		for f.await(&x.t.poller) {
			if n, err := f.readNow(p); n > 0 || err != nil {
				return n, err
			}
		}
		x.waited = true // from now on the file is asked; it knows why the wait has ended
	}
	return f.readWaiting(p)
}

// transmit writes all of p, and waits only if the kernel does not take it.
func (x *exchange) transmit(p []byte) (int, error) {
	f := x.conn.file
	if f == nil {
		return x.conn.Write(p)
	}
	n, err := f.writeNow(p)
	if err != nil || n == len(p) {
		return n, err
	}
	x.watch()
	m, err := f.writeWaiting(p[n:])
	return n + m, err
}

// yield lets others run before a read: under load the answer is there afterwards.
func (x *exchange) yield() {
	if x.conn.file != nil && !x.waited {
		runtime.Gosched()
	}
}

// fill reads once, behind what is in memory. That is taken as late as can be: few
// exchanges have it at a time, and find it in the processor's cache.
func (x *exchange) fill() (int, error) {
	x.yield()
	if x.in.buf == nil {
		x.in.buf = x.t.buffers.takeIn()
	}
	n, err := x.read(x.in.space())
	x.in.w += n
	return n, err
}

// readResponse reads heads up to the final one.
func (x *exchange) readResponse(req *Request) *Error {
	for range maxInterim + 1 {
		if e := x.readHead(); e != nil {
			return e
		}
		h := &x.head
		if !h.interim() {
			return x.accept(req, h)
		}
		if req.Interim != nil {
			req.Interim(h.status, h.fields)
		}
	}
	return x.bad(fmt.Sprintf("more than %d interim responses", maxInterim), "")
}

func (x *exchange) readHead() *Error {
	for scanned := 0; ; {
		b := x.in.bytes()
		if len(b) > 0 && !bytes.HasPrefix(b, []byte("HTTP/")) {
			if cause, cure := notHTTP(b); cause != "" {
				return x.bad(cause, cure)
			}
		}
		end := headEnd(b, scanned)
		switch {
		case end > maxHeadBytes, end < 0 && len(b) > maxHeadBytes:
			return x.bad(fmt.Sprintf("the response's head is larger than %d KiB", maxHeadBytes>>10), "the app sends too many or too long headers")
		case end >= 0:
			fields, err := x.head.parse(b[:end], x.in.buf.fields)
			x.in.buf.fields = fields
			if err != nil {
				return x.bad(err.Error(), "")
			}
			x.in.r += end
			return nil
		}
		scanned = len(b)
		if _, err := x.fill(); err != nil {
			return x.noHead(err)
		}
	}
}

// accept makes the final head the response.
func (x *exchange) accept(req *Request, h *head) *Error {
	if e := x.suspicious(h); e != nil {
		return e
	}
	x.t.learn(h, x.packet-HeaderBytes)
	x.keepAlive = h.keepAlive && x.t.Dialect() == DialectGunicorn
	x.resp.Status, x.resp.Reason, x.resp.Fields, x.resp.ContentLength = h.status, h.reason, h.fields, h.length
	switch {
	case h.status == http.StatusSwitchingProtocols:
		return x.upgrade(req)
	case h.bodyless() || req.Method == http.MethodHead:
		if h.status == http.StatusNoContent {
			x.resp.ContentLength = 0
		}
		x.body.begin(frameNone, 0)
	case h.chunked:
		x.body.begin(frameChunked, 0)
	case h.length >= 0:
		x.body.begin(frameLength, h.length)
	default:
		x.body.begin(frameEOF, 0)
	}
	return nil
}

// upgrade makes the connection the caller's.
func (x *exchange) upgrade(req *Request) *Error {
	if req.Upgrade == "" {
		return x.bad("the member switched protocols without being asked to", "")
	}
	if x.send != nil {
		return x.bad("the member switched protocols in the middle of the request's body", "")
	}
	if alive, first := x.giveUp(); !first || !alive {
		x.land()
		_ = x.conn.Close()
		return canceled(&Error{Stage: StageHead, Addr: x.t.name}, x.ctx)
	}
	x.know() // it is busy until it is closed
	x.conn.arm(0)
	x.resp.ContentLength = 0
	x.resp.Conn = &upgraded{Conn: x.conn.Conn, x: x, early: bytes.Clone(x.in.bytes())}
	x.in.r = x.in.w
	x.body.begin(frameNone, 0)
	return nil
}
