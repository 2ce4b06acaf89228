package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"headgate/upstream"
)

// tryAgain asks whether a request may go again whose attempt failed so, and whose
// attempts before that were reset unread.
func tryAgain(t *testing.T, p *upstream.Pool[*server], attempt int, a upstream.Attempt) bool {
	t.Helper()
	var r request
	for range attempt - 1 {
		acquire(t, p, &r).Fail(errReset)
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Replayable: true}) {
			t.Fatal("what was never run does not go again")
		}
	}
	acquire(t, p, &r).Fail(a.Err)
	return p.Retry(t.Context(), &r, a)
}

func TestWhatGoesAgain(t *testing.T) {
	queued := &upstream.WaitError{Reason: upstream.ErrQueueTimeout}
	for _, row := range []struct {
		err                                   error
		both, idempotent, replayable, neither string // after attempt 1, 2 and 3
	}{
		{errRefused, "yyy", "yyy", "yyy", "yyy"}, // came to no connection: no attempt
		{errFull, "yyy", "yyy", "yyy", "yyy"},
		{errReset, "yy-", "---", "yy-", "---"}, // never ran
		{errLarge, "yy-", "---", "yy-", "---"},
		{errClosed, "yy-", "---", "---", "---"}, // may have run, for the first time
		{errSlow, "---", "---", "---", "---"},
		{errClient, "---", "---", "---", "---"},
		{errors.New("whatever"), "yy-", "---", "---", "---"},
		{fmt.Errorf("member: %w", errReset), "yy-", "---", "yy-", "---"},
		{queued, "---", "---", "---", "---"},
	} {
		for i, want := range []string{row.both, row.idempotent, row.replayable, row.neither} {
			for attempt := 1; attempt <= 3; attempt++ {
				a := upstream.Attempt{Err: row.err, Idempotent: i == 0 || i == 1, Replayable: i == 0 || i == 2}
				name := fmt.Sprintf("%v/idempotent=%t,replayable=%t/%d", row.err, a.Idempotent, a.Replayable, attempt)
				t.Run(name, func(t *testing.T) {
					inWorld(t, upstream.Options{}, members("a", "b", "c", "d"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
						if got := tryAgain(t, p, attempt, a); got != (want[attempt-1] == 'y') {
							t.Errorf("it may go again: %t", got)
						}
					})
				})
			}
		}
	}
}

func TestWhatMayHaveRunGoesAgainOnce(t *testing.T) {
	inWorld(t, upstream.Options{Retry: upstream.RetryOptions{Attempts: 10}}, members("a", "b", "c", "d"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		var r request
		a := upstream.Attempt{Err: errClosed, Idempotent: true, Replayable: true}
		acquire(t, p, &r).Fail(errClosed)
		if !p.Retry(t.Context(), &r, a) {
			t.Error("not once")
		}
		acquire(t, p, &r).Fail(errClosed)
		if p.Retry(t.Context(), &r, a) {
			t.Error("twice")
		}
	})
}

func TestTimeEndsRetries(t *testing.T) {
	for _, row := range []struct {
		err  error
		took time.Duration
		want bool
	}{
		{errReset, 29 * time.Second, true},
		{errReset, 31 * time.Second, false},
		{errClosed, 4900 * time.Millisecond, true},
		{errClosed, 5100 * time.Millisecond, false}, // rather killed for it than by chance
	} {
		inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
			got := tryAgain(t, p, 1, upstream.Attempt{Err: row.err, Took: row.took, Idempotent: true, Replayable: true})
			if got != row.want {
				t.Errorf("%v after %v: %t", row.err, row.took, got)
			}
		})
	}
}

func TestTimeOfAllAttemptsCountsTogether(t *testing.T) {
	inWorld(t, upstream.Options{Retry: upstream.RetryOptions{Attempts: 10}}, named(5), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		var r request
		n := 0
		for again := true; again; n++ {
			acquire(t, p, &r).Fail(errReset)
			again = p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Took: 11 * time.Second, Replayable: true})
		}
		if n != 3 {
			t.Errorf("%d attempts of 11 s within 30 s, want 3", n)
		}
	})
}

func TestTheSameMemberIsAskedAgainAfterAWait(t *testing.T) {
	for _, row := range []struct {
		members []string
		waits   []time.Duration
	}{
		{[]string{"a"}, []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}},
		{[]string{"a", "b"}, []time.Duration{0, 100 * time.Millisecond}},
		{[]string{"a", "b", "c"}, []time.Duration{0, 0}},
	} {
		inWorld(t, upstream.Options{}, members(row.members...), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
			var r request
			met := map[string]int{}
			for i, want := range row.waits {
				l := acquire(t, p, &r)
				met[l.Member().Address]++
				l.Fail(errReset)
				begin := time.Now()
				p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Replayable: true})
				if took := time.Since(begin); took != want {
					t.Errorf("of %v, after attempt %d: waited %v, want %v", row.members, i+1, took, want)
				}
			}
			met[acquire(t, p, &r).Member().Address]++
			if len(met) != len(row.members) {
				t.Errorf("of %v it met %v", row.members, met)
			}
		})
	}
}

