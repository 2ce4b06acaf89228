package cache

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// WriteHead implements wire.Answer: it decides what becomes of the app's answer.
func (f *flight) WriteHead(status int, fields wire.Fields, length int64) {
	if f.outcome != undecided {
		return
	}
	f.status = status
	f.times = exchangeTimes{f.began, time.Now()}
	switch {
	case f.validating && status == http.StatusNotModified:
		f.confirm(fields)
	case f.shelter && failure(status):
		f.decide(outcomeFailed)
	default:
		f.consider(status, fields, length)
	}
}

// failure reports whether a status is an error that stale-if-error is about (RFC
// 5861, 4).
func failure(status int) bool {
	return status == 500 || status >= 502 && status <= 504
}

// consider stores an answer or passes it on.
func (f *flight) consider(status int, fields wire.Fields, length int64) {
	j := judge(status, fields, f.times)
	j.Authorized = f.q.authorized
	why := f.p.admit(&f.q, &j, f.times.came)
	if why == admitted {
		why = f.begin(&j, fields, length)
	}
	if why == admitted {
		return
	}
	f.s.refuse(why)
	if f.marks(why, status) {
		f.s.passes.set(f.hash.key, f.times.came)
	}
	if f.stale != nil && (status < 400 || status == http.StatusNotFound || status == http.StatusGone) {
		f.s.drop(f.stale) // it is not what the app has any more
	}
	f.decide(outcomePassed)
	if f.v != nil {
		f.v.trace("miss")
		f.v.a.WriteHead(status, outward(fields, f.fwd), length)
	}
}

// marks reports whether requests for the same do not wait for each other for a
// while.
func (f *flight) marks(why refusal, status int) bool {
	return !f.q.authorized && !failure(status) && why != refusedBusy && why != refusedPurged
}

// begin makes the answer one that comes into the store.
func (f *flight) begin(j *judged, fields wire.Fields, length int64) refusal {
	vary, ok := varyOf(fields, f.header)
	if !ok {
		return refusedVary
	}
	if strings.HasPrefix(fields.Get("Content-Type"), "text/event-stream") {
		return refusedStream
	}
	h := j.kept(fields, f.times.came)
	switch {
	case tooManyTags(h.tags):
		return refusedTags
	case !f.pure(h):
		return refusedPurged
	}
	b := f.s.newBody(f.p, length)
	if length > b.limit || b.limit <= 0 {
		return refusedSize
	}
	h.Until = f.p.until(&h.facts, &f.q)
	f.head, f.vary, f.body = h, vary, b
	f.fwd.stored = true
	if f.v != nil {
		f.reader = b.reader(f.v.ctx)
		f.extra = apartOf(j, fields)
	}
	if f.v != nil {
		f.v.trace("miss")
	}
	f.decide(outcomeStoring)
	return admitted
}

// apartOf returns the fields that the answer says are not for the store, but which
// its own request gets.
func apartOf(j *judged, f wire.Fields) wire.Fields {
	var extra wire.Fields
	for _, field := range f {
		if !hop(field.Name) && j.apart(field.Name) || wire.Same(field.Name, "Cache-Status") { // of a cache behind this one
			extra.Add(strings.Clone(field.Name), strings.Clone(field.Value))
		}
	}
	return extra
}

// Write implements wire.Answer. It does not wait for clients, unless the answer has
// become too large to be kept.
func (f *flight) Write(p []byte) (int, error) {
	switch f.outcome {
	case undecided:
		f.WriteHead(http.StatusOK, nil, -1)
		return f.Write(p)
	case outcomePassed:
		if f.v == nil {
			return 0, errNobody
		}
		return f.v.a.Write(p)
	case outcomeStoring:
		if f.body.length >= 0 && f.body.size+int64(len(p)) > f.body.length {
			return 0, wire.ErrTooLong
		}
		if f.body.size+int64(len(p)) != f.body.length {
			f.copyOut() // more is to come: the client has not to wait for that
		}
		err := f.body.write(f.ctx, p)
		if why := f.body.why; why != admitted && !f.dropped {
			f.dropped = true
			f.seal()
			if why == refusedSize {
				f.s.passes.set(f.hash.key, time.Now())
			}
		}
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Flush implements wire.Answer.
func (f *flight) Flush() error {
	switch {
	case f.outcome == outcomeStoring:
		f.copyOut()
	case f.outcome == outcomePassed && f.v != nil:
		return f.v.a.Flush()
	}
	return nil
}

// SendFile implements wire.FileSender.
func (f *flight) SendFile(file *os.File, offset, n int64) (int64, error) {
	if f.outcome == undecided {
		f.WriteHead(http.StatusOK, nil, -1)
	}
	if f.outcome == outcomePassed && f.v != nil {
		return forwardFile(f.v.a, file, offset, n)
	}
	return copyFile(f, file, offset, n)
}

// copyFile writes a part of a file.
func copyFile(a wire.Answer, f *os.File, offset, n int64) (int64, error) {
	buf := make([]byte, min(n, 64<<10))
	sent := int64(0)
	for sent < n {
		p := buf[:min(n-sent, int64(len(buf)))]
		if read, err := f.ReadAt(p, offset+sent); read < len(p) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return sent, err
		}
		if _, err := a.Write(p); err != nil {
			return sent, err
		}
		sent += int64(len(p))
	}
	return sent, nil
}

// delivered is what became of a client that another goroutine gave its answer.
type delivered struct {
	whole    bool
	panicked any
}

// copyOut has another goroutine give the client what comes, from now on.
func (f *flight) copyOut() {
	if f.v == nil || f.copied != nil {
		return
	}
	f.copied = make(chan delivered, 1)
	go func() {
		var c delivered
		defer func() {
			c.panicked = recover() // it goes on in the goroutine of Serve
			f.reader.close()
			f.copied <- c
		}()
		c.whole = f.deliverOwn()
	}()
}

// deliverOwn gives the request that f is of its answer.
func (f *flight) deliverOwn() bool {
	fields := f.head.with(f.times.came, f.fwd.String(), f.extra...)
	return deliver(f.v.a, f.v.r, &f.v.q, f.head, fields, f.body.length, f.reader)
}

// begins returns the context of the fetch: it ends when nobody wants the answer.
func (f *flight) begins(life context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(life)
	f.ctx, f.cancel = ctx, cancel
	return ctx
}
