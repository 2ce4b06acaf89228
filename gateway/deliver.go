package gateway

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"headgate/gateway/relay"
	"headgate/gateway/tracing"
	"headgate/gateway/wire"
	"headgate/upstream"
)

// answer is a worker's response with the lease that it keeps busy.
type answer struct {
	response
	x     *exchange
	lease upstream.Lease[*backend]
	begun time.Time
	span  *tracing.Span
	freed bool
	err   error // why the body ended early
}

// Read reads the body and keeps in mind why it ended.
func (a *answer) Read(p []byte) (n int, err error) {
	n, err = a.Body.Read(p)
	if err != nil && err != io.EOF {
		a.err = err
	}
	return n, err
}

// free gives the worker's slot back; what the body has in memory can still be
// read. Only one goroutine at a time has the answer.
func (a *answer) free() {
	switch {
	case !a.leave():
	case a.err != nil:
		a.lease.Fail(a.err)
	default:
		a.lease.Release()
	}
}

// leave counts that the worker is done, the first time.
func (a *answer) leave() bool {
	if a.freed {
		return false
	}
	a.freed = true
	now := time.Now()
	a.x.entry.Worker += now.Sub(a.begun)
	a.span.Finish(now, "", nil)
	a.lease.Transport().counters.End()
	return true
}

// arrived tells the pool that the head is in, and with it perhaps all: then the
// worker is free before the client has got anything.
func (a *answer) arrived() {
	if a.Status != http.StatusSwitchingProtocols && a.Body.Complete() && a.leave() {
		a.lease.Finish(a.Status)
		return
	}
	a.lease.Answered(a.Status)
}

func (a *answer) close() {
	a.Body.Close()
	a.free()
}

// deliver hands the worker's answer to the client and frees the worker as soon
// as it has said everything, however slowly the client takes it.
func (x *exchange) deliver(by *passTo, a *answer) {
	if a.Status == http.StatusSwitchingProtocols {
		x.tunnel(a)
		return
	}
	if x.takeHead(by, a) {
		return
	}
	if x.takeAccel(by.cached) {
		x.copyInPace(a)
		return
	}
	if body, ok := a.Body.(lending); ok && a.ContentLength >= 0 && a.Body.Complete() {
		x.deliverLent(a, body)
		return
	}
	buf := x.d.g.buffers.get()
	defer x.d.g.buffers.put(buf)
	n, err := readSome(a, buf[:])
	switch {
	case err != nil && err != io.EOF: // the client has nothing yet: it gets the reason
		a.close()
		x.fail(upstreamFailure(err))
	case err == io.EOF || a.Body.Complete():
		x.deliverWhole(a, buf[:n], err)
	default:
		x.deliverRelayed(a, buf[:n])
	}
}

// lending is a body that gives what it has in memory without a copy. Nothing is
// left when Next returns nothing.
type lending interface{ Next() []byte }

// deliverLent sends an answer of known length that is complete in memory, the
// common one, from where it came into memory.
func (x *exchange) deliverLent(a *answer, body lending) {
	defer a.close()
	x.writeHead(a.Status, a.ContentLength)
	for p := body.Next(); len(p) > 0; p = body.Next() {
		if _, err := x.Write(p); err != nil {
			x.clientGone(err)
			return
		}
	}
}

// readSome reads until there is a byte, the end, or an error.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = r.Read(p)
	}
	return n, err
}

// takeHead makes the worker's header the client's, and reports whether something
// else answers in place of the worker: because the app has said so, or because the
// route has a page for its errors.
func (x *exchange) takeHead(by *passTo, a *answer) (elsewhere bool) {
	x.stick(a)
	to, f := x.takeRedirect(by.sendfile)
	var page *errorPage
	if to == nil && f == nil && !x.onPage() {
		page = x.route.pages.ofApp(a.Status)
	}
	if to == nil && f == nil && page == nil {
		return false
	}
	a.Body.Abort() // nobody wants it
	a.close()
	switch {
	case f != nil:
		x.fail(f)
	case to != nil:
		x.again = to
	default:
		page.serve(x, &failure{status: a.Status, kind: "app", cause: "the app answered with an error", fields: challenges(x.out)})
	}
	return true
}

// challenges are the fields of an error that its page must not lose.
func challenges(f wire.Fields) (kept wire.Fields) {
	for _, field := range f {
		if wire.OneOf(field.Name, "WWW-Authenticate", "Retry-After", "Set-Cookie", "Allow") {
			kept = append(kept, field)
		}
	}
	return kept
}

// accel is where the fields begin that an app says to the server before it.
const accel = "X-Accel-"

