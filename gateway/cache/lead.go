package cache

import (
	"context"
	"net/http"
	"slices"
	"time"

	"headgate/gateway/wire"
)

// lead gives the request to the app, to store what it says. e is what is kept for
// the request, or nil.
func (v *visit) lead(f *flight, e *entry, why reason) (whole bool) {
	s := v.s
	s.counts.misses.Add(1)
	f.fwd.why = why
	f.take(e, v.sheltered)
	ctx := f.begins(context.Background())
	stop := func() bool { return true }
	if client := v.client(); client != nil {
		stop = context.AfterFunc(client, f.leave)
	}
	v.own()
	landed := false
	defer func() {
		if stop() {
			f.leave()
		}
		f.cancel(errNobody)
		if !landed {
			f.crash()
		}
	}()
	if f.shelter && v.p.lock > 0 { // what is kept is better than a long wait
		defer time.AfterFunc(v.p.lock, f.giveUp).Stop()
	}
	got := v.o.Fetch(ctx, f.requestFields(), f)
	whole = f.land(got)
	landed = true
	return whole
}

// giveUp ends a fetch whose answer has not begun.
func (f *flight) giveUp() {
	select {
	case <-f.decided:
	default:
		f.cancel(errSlow)
	}
}

// own makes the request that of v: the caller's may change while it is fetched.
func (v *visit) own() {
	r, wired := *v.r, *v.r.Request
	r.Request = &wired
	v.r = &r
}

// take makes e what is asked about, and what is given if the app fails.
func (f *flight) take(e *entry, sheltered func(*entry) bool) {
	if e == nil {
		return
	}
	from, ok := f.s.open(e, time.Now())
	if !ok {
		return
	}
	f.stale, f.from = e, from
	f.validating = e.head.Load().validatable()
	f.shelter = sheltered(e)
}

// requestFields returns the header with which the app is asked: for the whole
// answer, if what is kept has changed (RFC 9111, 4.3.1). A request whose answers are
// known not to be kept goes as it is. The caller may change what it gets.
func (f *flight) requestFields() wire.Fields {
	if !f.q.conditional && !f.q.ranges && !f.validating || f.stale == nil && f.s.passes.has(f.hash.key, f.began) {
		return slices.Clone(f.header)
	}
	g := make(wire.Fields, 0, len(f.header)+2)
	for _, field := range f.header {
		if !precondition(field.Name) {
			g = append(g, field)
		}
	}
	if f.validating {
		h := f.stale.head.Load()
		if h.ETag != "" {
			g.Add("If-None-Match", h.ETag)
		}
		if !h.Modified.IsZero() {
			g.Add("If-Modified-Since", h.Modified.UTC().Format(http.TimeFormat))
		}
	}
	return g
}

func precondition(name string) bool {
	switch len(name) {
	case len("Range"):
		return wire.Same(name, "Range")
	case len("If-Range"):
		return wire.Same(name, "If-Range")
	case len("If-None-Match"):
		return wire.Same(name, "If-None-Match")
	case len("If-Modified-Since"):
		return wire.Same(name, "If-Modified-Since")
	}
	return false
}

// land ends a flight whose fetch is over, and gives the client its answer if it has
// none yet.
func (f *flight) land(whole bool) bool {
	switch f.outcome {
	case undecided:
		f.decide(outcomeFailed)
		if !f.shelter {
			f.retire()
			if f.v != nil {
				f.v.trace("miss")
			}
			return false
		}
		return f.landFailed()
	case outcomeFailed:
		return f.landFailed()
	case outcomePassed:
		f.retire()
		return whole
	case outcomeCurrent:
		return f.landCurrent()
	}
	return f.landStoring(whole)
}

func (f *flight) landFailed() bool {
	f.retire()
	if f.v == nil {
		return true
	}
	from := f.from
	f.from = nil
	return f.v.giveSheltered(f.stale, from, f.status)
}

// landCurrent gives the client what was kept.
func (f *flight) landCurrent() bool {
	f.retire()
	if f.v == nil {
		return true
	}
	from := f.from
	f.from = nil
	defer from.close()
	f.s.counts.revalidated.Add(1)
	f.v.trace("revalidated")
	f.fwd.status = http.StatusNotModified
	fields := f.head.with(f.times.came, f.fwd.String(), f.extra...)
	return deliver(f.v.a, f.v.r, &f.v.q, f.head, fields, f.stale.size, from)
}

// landStoring puts a whole answer into the store.
func (f *flight) landStoring(whole bool) bool {
	b := f.body
	whole = whole && (b.length < 0 || b.size == b.length)
	b.end(whole)
	e := f.complete(whole)
	f.s.mu.Lock()
	if e != nil {
		f.storeLocked(e)
	}
	f.s.retireLocked(f)
	f.s.unlock()
	b.done()
	f.close()
	if f.v == nil {
		return whole
	}
	if f.copied == nil {
		defer f.reader.close()
		return f.deliverOwn()
	}
	c := <-f.copied
	f.copied = nil
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.whole
}

