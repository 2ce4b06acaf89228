package cache

import (
	"context"
	"net/http"
	"slices"
	"time"

	"headgate/gateway/wire"
)

// Serve answers r on a: from the store, or by asking o. It returns when a has its
// answer and, if o was asked, when that is over. whole is false if what a has got
// is not the whole answer, or nothing: then it must be cut. The fields that
// a.WriteHead is given may be shared: it must not change them.
func (s *Store) Serve(p *Policy, r *Request, a wire.Answer, o Origin) (whole bool) {
	q := ask(r)
	if !p.reload {
		q.forgo()
	}
	k := keyOf(p, r)
	h := k.hash(s.seed)
	if q.plain() && !p.off {
		if e, _ := s.find(h.key, &k, r.Fields); e != nil && e.file == nil {
			now := time.Now()
			if left := p.left(&e.head.Load().facts, &q, now); left > 0 && p.permits(&e.head.Load().facts, &q) {
				return s.hit(e, left, now, r, a, &q)
			}
		}
	}
	v := &visit{s: s, p: p, r: r, q: q, a: a, o: o, key: k, hash: h}
	return v.serve()
}

// plain reports whether the request takes any fresh answer.
func (q *asked) plain() bool {
	return q.method <= methodHEAD && !q.unsuited && !q.noStore && !q.noCache && q.maxAge == unsaid && q.minFresh == unsaid
}

// hit answers from memory with an entry that is fresh for left.
func (s *Store) hit(e *entry, left time.Duration, now time.Time, r *Request, a wire.Answer, q *asked) bool {
	e.touch(now)
	s.counts.hits[e.res.hash.key%uint64(len(s.counts.hits))].n.Add(1)
	if r.Trace != nil {
		r.Trace("hit")
	}
	h := e.head.Load()
	if q.conditional || q.ranges {
		return deliver(a, r, q, h, e.fields(h, left, now), e.size, e)
	}
	a.WriteHead(h.Status, e.fields(h, left, now), e.size)
	if q.method == methodHEAD {
		return true
	}
	return e.send(a, 0, e.size)
}

// fields returns the header of an entry with its age and what became of the request.
// They are made once a second.
func (e *entry) fields(h *head, left time.Duration, now time.Time) wire.Fields {
	age := h.age(now)
	if last := e.sent.Load(); last != nil && last.head == h && last.age == int64(age/time.Second) && last.left == seconds(left) {
		return last.fields
	}
	f := make(wire.Fields, 0, len(h.fields)+2)
	f = append(f, h.fields...)
	f = append(f, wire.Field{Name: "Age", Value: ageText(age)}, wire.Field{Name: field, Value: hitStatus(left)})
	e.sent.Store(&sent{h, int64(age / time.Second), seconds(left), f})
	return f
}

// visit is one request that is not answered from memory at once.
type visit struct {
	s    *Store
	p    *Policy
	r    *Request
	q    asked
	a    wire.Answer
	o    Origin
	key  key
	hash hashes
	ctx  context.Context // of the client, once it was asked for; or nil
}

func (v *visit) trace(status string) {
	if v.r.Trace != nil {
		v.r.Trace(status)
	}
}

func (v *visit) serve() bool {
	switch {
	case v.q.method > methodHEAD:
		return v.pass(fwdMethod, nil)
	case v.p.off:
		return v.pass(fwdBypass, nil)
	case v.q.unsuited && !v.q.onlyCached, v.q.noStore && !v.q.onlyCached:
		return v.pass(fwdRequest, nil)
	}
	for round := 0; ; round++ {
		if whole, done := v.try(round); done {
			return whole
		}
	}
}

// maxRounds is how often a request may find that what it has waited for is not for
// it, before it goes to the app without waiting.
const maxRounds = 3