// One that comes back stands before all others: it takes what is free, so that they
// do not wait for what it waits for.
func TestWhoComesBackTakesWhatIsFree(t *testing.T) {
	inWorld(t, upstream.Options{Slots: 1}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		l := holdOf(t, p, "b")
		var r request
		acquire(t, p, &r).Fail(errReset) // at a, the only one that is free
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Replayable: true}) {
			t.Fatal("it may not go again")
		}
		if got := visit(t, p, &r); got != "a" {
			t.Errorf("it went to %s", got)
		}
		ok(l)
	})
}

func TestAClientThatLeavesIsNotTriedAgain(t *testing.T) {
	inWorld(t, upstream.Options{}, members("a"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		ctx, cancel := context.WithCancel(t.Context())
		var r request
		acquire(t, p, &r).Fail(errReset)
		time.AfterFunc(10*time.Millisecond, cancel)
		begin := time.Now()
		if p.Retry(ctx, &r, upstream.Attempt{Err: errReset, Replayable: true}) || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("it goes again, or ends after %v", time.Since(begin))
		}
		if p.Retry(ctx, &r, upstream.Attempt{Err: errRefused, Replayable: true}) {
			t.Error("it goes again, long after")
		}
	})
}

// unlucky sends n requests of which every attempt fails, and counts attempts.
func unlucky(t *testing.T, p *upstream.Pool[*server], n int, err error) (attempts int) {
	t.Helper()
	for range n {
		var r request
		for again := true; again; attempts++ {
			acquire(t, p, &r).Fail(err)
			again = p.Retry(t.Context(), &r, upstream.Attempt{Err: err, Idempotent: true, Replayable: true})
		}
	}
	return attempts
}

func TestRetriesAreAShareOfTheTraffic(t *testing.T) {
	never := upstream.EjectOptions{Failures: -1}
	for _, row := range []struct {
		name        string
		share       upstream.Percent
		before      int // requests that went well
		n           int
		least, most int // attempts
	}{
		{"from the start", 0, 0, 1000, 1200, 1210},
		{"half", 50, 0, 1000, 1500, 1510},
		{"no limit", -1, 0, 1000, 2000, 2000},
		{"no more than 100 are saved up", 0, 5000, 300, 455, 460},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := upstream.Options{Eject: never, Retry: upstream.RetryOptions{Budget: row.share}}
			inWorld(t, o, members("a", "b", "c"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
				shares(t, p, row.before)
				if got := unlucky(t, p, row.n, errClosed); got < row.least || got > row.most {
					t.Errorf("%d attempts for %d requests, want %d to %d", got, row.n, row.least, row.most)
				}
			})
		})
	}
}

// TestWhatNeverRanHasABudgetOfItsOwn: a server that stops resets all that lies in
// its backlog at once.
func TestWhatNeverRanHasABudgetOfItsOwn(t *testing.T) {
	o := upstream.Options{Eject: upstream.EjectOptions{Failures: -1}, Queue: upstream.QueueOptions{Limit: 3}}
	inWorld(t, o, members("a", "b", "c"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		if got := unlucky(t, p, 150, errReset); got < 430 || got > 450 { // 256, and 20 % of 150
			t.Errorf("%d attempts for 150 requests", got)
		}
		var waiting sync.WaitGroup
		again := make(chan time.Duration, 10) // of those that go again, after how long; 0: they do not
		begin := time.Now()
		for range 5 {
			var r request
			acquire(t, p, &r).Fail(errReset)
			waiting.Go(func() {
				if p.Retry(t.Context(), &r, upstream.Attempt{Err: errReset, Replayable: true}) {
					again <- time.Since(begin)
				} else {
					again <- 0
				}
			})
		}
		after(500 * time.Millisecond)
		if len(again) != 2 {
			t.Errorf("%d of 5 do not wait where 3 may", len(again))
		}
		shares(t, p, 5)
		waiting.Wait()
		close(again)
		well := 0
		for took := range again {
			if took > 0 {
				well++
			}
		}
		if took := time.Since(begin); well < 1 || well > 2 || took > 1100*time.Millisecond {
			t.Errorf("%d went again with a new budget, the last after %v", well, took)
		}
	})
}

func TestOneAttemptIsOne(t *testing.T) {
	inWorld(t, upstream.Options{Retry: upstream.RetryOptions{Attempts: 1}}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		if n := unlucky(t, p, 10, errReset); n != 10 {
			t.Errorf("%d attempts for 10 requests", n)
		}
	})
}

// TestWhatIsWrongWithARequestCostsNobody: what a client sends cannot use up the
// retries of the others.
func TestWhatIsWrongWithARequestCostsNobody(t *testing.T) {
	tooLarge := &fakeError{text: "too large", unsent: true, blameless: true}
	inWorld(t, upstream.Options{}, members("a", "b"), func(t *testing.T, _ *world, p *upstream.Pool[*server]) {
		begin := time.Now()
		if got := unlucky(t, p, 1000, tooLarge); got != 2000 || time.Since(begin) > 0 {
			t.Errorf("%d attempts for 1000 requests and 2 members, in %v", got, time.Since(begin))
		}
		if got := unlucky(t, p, 8, errClosed); got != 16 {
			t.Errorf("%d attempts for 8 requests: the budget is gone", got)
		}
	})
}
