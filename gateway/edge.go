package gateway

import (
	"errors"
	"io"
	"os"
	"slices"

	"headgate/gateway/wire"
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

// ownRequest lets x change the request, which is the engine's.
func (x *exchange) ownRequest() *wire.Request {
	if x.own == nil {
		r := *x.r
		r.Fields = slices.Clone(x.r.Fields)
		x.own, x.r = &r, &r
	}
	return x.own
}