// takeAccel takes out of the header what is not for the client, and reports
// whether the client is to take the answer as the worker makes it. A cache takes the
// rest itself.
func (x *exchange) takeAccel(cached bool) (inPace bool) {
	kept := x.out[:0]
	for _, f := range x.out {
		switch {
		case len(f.Name) < len(accel) || !wire.Same(f.Name[:len(accel)], accel):
			inPace = inPace || wire.Same(f.Name, "Content-Type") && strings.HasPrefix(f.Value, "text/event-stream")
		case wire.Same(f.Name, "X-Accel-Buffering"):
			inPace = inPace || strings.EqualFold(f.Value, "no")
			continue
		case wire.Same(f.Name, "X-Accel-Limit-Rate"):
			x.slowDown(f.Value)
			continue
		case wire.Same(f.Name, "X-Accel-Expires") && !cached, wire.Same(f.Name, "X-Accel-Charset"):
			continue
		}
		kept = append(kept, f)
	}
	x.out = kept
	return inPace
}

// deliverWhole sends an answer that is complete in memory: the worker is free
// before the client gets its first byte.
func (x *exchange) deliverWhole(a *answer, first []byte, end error) {
	a.free()
	defer a.close()
	length, buf := a.ContentLength, first[:cap(first)]
	if length < 0 && hasBody(x.r.Method, a.Status) {
		for end == nil && len(first) < len(buf) { // the rest is at hand
			var n int
			n, end = a.Read(buf[len(first):])
			first = buf[:len(first)+n]
		}
		if end == io.EOF {
			length = int64(len(first))
		}
	}
	x.writeHead(a.Status, length)
	for len(first) > 0 {
		if _, err := x.Write(first); err != nil {
			x.clientGone(err)
			return
		}
		if end != nil {
			return
		}
		var n int
		n, end = readSome(a, buf)
		first = buf[:n]
	}
}

func hasBody(method string, status int) bool {
	return method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// deliverRelayed sends an answer of which more is to come: one goroutine takes
// it from the worker, this one gives it to the client.
func (x *exchange) deliverRelayed(a *answer, first []byte) {
	ctx := x.context()
	b := x.d.g.room.New(x.gen.limits.relay)
	var filling sync.WaitGroup
	filling.Go(func() {
		b.Fill(ctx, a) // the error reaches pump behind the bytes
		a.close()
	})
	whole := false
	defer func() { // also when this panics: nobody else must have the answer then
		if !whole {
			a.Body.Abort()
			b.Close() // ends a Fill that waits for room: not every client that stops taking also ends its context
		}
		filling.Wait()
		b.Close()
		if err := b.FileErr(); err != nil {
			x.d.g.log.Warn("no room in a temporary file: the worker had to wait for the client", "request", x.id, "err", err)
		}
	}()
	x.writeHead(a.Status, a.ContentLength)
	whole = x.pump(b, first)
}

// pump writes first and what comes through b to the client, and flushes when
// nothing more is at hand. It reports whether the answer is out whole.
func (x *exchange) pump(b *relay.Buffer, first []byte) bool {
	p := first
	for {
		if _, err := x.Write(p); err != nil {
			x.clientGone(err)
			return false
		}
		if b.Empty() {
			if err := x.Flush(); err != nil {
				x.clientGone(err)
				return false
			}
		}
		var err error
		if p, err = b.Next(x.context()); err == io.EOF {
			return true
		} else if err != nil {
			x.fail(upstreamFailure(err))
			return false
		}
	}
}

// copyInPace gives the client every piece as the worker makes it, and takes no
// more from the worker than the client does.
func (x *exchange) copyInPace(a *answer) {
	defer a.close()
	x.writeHead(a.Status, a.ContentLength)
	if err := x.Flush(); err != nil {
		x.clientGone(err)
		return
	}
	buf := x.d.g.buffers.get()
	defer x.d.g.buffers.put(buf)
	for {
		n, err := a.Read(buf[:])
		if n > 0 {
			if _, err := x.Write(buf[:n]); err != nil {
				x.clientGone(err)
				return
			}
			if err := x.Flush(); err != nil {
				x.clientGone(err)
				return
			}
		}
		if err == io.EOF {
			return
		} else if err != nil {
			x.fail(upstreamFailure(err))
			return
		}
	}
}

// clientGone notes that the client no longer takes the answer: the stream is
// reset or the connection closed, so that half an answer never looks whole.
func (x *exchange) clientGone(err error) {
	x.cut = true
	x.failure = "canceled"
	x.entry.Err = "the client went away: " + err.Error()
	if isTimeout(err) {
		x.failure = "write_timeout"
		x.entry.Err = "the client took nothing for " + x.route.writeIdle.String()
	}
}
