package upstream_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// wreck is why workers do not start.
type wreck struct{ again time.Duration }

func (*wreck) Error() string               { return "ModuleNotFoundError: shop" }
func (e *wreck) RetryAfter() time.Duration { return e.again }

// starter is a source that starts its members when somebody waits for one, and stops
// them again, as a supervisor of workers does.
type starter struct {
	*source

	mu      sync.Mutex
	trouble error
	asked   int // for trouble
}

func newStarter() *starter {
	return &starter{source: newSource()}
}

func (s *starter) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.trouble
}

func (s *starter) setTrouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = err
}

// inTrouble runs a test in a bubble with a pool that has a starter for a source.
func inTrouble(t *testing.T, test func(*testing.T, *world, *upstream.Pool[*server], *starter)) {
	t.Helper()
	inWorld(t, upstream.Options{Slots: 1, SlowStart: -1}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		s := newStarter()
		w.apply(t, with(w.spec(upstream.Options{Slots: 1, SlowStart: -1}), map[string]upstream.Source{"workers": s}))
		after(0)
		test(t, w, p, s)
	})
}

func TestTroubleEndsRequestsThatCome(t *testing.T) {
	inTrouble(t, func(t *testing.T, w *world, p *upstream.Pool[*server], s *starter) {
		cause := &wreck{2500 * time.Millisecond}
		s.setTrouble(cause)
		e := waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers)
		var found *wreck
		if !errors.As(e, &found) || found != cause || e.Err != error(cause) || e.Waited != 0 || e.RetryAfter != 3*time.Second {
			t.Errorf("got %+v", e)
		}
		if e.Error() != "upstream: pool has no members: ModuleNotFoundError: shop" {
			t.Errorf("it says %q", e)
		}
		for again, want := range map[time.Duration]time.Duration{0: time.Second, -time.Hour: time.Second, time.Second: time.Second, time.Hour: time.Minute} {
			cause.again = again
			if e := waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers); e.RetryAfter != want {
				t.Errorf("ask again after %v for %v", e.RetryAfter, again)
			}
		}
		s.setTrouble(errors.New("it says nothing of time"))
		if e := waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers); e.RetryAfter != time.Second {
			t.Errorf("ask again after %v", e.RetryAfter)
		}
		s.setTrouble(nil)
		c := ask(t.Context(), p, new(request))
		waits(t, c)
		s.say(members("a")...)
		ok(now(t, c).lease)
		s.setTrouble(cause) // somebody is there: nobody asks
		ok(acquire(t, p, nil))
	})
}

func TestTroubleEndsRequestsThatWait(t *testing.T) {
	inTrouble(t, func(t *testing.T, _ *world, p *upstream.Pool[*server], s *starter) {
		var waiting []<-chan result
		for i := range 5 {
			waiting = append(waiting, ask(t.Context(), p, &request{Client: from(i), Priority: upstream.Priority(i%3 - 1)}))
		}
		after(2 * time.Second)
		s.setTrouble(&wreck{})
		for _, c := range waiting {
			waits(t, c) // it is looked at when the source speaks
		}
		s.say()
		for _, c := range waiting {
			if e := waitError(t, now(t, c), upstream.ErrNoMembers); e.Waited != 2*time.Second || e.Err == nil {
				t.Errorf("waited %v: %v", e.Waited, e)
			}
		}
		if n := p.Snapshot().Queued; n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// A member that leaves with a request is none: its last request may take an hour.
func TestTroubleWithAMemberThatLeaves(t *testing.T) {
	inTrouble(t, func(t *testing.T, _ *world, p *upstream.Pool[*server], s *starter) {
		s.say(members("a")...)
		held := acquire(t, p, nil)
		c := ask(t.Context(), p, new(request))
		s.setTrouble(&wreck{})
		s.say()
		waitError(t, now(t, c), upstream.ErrNoMembers)
		waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers)
		ok(held)
	})
}

// A request that comes back from a member that has crashed is told as well.
func TestTroubleEndsRequestsThatComeBack(t *testing.T) {
	inTrouble(t, func(t *testing.T, _ *world, p *upstream.Pool[*server], s *starter) {
		s.say(members("a")...)
		var r request
		l := acquire(t, p, &r)
		s.setTrouble(&wreck{})
		s.say()
		l.Fail(errReset)
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Replayable: true}) {
			t.Fatal("it may not go again")
		}
		_, err := p.Acquire(t.Context(), &r)
		var cause *wreck
		if !errors.Is(err, upstream.ErrNoMembers) || !errors.As(err, &cause) {
			t.Errorf("got %v", err)
		}
		if p.Retry(t.Context(), &r, upstream.Attempt{Err: err, Replayable: true}) {
			t.Error("it may go again")
		}
	})
}

