package upstream_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// source is a Source that says what it is told to.
type source struct {
	words chan []upstream.Member
	idle  chan (<-chan struct{})
	fail  chan error

	mu        sync.Mutex
	runs      int
	refreshed int
}

func newSource() *source {
	return &source{
		words: make(chan []upstream.Member), idle: make(chan (<-chan struct{})),
		fail: make(chan error),
	}
}

func (s *source) Run(ctx context.Context, set upstream.SetFunc) error {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	for {
		select {
		case ms := <-s.words:
			s.idle <- set("web", ms)
		case err := <-s.fail:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *source) Refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshed++
}

func (s *source) counts() (runs, refreshed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runs, s.refreshed
}

// say has the source name members, and returns when those that it dropped are idle.
func (s *source) say(ms ...upstream.Member) <-chan struct{} {
	s.words <- ms
	idle := <-s.idle
	after(10 * time.Millisecond) // new ones are reached
	return idle
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// with is the spec with sources.
func with(s spec, sources map[string]upstream.Source) spec {
	s.Sources = sources
	return s
}

func addresses(p *upstream.Pool[*server]) (out []string) {
	for _, m := range p.Snapshot().Members {
		if m.State != upstream.StateLeaving {
			out = append(out, m.Address)
		}
	}
	return out
}

func TestFileAndSourceNameMembersTogether(t *testing.T) {
	quick := upstream.Options{SlowStart: -1}
	inWorld(t, quick, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(quick, members("a")...), map[string]upstream.Source{"dns": s}))
		after(0)
		s.say(upstream.Member{Address: "a", Weight: 7}, upstream.Member{Address: "b"})
		if got := addresses(p); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("members: %v", got)
		}
		if got := state(p, "a").Weight; got != 0 {
			t.Errorf("a weighs %d, want what the file says", got)
		}
		idle := s.say(members("b")...)
		if got := addresses(p); !slices.Equal(got, []string{"a", "b"}) || !isClosed(idle) {
			t.Errorf("after the source has dropped a, which is in the file: %v", got)
		}
		w.apply(t, with(w.spec(quick, members("c")...), map[string]upstream.Source{"dns": s}))
		after(10 * time.Millisecond)
		if got := addresses(p); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("after a reload without a: %v", got)
		}
		w.apply(t, w.spec(quick, members("c")...))
		if got := addresses(p); !slices.Equal(got, []string{"c"}) {
			t.Errorf("after a reload without the source: %v", got)
		}
		if runs, _ := s.counts(); runs != 1 {
			t.Errorf("the source was started %d times", runs)
		}
	})
}

func TestADroppedMemberDrains(t *testing.T) {
	inWorld(t, upstream.Options{SlowStart: -1}, members("a"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(upstream.Options{SlowStart: -1}, members("a")...), map[string]upstream.Source{"dns": s}))
		after(0)
		s.say(members("b", "c", "d")...)
		b, c := holdOf(t, p, "b"), holdOf(t, p, "c")
		idle := s.say()
		wantState(t, p, "b", upstream.StateLeaving)
		if _, left := w.gone(); !slices.Equal(left, []string{"d"}) {
			t.Errorf("left at once: %v, want d that was idle", left)
		}
		if got := shares(t, p, 10); got["a"] != 10 {
			t.Errorf("shares: %v", got)
		}
		ok(b)
		if isClosed(idle) {
			t.Error("idle with a request at c")
		}
		c.Answered(200)
		after(time.Hour) // as long as it takes
		if isClosed(idle) {
			t.Error("idle before the end of the answer")
		}
		c.Release()
		if !isClosed(idle) {
			t.Error("not idle")
		}
		closed, left := w.gone()
		if !slices.Equal(left, []string{"d", "b", "c"}) || len(closed) != 3 || closed[2].address != "c" {
			t.Errorf("closed %v, left %v", closed, left)
		}
	})
}

func TestAMemberThatIsNamedAgainWhileItLeaves(t *testing.T) {
	o := upstream.Options{Slots: 2, SlowStart: -1}
	inWorld(t, o, members("a", "b"), func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		old := holdOf(t, p, "b")
		w.apply(t, w.spec(o, members("a")...))
		wantState(t, p, "b", upstream.StateLeaving)
		w.apply(t, w.spec(o, members("a", "b")...))
		after(time.Second)
		wantState(t, p, "b", upstream.StateUp)
		if got, all := hold(t, p, 3); got["b"] != 1 { // the old request has the other slot
			t.Errorf("b has %d requests more", got["b"])
		} else {
			for _, l := range all {
				ok(l)
			}
		}
		ok(old)
		closed, left := w.gone()
		if len(closed) != 1 || len(left) != 0 {
			t.Errorf("closed %v, left %v: its old transport is to be closed, and b has not left", closed, left)
		}
		if got := len(p.Snapshot().Members); got != 2 {
			t.Errorf("%d members", got)
		}
	})
}

