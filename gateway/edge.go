package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"headgate/gateway/wire"
	"headgate/upstream/uwsgi"
)

// edge is the last stop of an answer before the client, behind all filters. What it
// counts is what the client gets. A filter may use it from another goroutine than
// that of the exchange, but one at a time does.
type edge struct {
	x      *exchange
	status int // of the answer; 0: it has not begun
	sent   int64
	err    error       // why the client takes no more
	adds   wire.Fields // by filters, to whatever the answer is
}

// answers are made of parts that filters add to after the app.
const spareFields = 8

// WriteHead implements wire.Answer. It adds what only the connection knows.
func (e *edge) WriteHead(status int, f wire.Fields, length int64) {
	x := e.x
	if e.status != 0 {
		return
	}
	if a := x.answering; a != nil { // behind the filters: a cache keeps what the target has said
		status, f = a.merge(status, f)
	}
	e.status = status
	f = append(f, e.adds...)
	if x.d.secure && x.gen.h3 && x.r.Major < 3 && !f.Has("Alt-Svc") {
		f = append(f, wire.Field{Name: "Alt-Svc", Value: x.d.alt.header(x.host)})
	}
	if x.r.Major == 1 && (x.d.leaving.Load() || x.d.g.draining.Load()) {
		x.s.CloseAfter()
	}
	x.s.WriteHead(status, f, length)
}

// Write implements wire.Answer.
func (e *edge) Write(p []byte) (int, error) {
	n, err := e.x.s.Write(p)
	e.sent += int64(n)
	if err != nil {
		e.err = err
	}
	return n, err
}

// Flush implements wire.Answer.
func (e *edge) Flush() error {
	err := e.x.s.Flush()
	if err != nil {
		e.err = err
	}
	return err
}

// SendFile implements wire.FileSender. Where the engine has no better way, the file
// goes through memory.
func (e *edge) SendFile(f *os.File, offset, n int64) (sent int64, err error) {
	if s, ok := e.x.s.(wire.FileSender); ok {
		sent, err = s.SendFile(f, offset, n)
		e.sent += sent
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // else it is the file's
			e.err = err
		}
		return sent, err
	}
	return copyFile(e, f, offset, n, &e.x.d.g.buffers)
}

