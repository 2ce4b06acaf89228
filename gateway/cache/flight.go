package cache

import (
	"context"
	"slices"
	"sync"
	"time"

	"headgate/gateway/wire"
)

// outcome is what became of a request that went to the app, as far as its head tells.
type outcome uint8

const (
	undecided      outcome = iota
	outcomePassed          // the answer is for this request alone
	outcomeStoring         // it is kept, if it comes whole
	outcomeCurrent         // what was kept is right: 304
	outcomeFailed          // the app failed, or did not answer
)

// flight is one request on its way to the app for the store. It is the answer that
// the app's goes to.
type flight struct {
	s      *Store
	p      *Policy
	q      asked
	key    key
	hash   hashes
	header wire.Fields // of the request
	guess  []varied    // what other answers of that key were for
	fwd    forwarded
	began  time.Time

	stale      *entry // what was kept for the request; or nil
	validating bool   // the app is asked whether that has changed
	shelter    bool   // and may be given when the app fails
	from       closer // the body of stale, open

	v   *visit          // of the request that the app's answer is for; nil in the background
	ctx context.Context // of the fetch

	decided chan struct{} // closed once the outcome is known

	// Set before decided is closed, by the goroutine of Fetch.
	outcome outcome
	status  int // of the app
	head    *head
	extra   wire.Fields // of the answer to v alone
	vary    []varied
	body    *body
	times   exchangeTimes
	reader  *reader        // of v
	dropped bool           // the body is not kept any more
	copied  chan delivered // set when another goroutine gives v its answer

	mu       sync.Mutex // guards the fields below
	interest int        // requests that want the answer
	sealed   bool       // nobody may join any more
	spoiled  bool       // a purge came: the answer is not stored
	tags     []string   // that were purged before it was known whether the answer has them
	cancel   context.CancelCauseFunc
}

// maxPurgedTags bounds what a flight remembers.
const maxPurgedTags = 64

// suits reports whether a request could have the answer.
func (f *flight) suits(k *key, request wire.Fields) bool {
	if f.key != *k {
		return false
	}
	select {
	case <-f.decided:
		return f.outcome == outcomeStoring && matches(f.vary, request)
	default:
		return matches(f.guess, request)
	}
}

// join adds a request to those that want the answer, if that is still possible.
func (f *flight) join() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sealed || f.interest == 0 {
		return false
	}
	f.interest++
	return true
}

// leave takes one of them away. When nobody is left, the fetch ends, unless nearly
// all of the answer has come.
func (f *flight) leave() {
	f.mu.Lock()
	f.interest--
	alone := f.interest == 0
	f.sealed = f.sealed || alone
	f.mu.Unlock()
	if alone && !f.nearlyDone() {
		f.cancel(errNobody)
	}
}

// worthFinishing is how much may be missing of an answer that nobody waits for.
const worthFinishing = 1 << 20

func (f *flight) nearlyDone() bool {
	select {
	case <-f.decided:
	default:
		return false
	}
	if f.outcome != outcomeStoring || f.body.length < 0 {
		return false
	}
	f.body.mu.Lock()
	defer f.body.mu.Unlock()
	return f.body.length-f.body.size <= worthFinishing
}

// seal keeps others from joining.
func (f *flight) seal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = true
}

// spoil keeps the answer from being stored: what the app says now may be what was
// purged.
func (f *flight) spoil() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoiled, f.sealed = true, true
}

// spoilTag is spoil for an answer that has the tag.
func (f *flight) spoilTag(tag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = true // who comes now wants what is newer
	if len(f.tags) == maxPurgedTags {
		f.spoiled = true
		return
	}
	f.tags = append(f.tags, tag)
}

// pure reports whether no purge was about the answer.
func (f *flight) pure(h *head) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.spoiled && !slices.ContainsFunc(f.tags, func(tag string) bool { return slices.Contains(h.tags, tag) })
}

// decide makes the outcome known.
func (f *flight) decide(o outcome) {
	f.outcome = o
	if o == outcomePassed || o == outcomeFailed {
		f.seal()
	}
	close(f.decided)
}

// await waits for the head of the answer, as long as the policy allows. gone says
// that the client went.
func (f *flight) await(v *visit) (o outcome, gone bool) {
	select {
	case <-f.decided:
		return f.outcome, false
	default:
	}
	t := time.NewTimer(v.p.lock)
	defer t.Stop()
	var done <-chan struct{}
	if ctx := v.client(); ctx != nil {
		done = ctx.Done()
	}
	select {
	case <-f.decided:
		return f.outcome, false
	case <-t.C:
		return undecided, false
	case <-done:
		return undecided, true
	}
}

// board returns a flight that has the answer for v: one that is under way, which it
// has joined, or its own, which leads is true for. It returns nil when something has
// changed since found was.
func (s *Store) board(v *visit, found *entry, alone bool) (f *flight, leads bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, _ := s.find(v.hash.key, &v.key, v.r.Fields); now != found && !alone {
		return nil, false
	}
	if !alone {
		for _, f := range s.flights[v.hash.uri] {
			if f.suits(&v.key, v.r.Fields) && f.join() {
				return f, false
			}
		}
	}
	f = s.newFlight(v)
	f.sealed = alone
	if r := s.index.find(v.hash.key, &v.key); r != nil && !alone {
		f.guess = guess(r, v.r.Fields)
	}
	s.flights[v.hash.uri] = append(s.flights[v.hash.uri], f)
	return f, true
}

// guess returns what the entries of a resource are told apart by.
func guess(r *resource, request wire.Fields) []varied {
	var all []varied
	for _, e := range *r.entries.Load() {
		for i := range e.vary {
			name := e.vary[i].Name
			if !slices.ContainsFunc(all, func(v varied) bool { return wire.Same(v.Name, name) }) {
				all = append(all, variedBy(name, request))
			}
		}
	}
	return all
}

func (s *Store) newFlight(v *visit) *flight {
	return &flight{
		s: s, p: v.p, q: v.q, key: v.key, hash: v.hash, header: v.r.Fields, v: v,
		began: time.Now(), decided: make(chan struct{}), interest: 1,
	}
}

// retireLocked takes a flight out of those that purges look for.
func (s *Store) retireLocked(f *flight) {
	list := s.flights[f.hash.uri]
	if i := slices.Index(list, f); i >= 0 {
		list = slices.Delete(list, i, i+1)
	}
	if len(list) == 0 {
		delete(s.flights, f.hash.uri)
	} else {
		s.flights[f.hash.uri] = list
	}
}