// A member of the file that a source named too at Build, and no more at Apply.
func TestASourceThatEndsIsStartedAgain(t *testing.T) {
	inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(upstream.Options{}), map[string]upstream.Source{"dns": s}))
		after(0)
		s.say(members("a")...)
		s.fail <- errors.New("it broke")
		after(4 * time.Second)
		if runs, _ := s.counts(); runs != 1 || visit(t, p, nil) != "a" {
			t.Error("started again at once, or its last word is forgotten")
		}
		after(2 * time.Second)
		if runs, _ := s.counts(); runs != 2 || w.logged("source of members ended", "it broke") != 1 {
			t.Errorf("%d runs, log:\n%s", runs, w.lines())
		}
		s.say(members("b")...)
		if got := visit(t, p, nil); got != "b" {
			t.Errorf("%s answers", got)
		}
	})
}

func TestASourceIsAskedAgainWhenItsMemberIsAway(t *testing.T) {
	inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newSource()
		w.apply(t, with(w.spec(upstream.Options{}), map[string]upstream.Source{"dns": s}))
		after(0)
		c := ask(t.Context(), p, new(request)) // nobody is there: that is a reason too
		if _, n := s.counts(); n != 1 {
			t.Errorf("asked %d times with nobody there", n)
		}
		s.say(members("old")...)
		ok(now(t, c).lease)
		w.setAbsent("old", true)
		var r request
		acquire(t, p, &r).Fail(errRefused)
		p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused})
		c = ask(t.Context(), p, &r)
		if _, n := s.counts(); n != 2 {
			t.Errorf("asked %d times, want once more", n)
		}
		s.say(members("moved")...)
		if r := now(t, c); r.err != nil || r.Member().Address != "moved" {
			t.Errorf("got %v", r.err)
		} else {
			ok(r.lease)
		}
	})
}

func TestStatisticsGiveTheSlots(t *testing.T) {
	ms := []upstream.Member{{Address: "a", Stats: "s"}}
	inWorld(t, upstream.Options{}, ms, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.mu.Lock()
		w.loads["s"] = upstream.Load{Slots: 3, Accepting: 3}
		w.mu.Unlock()
		after(time.Second)
		if s := state(p, "a"); s.Slots != 3 || s.Known != "stats" || !s.HasLoad {
			t.Errorf("%+v", s)
		}
		w.mu.Lock()
		delete(w.loads, "s")
		w.mu.Unlock()
		after(3 * time.Second)
		if s := state(p, "a"); s.Slots != 3 || w.logged("cannot be read") != 2 { // before the first, and now
			t.Errorf("%+v, log:\n%s", s, w.lines())
		}
		w.apply(t, w.spec(upstream.Options{}, members("a")...))
		if s := state(p, "a"); s.Slots != 0 || s.HasLoad {
			t.Errorf("without statistics: %+v", s)
		}
	})
}

// unheard is a source that says what it has once, or nothing.
type unheard struct{ members []upstream.Member }

func (s unheard) Run(ctx context.Context, set upstream.SetFunc) error {
	if s.members != nil {
		set("web", s.members)
	}
	<-ctx.Done()
	return nil
}

// TestWordOfAReplacedSourceHolds: a name is added while the DNS server is away.
func TestWordOfAReplacedSourceHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.spec(upstream.Options{Slots: 1})
		s.Sources = map[string]upstream.Source{"dns app": unheard{members("10.0.0.1:1", "10.0.0.2:1")}}
		w.apply(t, s)
		synctest.Wait()
		held := acquire(t, w.pool, nil)
		s.Sources = map[string]upstream.Source{"dns app, more": unheard{}}
		w.apply(t, s)
		synctest.Wait()
		acquire(t, w.pool, nil).Release() // the other one is still there
		s.Sources = map[string]upstream.Source{"dns app, third": unheard{members("10.0.0.2:1")}}
		w.apply(t, s)
		synctest.Wait()
		if got := w.pool.Snapshot().Members; len(got) != 2 || got[0].State != upstream.StateLeaving || got[1].State != upstream.StateUp {
			t.Errorf("members are %+v, want the first one leaving", got)
		}
		held.Release()
		if got := w.pool.Snapshot().Members; len(got) != 1 {
			t.Errorf("%d members are left", len(got))
		}
	})
}