// try answers from the store or from the app; done is false if it has to look again.
func (v *visit) try(round int) (whole, done bool) {
	now := time.Now()
	found, some := v.s.find(v.hash.key, &v.key, v.r.Fields)
	e := found
	if e != nil {
		switch c := v.choose(e, now); {
		case c == useNow || c == useStale:
			return v.give(e, now)
		case c == useNever && v.q.authorized && !v.q.onlyCached:
			return v.pass(fwdBypass, nil), true
		case c == useNever:
			e = nil // another policy has kept it
		}
	}
	if v.q.onlyCached {
		return v.unsatisfied(), true
	}
	why := v.why(e, some, now)
	if v.q.method == methodHEAD || v.q.ranges && e == nil {
		return v.pass(why, e), true
	}
	alone := round >= maxRounds || v.alone(e, now)
	f, leads := v.s.board(v, found, alone)
	switch {
	case f == nil:
		return false, false
	case leads:
		return v.lead(f, e, why), true
	}
	return v.follow(f, why, round)
}

// alone reports whether the request does not wait for what others fetch: because
// that is not what it wants, or is most likely not for it.
func (v *visit) alone(e *entry, now time.Time) bool {
	switch {
	case v.p.lock == 0, v.q.demands(), v.q.authorized && !v.p.private:
		return true
	case e != nil:
		return v.p.lifetime(&e.head.Load().facts, &v.q) <= 0
	}
	return v.s.passes.has(v.hash.key, now)
}

// use is what an entry is good for.
type use uint8

const (
	useNever    use = iota // not for such a request
	useNow                 // fresh enough
	useStale               // stale, which the client or the answer allows
	useValidate            // after the app has said that it has not changed
)

// choose decides it (RFC 9111, 4 and 5.2.1).
func (v *visit) choose(e *entry, now time.Time) use {
	h, q := e.head.Load(), &v.q
	if !v.p.permits(&h.facts, q) {
		return useNever
	}
	left := v.p.left(&h.facts, q, now)
	w := v.p.windows(&h.facts)
	switch {
	case q.noCache, q.maxAge != unsaid && h.age(now) > q.maxAge:
		return useValidate
	case left > 0 && left >= q.minFresh:
		return useNow
	case q.minFresh != unsaid:
		return useValidate
	case q.maxStale != unsaid && -left < min(q.maxStale, w.asked):
		return useStale
	case q.maxAge == unsaid && -left < w.fetched && v.refresh(e):
		return useStale
	}
	return useValidate
}

func (v *visit) why(e *entry, some bool, now time.Time) reason {
	switch {
	case e == nil && some:
		return fwdVaryMiss
	case e == nil:
		return fwdURIMiss
	case v.q.demands() && v.p.left(&e.head.Load().facts, &v.q, now) > 0:
		return fwdRequest
	}
	return fwdStale
}

// give answers with an entry.
func (v *visit) give(e *entry, now time.Time) (whole, done bool) {
	h := e.head.Load()
	from, ok := v.s.open(e, now)
	if !ok {
		return false, false
	}
	defer from.close()
	left := v.p.left(&h.facts, &v.q, now)
	v.s.counts.hits[0].n.Add(1)
	status := "hit"
	if left <= 0 {
		status = "stale"
		v.s.counts.stale.Add(1)
	}
	e.touch(now)
	v.trace(status)
	return deliver(v.a, v.r, &v.q, h, e.fields(h, left, now), e.size, from), true
}

// open returns the body of an entry. One whose file is gone is not in the store any
// more.
func (s *Store) open(e *entry, now time.Time) (closer, bool) {
	if e.file == nil {
		return e, true
	}
	f, err := e.file.open()
	if err != nil {
		s.drop(e)
		return nil, false
	}
	s.usedOnDisk(e, now)
	return &opened{f, e.size}, true
}

// closer is content that has to be closed.
type closer interface {
	content
	close()
}

func (e *entry) close()  {}
func (o *opened) close() { o.f.Close() }

// unsatisfied is the answer to only-if-cached (5.2.1.7).
func (v *visit) unsatisfied() bool {
	v.trace("unsatisfied")
	const page = "504 Gateway Timeout\n\nnothing is kept of it, and the request wants nothing else\n"
	v.a.WriteHead(http.StatusGatewayTimeout, wire.Fields{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: field, Value: "Headgate; detail=only-if-cached"},
	}, int64(len(page)))
	if v.q.method == methodHEAD {
		return true
	}
	_, err := v.a.Write([]byte(page))
	return err == nil
}

