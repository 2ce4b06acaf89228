package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// town is workers, clients and an operator around one pool.
type town struct {
	t       *testing.T
	rnd     *rand.Rand // of the operator
	pools   *upstream.Pools[*worker]
	pool    *upstream.Pool[*worker]
	workers []*worker
	check   bool
	timeout time.Duration // of the queue

	mu    sync.Mutex
	ended map[string]int
}

func newTown(t *testing.T, seed uint64) *town {
	c := &town{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), ended: map[string]int{}, pools: upstream.NewPools[*worker](nil)}
	c.check = c.rnd.IntN(2) == 0
	c.timeout = time.Duration(100+c.rnd.IntN(3000)) * time.Millisecond
	for i := range 2 + c.rnd.IntN(4) {
		cores := 1 + c.rnd.IntN(3)
		w := &worker{
			address: fmt.Sprint("w", i), cores: make(chan struct{}, cores), backlog: 4 + c.rnd.IntN(20),
			killed: make(chan struct{}), flushed: make(chan struct{}),
		}
		for range cores {
			w.cores <- struct{}{}
		}
		if w.slots = cores; c.rnd.IntN(2) == 0 { // some are given more than they have cores for
			w.slots = 8
		}
		c.workers = append(c.workers, w)
	}
	return c
}

// reload makes the pool have those workers, with random options.
func (c *town) reload(workers []*worker) {
	var ms []upstream.Member
	for i, w := range workers {
		ms = append(ms, upstream.Member{Address: w.address, Slots: w.slots, Backup: i > 2, Weight: c.rnd.IntN(3)})
	}
	o := upstream.Options{
		Queue: upstream.QueueOptions{Limit: 4 + c.rnd.IntN(40), Timeout: c.timeout, Fairness: upstream.Fairness(c.rnd.IntN(2))},
		Balance: []upstream.Balance{
			{}, {Rule: upstream.RoundRobin}, {Rule: upstream.IPHash}, {Sticky: upstream.Sticky{Cookie: "member"}},
		}[c.rnd.IntN(4)],
	}
	if c.check {
		o.Check = upstream.CheckOptions{Path: "/", Interval: 500 * time.Millisecond}
	}
	s := upstream.Spec[*worker]{Options: o, Members: ms, Driver: upstream.Driver[*worker]{
		Key: fmt.Sprint(c.rnd.IntN(2)),
		Dial: func(m upstream.Member) (*worker, error) {
			for _, w := range c.workers {
				if w.address == m.Address {
					return w, nil
				}
			}
			return nil, errors.New("there is no such worker")
		},
		Reach: func(_ context.Context, w *worker) error { return w.reach() },
		Check: func(ctx context.Context, w *worker, _ upstream.CheckOptions) error {
			c.lease(w, 1)
			defer c.lease(w, -1)
			time.Sleep(time.Millisecond)
			if status, err := w.do(ctx, new(job), time.Millisecond); err != nil || status != 200 {
				return errors.Join(err, ctx.Err())
			}
			return nil
		},
	}}
	change, err := c.pools.Build(map[string]upstream.Spec[*worker]{"web": s})
	if err != nil {
		c.t.Fatal(err)
	}
	change.Apply()
	if c.pool == nil {
		c.pool = c.pools.Get("web")
	}
}

func (c *town) lease(w *worker, n int) { w.lease(c.t, n) }

// operate does what happens to a pool in bad times, until ctx ends, and then
// makes everything well.
func (c *town) operate(ctx context.Context) {
	for ctx.Err() == nil {
		w := c.workers[c.rnd.IntN(len(c.workers))]
		switch c.rnd.IntN(9) {
		case 0, 1: // dies, and is there again after a while
			w.flush(true, true)
			time.AfterFunc(time.Duration(c.rnd.IntN(1500))*time.Millisecond, func() { w.set(false, false) })
		case 2: // graceful: what runs goes on
			w.flush(false, true)
			time.AfterFunc(time.Duration(c.rnd.IntN(300))*time.Millisecond, func() { w.set(false, false) })
		case 3: // one that nothing is seen of
			w.flush(true, false)
		case 4:
			w.set(false, true)
			time.AfterFunc(time.Duration(c.rnd.IntN(1000))*time.Millisecond, func() { w.set(false, false) })
		case 5:
			c.pool.Drain(w.address, true)
			time.AfterFunc(time.Duration(c.rnd.IntN(1000))*time.Millisecond, func() { c.pool.Drain(w.address, false) })
		case 6:
			c.pool.Pause(time.Now().Add(time.Duration(c.rnd.IntN(500)) * time.Millisecond))
		case 7:
			c.pool.Resume()
		case 8:
			c.reload(c.workers[:1+c.rnd.IntN(len(c.workers))])
		}
		sleepOr(ctx, time.Duration(c.rnd.IntN(400))*time.Millisecond)
	}
	time.Sleep(2 * time.Second) // all that was to happen has
	c.pool.Resume()
	c.reload(c.workers)
	for _, w := range c.workers {
		w.set(false, false)
		c.pool.Drain(w.address, false)
	}
}