// copyFile writes a part of a file to w. A file that has become shorter is an error.
func copyFile(w io.Writer, f *os.File, offset, n int64, from *buffers) (sent int64, err error) {
	buf := from.get()
	defer from.put(buf)
	for sent < n {
		p := buf[:min(int64(len(buf)), n-sent)]
		m, err := f.ReadAt(p, offset+sent)
		if m == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return sent, err
		}
		m, err = w.Write(p[:m])
		sent += int64(m)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// WriteHead implements wire.Answer for what makes answers itself: f stays its own.
func (x *exchange) WriteHead(status int, f wire.Fields, length int64) {
	x.out = append(x.out[:0], f...)
	x.writeHead(status, length)
}

// Write sends bytes of the answer's body.
func (x *exchange) Write(p []byte) (int, error) { return x.w.Write(p) }

// Flush sends what is held back.
func (x *exchange) Flush() error { return x.w.Flush() }

// SendFile implements wire.FileSender.
func (x *exchange) SendFile(f *os.File, offset, n int64) (int64, error) {
	if s, ok := x.w.(wire.FileSender); ok {
		return s.SendFile(f, offset, n)
	}
	return copyFile(x.w, f, offset, n, &x.d.g.buffers)
}

// writeHead begins the final answer, once, with the header x.out. The length is
// that of the body, -1 if only its end tells.
func (x *exchange) writeHead(status int, length int64) {
	if x.started {
		return
	}
	x.started = true
	x.out = slices.Grow(x.out, spareFields)
	x.w.WriteHead(status, x.out, length)
}

// merge adds to the header of an answer what the first answer to the same request
// has said, as far as this one does not say otherwise, and its status.
func (a *again) merge(status int, f wire.Fields) (int, wire.Fields) {
	if a.status != 0 {
		status = a.status
	}
	for _, field := range a.kept {
		if wire.Same(field.Name, "Set-Cookie") || !f.Has(field.Name) {
			f = append(f, field)
		}
	}
	return status, f
}

// nowhere is the stream of a request whose client does not wait for its answer, or
// is somebody within the gateway. Its answer goes to the exchange's own w.
type nowhere struct{ ctx context.Context }

// Context implements wire.Stream, as do the methods below.
func (n nowhere) Context() context.Context { return n.ctx }

func (nowhere) Read([]byte) (int, error)          { return 0, io.EOF }
func (nowhere) SetReadTimeout(time.Duration)      {}
func (nowhere) StopRead()                         {}
func (nowhere) Unread() bool                      { return false }
func (nowhere) Interim(int, wire.Fields) error    { return nil }
func (nowhere) WriteHead(int, wire.Fields, int64) {}
func (nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (nowhere) Flush() error                      { return nil }
func (nowhere) SetWriteTimeout(time.Duration)     {}
func (nowhere) CloseAfter()                       {}
func (nowhere) Abort()                            {}
func (nowhere) Hijack() (net.Conn, []byte, error) { return nil, nil, wire.ErrNoHijack }

// captured is an answer that is wanted by the gateway itself: its head, and a bounded
// part of its body.
type captured struct {
	status int
	fields wire.Fields
	body   []byte
	most   int
	over   bool // the body has more
}

// WriteHead implements wire.Answer.
func (c *captured) WriteHead(status int, f wire.Fields, _ int64) {
	c.status, c.fields = status, slices.Clone(f)
}

// Write implements wire.Answer.
func (c *captured) Write(p []byte) (int, error) {
	n := min(len(p), c.most-len(c.body))
	c.body = append(c.body, p[:n]...)
	c.over = c.over || n < len(p)
	return len(p), nil
}

// Flush implements wire.Answer.
func (c *captured) Flush() error { return nil }

// detach returns an exchange for the same request, in the name of the same client,
// that outlives x and is served aside: without a body, without a line in the log, as
// long as ctx lives. Its answer goes to w.
func (x *exchange) detach(ctx context.Context, w wire.Answer) *exchange {
	r := *x.r
	r.Fields = slices.Clone(x.r.Fields)
	r.ContentLength = 0
	y := &exchange{
		d: x.d, conn: x.conn, gen: x.gen, ctx: ctx, tls: x.tls, s: nowhere{ctx}, r: &r, w: w,
		site: x.site, route: x.route, id: x.id, client: x.client, scheme: x.scheme,
		host: x.host, name: x.name, path: x.path, fwd: x.fwd, match: x.match, user: x.user, share: x.share,
	}
	y.edge.x, y.detached = y, true
	y.onInterim, y.onCondition = func(int, []uwsgi.Field) {}, y.holds
	y.req.URI, y.req.Query, y.req.ScriptName, y.req.PathInfo = x.req.URI, x.req.Query, x.req.ScriptName, x.req.PathInfo
	y.said = slices.Clone(x.said)
	y.entry.Time = time.Now()
	return y
}

// ownRequest lets x change the request, which is the engine's.
func (x *exchange) ownRequest() *wire.Request {
	if x.own == nil {
		r := *x.r
		r.Fields = slices.Clone(x.r.Fields)
		x.own, x.r = &r, &r
	}
	return x.own
}

// aside serves a request of the gateway's own. What fails in it is nobody's to see.
func (x *exchange) aside(a action) {
	defer func() {
		if p := recover(); p != nil {
			x.cut = true
			x.d.g.log.Error("panic in a request of the gateway's own", "panic", fmt.Sprint(p), "request", x.id, "stack", string(debug.Stack()))
		}
		x.body.close()
	}()
	a.serve(x)
}
