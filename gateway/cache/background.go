package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// Bounds of fetches in the background.
const (
	maxBackground = 64
	retryAfter    = 2 // seconds after one that failed
)

// refresh makes sure that there is a fetch in the background for an entry that is
// stale. ok is false when there cannot be one.
func (v *visit) refresh(e *entry) (ok bool) {
	if v.q.method != methodGET || time.Now().Unix() < e.fresh.again.Load() || !e.fresh.under.CompareAndSwap(false, true) {
		return true
	}
	life, ok := v.s.beginBackground()
	if life == nil {
		e.fresh.under.Store(false)
		return ok
	}
	o := v.o.Detached()
	if o == nil {
		v.s.endBackground(e)
		return false
	}
	r, wired := *v.r, *v.r.Request
	wired.Fields = slices.Clone(wired.Fields)
	r.Request, r.Context, r.Trace = &wired, nil, nil
	b := &visit{s: v.s, p: v.p, r: &r, q: v.q, o: o, key: v.key, hash: v.hash}
	go func() {
		defer v.s.endBackground(e)
		if !b.fetch(life, e) {
			e.fresh.again.Store(time.Now().Unix() + retryAfter)
		}
	}()
	return true
}

// beginBackground returns the context of a fetch in the background. It is nil when
// there cannot be one: for now (ok), or at all.
func (s *Store) beginBackground() (life context.Context, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.life == nil || s.life.Err() != nil:
		return nil, false
	case s.fetching == maxBackground:
		return nil, true
	}
	s.fetching++
	s.background.Add(1)
	s.counts.backgroundRuns.Add(1)
	return s.life, true
}

func (s *Store) endBackground(e *entry) {
	e.fresh.under.Store(false)
	s.mu.Lock()
	s.fetching--
	s.mu.Unlock()
	s.background.Done()
}

// fetch asks the app anew about e, for nobody but the store. It reports whether the
// store has a right answer now.
func (b *visit) fetch(life context.Context, e *entry) (ok bool) {
	f, leads := b.s.board(b, e, false)
	if f == nil || !leads {
		if f != nil {
			f.leave()
		}
		return true // somebody else has done it, or does
	}
	f.v = nil
	f.take(e, func(*entry) bool { return false })
	ctx := f.begins(life)
	landed := false
	defer func() {
		f.cancel(errNobody)
		if !landed {
			f.crash()
			b.s.log.Error("fetch for the cache panicked", "site", b.r.Site, "host", b.r.Host, "path", b.r.Path, "err", fmt.Sprint(recover()), "stack", string(debug.Stack()))
		}
	}()
	whole := f.land(b.o.Fetch(ctx, f.requestFields(), f))
	landed = true
	return whole && (f.outcome == outcomeStoring || f.outcome == outcomeCurrent)
}