func sleepOr(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// visit sends one request and sees that all that was promised of it is kept.
func (c *town) visit(ctx context.Context, rnd *rand.Rand, client int, cookie *string) {
	j := &job{post: rnd.IntN(2) == 0, replayable: rnd.IntN(8) > 0}
	if rnd.IntN(20) == 0 {
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, time.Duration(rnd.IntN(200))*time.Millisecond)
		defer leave()
	}
	r := upstream.Request[*worker]{Client: from(client), Priority: upstream.Priority(rnd.IntN(3) - 1), Sticky: *cookie}
	service := time.Duration(1+rnd.IntN(60)) * time.Millisecond
	begun, waited := time.Now(), time.Duration(0)
	for {
		err := c.try(ctx, &r, j, service, cookie, &waited)
		took := time.Since(begun)
		if waited > c.timeout {
			c.t.Errorf("it waited %v, want %v at most", waited, c.timeout)
		}
		if err != nil && c.pool.Retry(ctx, &r, upstream.Attempt{Err: err, Took: 0, Idempotent: !j.post, Replayable: j.replayable}) {
			continue
		}
		c.end(ctx, &r, j, err, took)
		return
	}
}

func (c *town) try(ctx context.Context, r *upstream.Request[*worker], j *job, service time.Duration, cookie *string, waited *time.Duration) error {
	queued := time.Now()
	l, err := c.pool.Acquire(ctx, r)
	*waited += time.Since(queued)
	if err != nil {
		return err
	}
	if l.Cookie() != "" {
		*cookie = l.Cookie()
	}
	w := l.Transport()
	c.lease(w, 1)
	status, err := w.do(ctx, j, service)
	if err != nil {
		c.lease(w, -1)
		l.Fail(err)
		return err
	}
	l.Answered(status)
	time.Sleep(time.Millisecond) // the body
	c.lease(w, -1)
	l.Release()
	return nil
}

// end judges how a request ended.
func (c *town) end(ctx context.Context, r *upstream.Request[*worker], j *job, err error, took time.Duration) {
	most := 2
	if j.post {
		most = 1
	}
	if j.runs > most || !j.replayable && j.accepted > 1 {
		c.t.Errorf("%+v: it ran too often", *j)
	}
	var wait *upstream.WaitError
	reason := "answered"
	switch {
	case err == nil && j.runs == 0:
		c.t.Errorf("%+v: answered, and nobody has run it", *j)
	case err == nil:
	case ctx.Err() != nil:
		reason = "left"
	case errors.As(err, &wait):
		reason = wait.Reason.Error()
	case errors.Is(err, errClosed) && j.runs > 0:
		reason = "killed with its worker"
		if !j.post && j.replayable && j.runs < 2 && r.Attempts() < 3 && took < time.Second {
			reason = "killed, and no budget"
		}
	case errors.Is(err, errReset) && (!j.replayable || r.Attempts() >= 3 || took >= 30*time.Second):
		reason = "reset each time"
	default:
		c.t.Errorf("%+v: it was lost: %v after %d attempts and %v", *j, err, r.Attempts(), took)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended[reason]++
}

func (c *town) live(clients, requests int, seed uint64) {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var background, visitors sync.WaitGroup
	background.Go(func() { c.pools.Run(ctx) })
	c.reload(c.workers)
	busy, quiet := context.WithCancel(ctx)
	var operator sync.WaitGroup
	operator.Go(func() { c.operate(busy) })
	for i := range clients {
		visitors.Go(func() {
			rnd, cookie := rand.New(rand.NewPCG(seed, uint64(1+i))), ""
			for range requests {
				c.visit(ctx, rnd, i, &cookie)
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
			}
		})
	}
	visitors.Wait()
	quiet()
	operator.Wait()
	time.Sleep(time.Minute)
	c.settled()
	cancel()
	background.Wait()
}

// settled sees that the pool is as new when all is over.
func (c *town) settled() {
	s := c.pool.Snapshot()
	if slices.ContainsFunc(s.Members, func(m upstream.MemberState) bool { return m.InFlight > 0 }) && c.check {
		time.Sleep(100 * time.Millisecond) // that may have been a check
		s = c.pool.Snapshot()
	}
	if s.Queued != 0 || len(s.Members) != len(c.workers) {
		c.t.Errorf("%d wait, and there are %d members, want 0 and %d", s.Queued, len(s.Members), len(c.workers))
	}
	for _, m := range s.Members {
		if m.InFlight != 0 || m.State == upstream.StateAway || m.State == upstream.StateFailing || m.State == upstream.StateDrained {
			c.t.Errorf("afterwards: %+v", m)
		}
	}
	for range 20 {
		if err := c.try(c.t.Context(), new(upstream.Request[*worker]), new(job), time.Millisecond, new(string), new(time.Duration)); err != nil {
			c.t.Errorf("afterwards: %v", err)
		}
	}
}

// TestNoRequestIsLost has clients, workers that die and an operator that changes
// his mind meet in one pool. Every request ends: it is answered or has a reason;
// none is lost that never ran; none runs twice that must not; no worker has more
// requests than slots; nobody waits for longer than the timeout of the queue.
func TestNoRequestIsLost(t *testing.T) {
	seeds, all := 300, map[string]int{}
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTown(t, seed)
				c.live(16, 40, seed)
				for reason, n := range c.ended {
					all[reason] += n
				}
			})
		})
	}
	t.Log(all)
	sum := 0
	for _, n := range all {
		sum += n
	}
	if sum != seeds*16*40 || all["answered"] < sum*6/10 {
		t.Errorf("%d requests ended, %d of them answered", sum, all["answered"])
	}
	for _, reason := range []string{"left", "reset each time", "killed with its worker", "queue is full", "in time"} {
		found := false
		for r := range all {
			found = found || strings.Contains(r, reason)
		}
		if !found && !testing.Short() {
			t.Errorf("no request ended as %q: the times were too good", reason)
		}
	}
}
