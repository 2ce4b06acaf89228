package upstream_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"headgate/upstream"
)

// crowd is a load of Poisson arrivals, 240 requests a second, on a pool that
// answers 200, for five minutes with a timeout of 30 s. The seed is fixed: what
// comes of it is the same each time.
type crowd struct {
	fair bool
	page int                           // so many requests come at once, as a browser sends them; 0: 1
	from func(i int, r *rand.Rand) int // who sends the i-th of these; client 0 is the heavy one

	q     upstream.Queue
	all   []*crowdEntry // by age
	ended int           // so many of all, from the first, have been answered or lost
	waits [2][]time.Duration
	lost  [2]int
}

// crowdEntry is a request; its waiter is nil once it has been answered.
type crowdEntry struct {
	w     *upstream.Waiter
	since time.Duration
	group int // 1: of the heavy client
}

const (
	crowdTimeout = 30 * time.Second
	crowdLength  = 300 * time.Second
	crowdCounted = crowdLength * 2 / 3 // only the last third counts
)

func (c *crowd) run(t *testing.T) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	page := max(1, c.page)
	gap := func() time.Duration {
		return time.Duration(r.ExpFloat64() * float64(time.Second) / 240 * float64(page))
	}
	c.q.Configure(0, crowdTimeout, c.fair)
	arrival := gap()
	for at := time.Duration(0); at < crowdLength; at += time.Second / 200 {
		for ; arrival <= at; arrival += gap() {
			from := c.from(len(c.all)/page, r)
			for range page {
				c.arrive(arrival, from)
			}
		}
		c.expire(at)
		c.answer(at)
	}
	for g := range c.waits {
		slices.Sort(c.waits[g])
		t.Logf("group %d: %d answered, %d lost, median %s, p90 %s, p99 %s",
			g, len(c.waits[g]), c.lost[g], c.wait(g, 50), c.wait(g, 90), c.wait(g, 99))
	}
}

func (c *crowd) arrive(at time.Duration, from int) {
	e := &crowdEntry{since: at}
	if from == 0 {
		e.group = 1
	}
	e.w = upstream.NewWaiter(client(from), 0, epoch.Add(at), false, nil, e)
	c.q.Push(e.w, epoch.Add(at))
	c.all = append(c.all, e)
}

func (c *crowd) expire(at time.Duration) {
	for ; c.ended < len(c.all); c.ended++ {
		e := c.all[c.ended]
		if e.w == nil {
			continue
		}
		if at-e.since < crowdTimeout {
			return
		}
		c.q.Remove(e.w)
		if at >= crowdCounted {
			c.lost[e.group]++
		}
	}
}

func (c *crowd) answer(at time.Duration) {
	w := c.q.Next(epoch.Add(at), nil)
	if w == nil {
		return
	}
	c.q.Take(w)
	e := w.Owner().(*crowdEntry)
	e.w = nil
	if at >= crowdCounted {
		c.waits[e.group] = append(c.waits[e.group], at-e.since)
	}
}

// wait returns a percentile of a group's waits.
func (c *crowd) wait(group, percent int) time.Duration {
	if len(c.waits[group]) == 0 {
		return 0
	}
	return c.waits[group][(len(c.waits[group])-1)*percent/100].Round(time.Millisecond)
}

// Whoever sends, and however many at once, under overload those who are answered are answered soon, no slot
// stays idle, and no more are lost than must be (40 a second of 240).
func TestQueueCrowds(t *testing.T) {
	own := func(i int, _ *rand.Rand) int { return i + 1 }
	for _, test := range []struct {
		name  string
		crowd *crowd
	}{
		{"each its own address", &crowd{fair: true, from: own}},
		{"50 addresses", &crowd{fair: true, from: func(_ int, r *rand.Rand) int { return 1 + r.IntN(50) }}},
		{"3000 addresses that ask again", &crowd{fair: true, from: func(_ int, r *rand.Rand) int { return 1 + r.IntN(3000) }}},
		{"fairness off", &crowd{from: own}},
		{"pages of 2", &crowd{fair: true, page: 2, from: own}},
		{"pages of 6", &crowd{fair: true, page: 6, from: own}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.crowd
			c.run(t)
			if got := c.wait(0, 50); got >= time.Second {
				t.Errorf("median wait %s, want below 1s", got)
			}
			if n := len(c.waits[0]); n != 100*200 {
				t.Errorf("%d answered, want all of 20000 slots used", n)
			}
			if c.lost[0] > 4500 {
				t.Errorf("%d lost, want about 4000", c.lost[0])
			}
		})
	}
}

// A client that sends half of the load has half of the turns, and no more, beside
// a crowd with a request each; neither waits long.
func TestQueueHeavyClientBesideACrowd(t *testing.T) {
	c := &crowd{fair: true, from: func(i int, r *rand.Rand) int { return (i + 1) * r.IntN(2) }}
	c.run(t)
	for g, n := range []int{len(c.waits[0]), len(c.waits[1])} {
		if n < 9900 || n > 10100 {
			t.Errorf("group %d: %d answered, want half of 20000", g, n)
		}
		if got := c.wait(g, 50); got >= time.Second {
			t.Errorf("group %d: median wait %s, want below 1s", g, got)
		}
	}
}

// Under overload, while both fresh and seasoned clients wait, neither kind has
// more than one turn more than the other, in any window.
func TestQueueTurnsAlternateUnderOverload(t *testing.T) {
	r := random(t)
	for range 100 {
		s := &stage{t: t, r: r, q: &upstream.Queue{}, now: epoch, bound: []any{nil}}
		s.q.Configure(0, time.Second, true)
		var waiting [12]int
		var turns [12]int // of each since it began to wait
		last := 0         // 1 fresh, 2 seasoned, 0 any
		for range 500 {
			s.tick()
			if r.IntN(20) < 11 {
				e := &entry{client: min(r.IntN(30), 11)}
				e.w = upstream.NewWaiter(client(e.client), 0, s.now, false, nil, e)
				s.q.Push(e.w, s.now)
				waiting[e.client]++
				continue
			}
			w, kinds := s.q.Next(s.now, nil), 0
			if w == nil {
				continue
			}
			for c, n := range waiting {
				switch {
				case n > 0 && turns[c] >= quantum:
					kinds |= 2
				case n > 0:
					kinds |= 1
				}
			}
			e, kind := w.Owner().(*entry), 1
			if turns[e.client] >= quantum {
				kind = 2
			}
			if kinds == 3 && s.q.Overloaded(s.now) && kind == last {
				t.Fatalf("two turns in a row of kind %d, with both waiting", kind)
			}
			s.q.Take(w)
			last = kind
			waiting[e.client]--
			if turns[e.client]++; waiting[e.client] == 0 {
				turns[e.client] = 0
			}
			if !slices.ContainsFunc(waiting[:], func(n int) bool { return n > 0 }) {
				last = 0
			}
		}
	}
}