func TestTroubleOfOneSourceIsNoneWithMembersOfAnother(t *testing.T) {
	inTrouble(t, func(t *testing.T, w *world, p *upstream.Pool[*server], s *starter) {
		s.setTrouble(&wreck{})
		w.apply(t, with(w.spec(upstream.Options{Slots: 1, SlowStart: -1}, members("file")...), map[string]upstream.Source{"workers": s}))
		w.setAbsent("file", true)
		var r request
		acquire(t, p, &r).Fail(errRefused)
		p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused})
		c := ask(t.Context(), p, &r)
		s.say()
		waits(t, c) // it is away, and will be back
		w.setAbsent("file", false)
		after(time.Second)
		ok(now(t, c).lease)
	})
}

func TestAPauseHoldsInTrouble(t *testing.T) {
	inTrouble(t, func(t *testing.T, w *world, p *upstream.Pool[*server], s *starter) {
		s.setTrouble(&wreck{})
		p.Pause(time.Now().Add(10 * time.Second))
		first := ask(t.Context(), p, new(request))
		s.say()
		waits(t, first)
		after(5 * time.Second)
		p.Resume()
		waitError(t, now(t, first), upstream.ErrNoMembers)
		p.Pause(time.Now().Add(10 * time.Second))
		last := ask(t.Context(), p, new(request))
		after(9 * time.Second)
		waits(t, last)
		after(time.Second)
		waitError(t, now(t, last), upstream.ErrNoMembers)
	})
}

// Trouble is asked for without the pool's lock: a source may hold one of its own
// there that it also holds when it calls set, and look at the pool.
type entangled struct {
	pool *upstream.Pool[*server]
	mu   sync.Mutex
}

func (s *entangled) Run(ctx context.Context, set upstream.SetFunc) error {
	for {
		s.mu.Lock()
		set("web", nil)
		s.mu.Unlock()
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *entangled) Refresh() { s.Trouble() }

func (s *entangled) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pool.Snapshot()
	return &wreck{}
}

func TestSourcesAreAskedWithoutALock(t *testing.T) {
	inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		w.apply(t, with(w.spec(upstream.Options{}), map[string]upstream.Source{"s": &entangled{pool: p}}))
		for range 100 {
			waitError(t, <-ask(t.Context(), p, new(request)), upstream.ErrNoMembers)
			time.Sleep(time.Millisecond / 3)
		}
	})
}

// A source is told of the first that waits for a member, and of each that comes
// after, while there is none.
func TestASourceIsToldOfEachThatWaits(t *testing.T) {
	inTrouble(t, func(t *testing.T, _ *world, p *upstream.Pool[*server], s *starter) {
		for i := range 5 {
			begin := time.Now()
			ask(t.Context(), p, new(request))
			if _, n := s.counts(); n != i+1 || !time.Now().Equal(begin) {
				t.Errorf("told %d times after %d requests and %v", n, i+1, time.Since(begin))
			}
			after(time.Second)
		}
		if _, n := s.counts(); n != 5 {
			t.Errorf("told %d times of 5 requests", n)
		}
	})
}

