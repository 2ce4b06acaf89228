package certs

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"
)

const (
	renewPoll    = time.Hour // between two questions to an authority when it wants to be asked; also bounds what a suspended machine sleeps through
	renewWorkers = 32        // looks at the storage and at authorities at once
)

// renewAll makes what is missing of the names that are listed and what is due of
// all, and says when to come back. It does not wait for orders.
func (s *Store) renewAll(ctx context.Context, v *view) time.Time {
	var mu sync.Mutex // guards next
	next := time.Now().Add(renewPoll)
	tasks := s.tasks(v)
	forEach(ctx, tasks, func(t task) {
		if t.state.Load() == nil && t.listed && !t.want.local() && !t.busy() {
			s.lookUp(ctx, t)
		}
	})
	// What is missing comes first: authorities take their time to say when they want
	// to be asked for the others.
	slices.SortStableFunc(tasks, func(a, b task) int { return a.urgency() - b.urgency() })
	forEach(ctx, tasks, func(t task) {
		at := s.renewOne(ctx, t)
		mu.Lock()
		defer mu.Unlock()
		if at.Before(next) {
			next = at
		}
	})
	return next
}

// urgency is 0 for what has no certificate, else 1.
func (t task) urgency() int {
	if st := t.state.Load(); st == nil || st.entry == nil {
		return 0
	}
	return 1
}

// forEach calls f for all tasks, some at a time, until ctx ends.
func forEach(ctx context.Context, tasks []task, f func(task)) {
	work := make(chan task)
	var wg sync.WaitGroup
	for range min(renewWorkers, len(tasks)) {
		wg.Go(func() {
			for t := range work {
				f(t)
			}
		})
	}
	for _, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		work <- t
	}
	close(work)
	wg.Wait()
}

// tasks lists every certificate that is looked after.
func (s *Store) tasks(v *view) []task {
	var out []task
	for name, sub := range v.subjects {
		w := v.wanted[name]
		for _, m := range sub.certs {
			out = append(out, task{managed: m, want: w, set: v.set, listed: true})
		}
	}
	for _, sub := range s.visitors.all() {
		w := v.set.wanted(sub.name)
		if w == nil {
			s.visitors.drop(sub.name)
			continue
		}
		for _, m := range sub.certs {
			out = append(out, task{managed: m, want: w, set: v.set})
		}
	}
	return out
}

// renewOne begins whatever t needs, and returns when it wants to be looked at
// again. Of names that clients have brought it only renews what is asked for.
func (s *Store) renewOne(ctx context.Context, t task) time.Time {
	now := time.Now()
	if t.busy() {
		return now.Add(renewPoll) // its end wakes the loop
	}
	st := t.state.Load()
	if st != nil && st.err != nil && now.Before(st.retryAt) {
		return st.retryAt
	}
	if st != nil && st.unsaved {
		if err := s.adopt(ctx, t); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Debug("storage cannot be read before a certificate is stored", "host", t.name, "err", err)
		}
		if t.state.Load().unsaved { // nobody has stored a newer one
			s.save(ctx, t)
		}
		return now.Add(saveRetry)
	}
	if st != nil && st.entry != nil {
		st = s.askWhen(ctx, t, st)
		if !st.due(t.want, now) {
			return st.nextRenewal()
		}
		if !t.listed && t.want.ask == nil {
			s.visitors.drop(t.name)
			return now.Add(renewPoll)
		}
	} else if !t.listed {
		return now.Add(renewPoll) // whoever wants it comes again
	}
	s.start(ctx, t, false) // which wakes the loop when it is over
	return now.Add(renewPoll)
}

// lookUp takes what is in the storage at the start.
func (s *Store) lookUp(ctx context.Context, t task) {
	if s.adopt(ctx, t) != nil {
		return // work on it finds the same error, and says it
	}
	if st := t.state.Load(); st != nil && st.entry != nil {
		s.sayLoaded(t, st)
	}
}

// askWhen lets the authority of a certificate change its mind about the time of
// renewal.
func (s *Store) askWhen(ctx context.Context, t task, st *state) *state {
	a := t.want.by(st.authority)
	if a == nil {
		return st
	}
	at := s.renewAt(ctx, a, st.entry.leaf)
	if at.Equal(st.renewAt) {
		return st
	}
	next := st.with(func(n *state) { n.renewAt = at })
	if !t.state.CompareAndSwap(st, next) {
		return t.state.Load()
	}
	return next
}

// askRetry is how long a renewal waits for an app that could not be asked.
const askRetry = time.Minute

// mayGoOn reports whether work on a name that a client has brought goes on: a new
// order for one that has failed counts as one of the hour, and a renewal needs
// permission again. Before is what t had when work began.
func (s *Store) mayGoOn(ctx context.Context, t task, before *state) bool {
	var err error
	switch {
	case before == nil || t.want.ask == nil:
		return true
	case before.entry == nil:
		if s.mayOrder(t.set, t.name) {
			return true
		}
		err = errors.New("no more certificates on demand in this hour: see tls.on_demand.rate")
	default:
		select {
		case s.asking <- struct{}{}:
			err = s.askAgain(ctx, t)
			<-s.asking
		case <-ctx.Done():
			return false
		}
		if err == nil {
			return true
		}
		if !unanswered(err) {
			s.visitors.drop(t.name)
			return false
		}
	}
	old := t.state.Load()
	t.state.CompareAndSwap(old, old.with(func(n *state) { n.err, n.retryAt = err, time.Now().Add(askRetry) }))
	return false
}

// askAgain asks for permission before the certificate of a name that a client has
// brought is renewed.
func (s *Store) askAgain(ctx context.Context, t task) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s.counts.asks.Add(1)
	err := t.want.ask(ctx, t.name)
	switch {
	case unanswered(err):
		s.log.Warn("certificate waits to be renewed: the app does not say whether the name is still allowed", "host", t.name, "err", err, "retry_in", askRetry.String())
	case err != nil:
		s.log.Info("certificate is not renewed: the name is not allowed any more", "host", t.name, "err", err)
	}
	return err
}