// pass gives the request to the app, and the client what it says.
func (v *visit) pass(why reason, e *entry) bool {
	v.s.counts.bypassed.Add(1)
	v.trace("bypass")
	ctx := v.client()
	if ctx == nil {
		ctx = context.Background()
	}
	return v.o.Fetch(ctx, slices.Clone(v.r.Fields), &passing{v: v, why: why, e: e})
}

// client returns the context of the client, nil if it has none.
func (v *visit) client() context.Context {
	if v.ctx == nil && v.r.Context != nil {
		v.ctx = v.r.Context()
	}
	return v.ctx
}

// follow waits for what another request fetches.
func (v *visit) follow(f *flight, why reason, round int) (whole, done bool) {
	defer f.leave()
	o, gone := f.await(v)
	if gone {
		return false, true
	}
	switch o {
	case outcomeCurrent:
		if round < maxRounds-1 {
			return false, false // it is in the store
		}
	case outcomeStoring:
		whole, c := v.share(f, why)
		if c == useNow {
			return whole, true
		}
		if c == useNever && round < maxRounds-1 {
			return false, false // another variant is
		}
	case outcomeFailed:
		if e := f.stale; e != nil && v.sheltered(e) {
			if from, ok := v.s.open(e, time.Now()); ok {
				return v.giveSheltered(e, from, f.status), true
			}
		}
	}
	return v.leadAlone(why)
}

// leadAlone goes to the app without waiting for anybody.
func (v *visit) leadAlone(why reason) (whole, done bool) {
	e, _ := v.s.find(v.hash.key, &v.key, v.r.Fields)
	if e != nil && !v.p.permits(&e.head.Load().facts, &v.q) {
		e = nil
	}
	f, _ := v.s.board(v, e, true)
	return v.lead(f, e, why), true
}

// share gives the client what comes, if it is for it (else useNever) and still fresh
// (else useValidate).
func (v *visit) share(f *flight, why reason) (whole bool, c use) {
	now := time.Now()
	if !matches(f.vary, v.r.Fields) {
		return false, useNever
	}
	if !v.p.permits(&f.head.facts, &v.q) || v.p.left(&f.head.facts, &v.q, now) <= 0 {
		return false, useValidate
	}
	r := f.body.reader(v.client())
	if r == nil { // it is in the store, or too large for it
		return false, useNever
	}
	defer r.close()
	v.s.counts.collapsed.Add(1)
	v.trace("collapsed")
	fields := f.head.with(now, forwarded{why: why, collapsed: true}.String())
	return deliver(v.a, v.r, &v.q, f.head, fields, f.body.length, r), useNow
}

// with returns the header of h with its age, extra fields and a Cache-Status.
func (h *head) with(now time.Time, status string, extra ...wire.Field) wire.Fields {
	f := make(wire.Fields, 0, len(h.fields)+len(extra)+2)
	f = append(f, h.fields...)
	f = append(f, extra...)
	if age := h.age(now); age >= time.Second {
		f.Add("Age", ageText(age))
	}
	f.Add(field, status)
	return f
}

// sheltered reports whether an entry may be given because the app has failed.
func (v *visit) sheltered(e *entry) bool {
	h := &e.head.Load().facts
	return !v.q.noCache && v.p.permits(h, &v.q) && -v.p.left(h, &v.q, time.Now()) < v.p.windows(h).onError
}

// giveSheltered gives the client an entry because the app has failed with a status,
// or without one, which is 0. It closes from.
func (v *visit) giveSheltered(e *entry, from closer, status int) bool {
	defer from.close()
	h := e.head.Load()
	v.s.counts.stale.Add(1)
	v.s.counts.hits[0].n.Add(1)
	v.trace("stale")
	fields := h.with(time.Now(), forwarded{why: fwdStale, status: status, detail: "stale-if-error"}.String())
	return deliver(v.a, v.r, &v.q, h, fields, e.size, from)
}