// The source has decided to stop, or has stopped, when a request comes, and its set
// comes after: it is told again.
func TestASourceIsToldOfWhoItHasMissed(t *testing.T) {
	inTrouble(t, func(t *testing.T, _ *world, p *upstream.Pool[*server], s *starter) {
		s.say(members("a")...)
		held := acquire(t, p, nil)
		c := ask(t.Context(), p, new(request)) // waits for a slot: no reason to tell
		if _, n := s.counts(); n != 0 {
			t.Fatalf("told %d times with a member there", n)
		}
		s.say() // the one that waits is left alone, and held goes on
		if _, n := s.counts(); n != 1 {
			t.Errorf("told %d times, want once when the last member left", n)
		}
		ask(t.Context(), p, new(request)) // one that leaves is none
		if _, n := s.counts(); n != 2 {
			t.Errorf("told %d times, want once for the newcomer", n)
		}
		s.say(members("b")...)
		ok(now(t, c).lease)
		ok(held)
	})
}

// The new source of a pool is told of those that wait already.
func TestANewSourceIsToldOfThoseThatWait(t *testing.T) {
	inWorld(t, upstream.Options{}, nil, func(t *testing.T, w *world, p *upstream.Pool[*server]) {
		c := ask(t.Context(), p, new(request))
		s := newStarter()
		w.apply(t, with(w.spec(upstream.Options{}), map[string]upstream.Source{"workers": s}))
		after(0)
		if _, n := s.counts(); n == 0 {
			t.Error("it was not told")
		}
		s.say(members("a")...)
		ok(now(t, c).lease)
	})
}

// lazy starts when it is told that somebody waits, stops when it has not been for a
// moment, and looks at nothing but Refresh.
type lazy struct {
	told  chan struct{}
	start time.Duration
	runs  int
}

func (s *lazy) Refresh() {
	select {
	case s.told <- struct{}{}:
	default:
	}
}

func (s *lazy) Run(ctx context.Context, set upstream.SetFunc) error {
	for {
		select {
		case <-s.told:
		case <-ctx.Done():
			return nil
		}
		sleepOr(ctx, s.start)
		for len(s.told) > 0 { // these will be served
			<-s.told
		}
		s.runs++
		set("web", members("m"))
		sleepOr(ctx, 7*time.Millisecond)
		<-set("web", nil)
	}
}

// Requests come at all moments of the life of workers on demand, and each is
// answered at once or after one start, none at its timeout.
func TestWakeOfWorkersOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := &lazy{told: make(chan struct{}, 1), start: 5 * time.Millisecond}
		w.apply(t, with(w.spec(upstream.Options{Slots: 1}), map[string]upstream.Source{"lazy": s}))
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				for n := range 100 {
					begin := time.Now()
					l, err := w.pool.Acquire(t.Context(), &request{Client: from(i)})
					if err != nil {
						t.Errorf("Acquire = %v", err)
						return
					}
					if took := time.Since(begin); took > 3*time.Second {
						t.Errorf("it took %v", took)
					}
					time.Sleep(time.Duration(n%3) * time.Millisecond)
					l.Finish(200)
					time.Sleep(time.Duration(1+(i*7+n*13)%200) * time.Millisecond)
				}
			})
		}
		all.Wait()
		if s.runs < 100 {
			t.Errorf("it was started only %d times", s.runs)
		}
	})
}

// A pool that is removed gets no member any more: without one nobody waits there.
func TestARemovedPoolWithoutMembersTellsThoseThatWait(t *testing.T) {
	inTrouble(t, func(t *testing.T, w *world, p *upstream.Pool[*server], s *starter) {
		c := ask(t.Context(), p, new(request))
		change, err := w.pools.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		change.Apply()
		waitError(t, now(t, c), upstream.ErrNoMembers)
		waitError(t, now(t, ask(t.Context(), p, new(request))), upstream.ErrNoMembers)
	})
}