// complete makes the entry of what has come, or returns nil.
func (f *flight) complete(whole bool) *entry {
	b := f.body
	switch {
	case b.why != admitted:
		return nil
	case !whole:
		f.s.refuse(refusedCut)
		return nil
	}
	e := &entry{vary: f.vary, size: b.size}
	e.res = &resource{key: f.key.clone(), names: f.p.query}
	e.head.Store(f.head)
	e.at.Store(f.times.came.Unix())
	if b.file == nil {
		e.data = b.buf
		if cap(e.data)-len(e.data) > len(e.data)/8 {
			e.data = slices.Clip(slices.Clone(e.data))
		}
		return e
	}
	file, err := b.dir.seal(b.file, b.size, e.record(f.head, b.sum))
	if err != nil {
		f.s.diskFailed(b.dir, err)
		f.s.refuse(refusedDisk)
		return nil
	}
	f.s.ill.Store(false)
	e.file = file
	return e
}

// storeLocked puts an entry in, if nothing was purged meanwhile and the bounds are
// still those that it was made under.
func (f *flight) storeLocked(e *entry) {
	s, b := f.s, f.body
	now := s.bounds.Load()
	fits := e.weigh() <= now.memory/8+overhead*8
	if e.file != nil {
		fits = fits && e.file.dir == now.dir
	}
	switch {
	case !f.pure(f.head):
		s.refuse(refusedPurged)
	case !fits:
		s.refuse(refusedSize)
	default:
		b.adopt()
		if e.file != nil {
			s.diskFilling.Add(-b.diskHeld)
		}
		s.insertLocked(e, f.hash, f.header)
		s.counts.stored.Add(1)
		s.passes.clear(f.hash.key)
		s.shrinkLocked()
		s.shrinkDiskLocked()
		return
	}
	if e.file != nil {
		s.trash = append(s.trash, e.file)
	}
}

// confirm takes what a 304 says into what is kept (RFC 9111, 4.3.4).
func (f *flight) confirm(fields wire.Fields) {
	j := judge(http.StatusNotModified, fields, f.times)
	old := f.stale.head.Load()
	f.head = old
	if j.ETag == "" || j.ETag == old.ETag {
		f.head = old.updated(&j, fields, f.times.came)
		for v := range fields.Values("Set-Cookie") { // it is for this client
			f.extra.Add("Set-Cookie", v)
		}
		m := judge(old.Status, old.withAccel(f.head.fields, fields), f.times)
		m.Authorized, m.Lifetime, m.Born = f.q.authorized, f.head.Lifetime, f.head.Born
		vary, ok := varyOf(f.head.fields, f.header)
		if why := f.p.admit(&f.q, &m, f.times.came); why == admitted && ok && sameVariant(vary, f.stale.vary) && f.pure(f.head) {
			f.head.Until = f.p.until(&f.head.facts, &f.q)
			f.s.renew(f.stale, f.head)
			f.decide(outcomeCurrent)
			return
		}
	}
	f.s.drop(f.stale) // it may answer this request, and no other
	f.seal()
	f.decide(outcomeCurrent)
}

// renew gives an entry a new head.
func (s *Store) renew(e *entry, h *head) {
	var r *record
	s.mu.Lock()
	if e.stored {
		e.head.Store(h)
		s.reweighLocked(e)
		if e.file != nil && e.file.due(time.Now().Unix()) {
			r = e.record(h, e.file.sum)
		}
		s.shrinkLocked()
	}
	s.unlock()
	if r == nil {
		return
	}
	if err := e.file.rewrite(e.size, r); err != nil {
		s.drop(e)
	}
}

func (s *Store) reweighLocked(e *entry) {
	n := e.weigh()
	if e.queue != nil {
		e.queue.bytes += n - e.weight
	}
	e.weight = n
}

// retire is the end of a flight that stores nothing.
func (f *flight) retire() {
	f.s.mu.Lock()
	f.s.retireLocked(f)
	f.s.mu.Unlock()
	f.close()
}

func (f *flight) close() {
	if f.from != nil && f.outcome != outcomeFailed && f.outcome != outcomeCurrent {
		f.from.close()
		f.from = nil
	}
}

// crash is the end of a flight whose fetch has panicked.
func (f *flight) crash() {
	switch f.outcome {
	case undecided:
		f.decide(outcomeFailed)
	case outcomeStoring:
		f.body.end(false)
		f.body.done()
		if f.copied != nil {
			<-f.copied
		} else if f.reader != nil {
			f.reader.close()
		}
	}
	f.retire()
	if f.from != nil {
		f.from.close()
	}
}
