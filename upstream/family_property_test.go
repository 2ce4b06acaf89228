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

// registrar is what two sources have said of the keys of a family, and what must
// come of it: plain, and slow.
type registrar struct {
	t       *testing.T
	rnd     *rand.Rand
	w       *world
	f       *family
	sources [2]*registry
	said    [2]map[string][]string
	lost    map[string]time.Time // keys that have a pool and no members
	drivers int

	mu     sync.Mutex
	open   map[*server]bool // transports that have been made and not closed
	answer map[string]int
}

// reload gives the family new options, and sometimes another driver.
func (c *registrar) reload() {
	c.drivers += c.rnd.IntN(2)
	key := fmt.Sprint(c.drivers)
	o := upstream.Options{
		Slots: upstream.Slots(1 + c.rnd.IntN(3)), SlowStart: time.Duration(c.rnd.IntN(2)*4-1) * time.Second,
		Queue: upstream.QueueOptions{Timeout: 20 * time.Second},
	}
	each := func(name string) spec {
		s := c.w.keyed(key, o)
		s.Driver.Dial = func(m upstream.Member) (*server, error) {
			if !strings.HasPrefix(m.Address, name+"-") {
				c.t.Errorf("%s is dialled for %s", m.Address, name)
			}
			b := &server{m.Address, key}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.open[b] = true
			return b, nil
		}
		s.Driver.Close = func(b *server) {
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.open, b)
		}
		return s
	}
	sources := map[string]upstream.Source{"0": c.sources[0], "1": c.sources[1]}
	c.f = c.w.family(c.t, map[string]spec{"apps": {Sources: sources, Each: each}}, "apps")
}

// say has one source say something of one key.
func (c *registrar) say(i int, key string) {
	var ms []upstream.Member
	var names []string
	for n := range c.rnd.IntN(4) {
		if c.rnd.IntN(2) == 0 {
			m := upstream.Member{Address: fmt.Sprint(key, "-", n), Weight: c.rnd.IntN(3), Modifier2: uint8(c.rnd.IntN(2))}
			ms, names = append(ms, m), append(names, m.Address)
		}
	}
	before := len(c.named(key)) > 0 || !c.lost[key].IsZero()
	c.sources[i].set(key, ms...)
	c.said[i][key] = names
	switch some := len(c.named(key)) > 0; {
	case some:
		delete(c.lost, key)
	case before && c.lost[key].IsZero():
		c.lost[key] = time.Now()
	}
}

// named returns who the sources name for a key.
func (c *registrar) named(key string) []string {
	all := slices.Concat(c.said[0][key], c.said[1][key])
	slices.Sort(all)
	return slices.Compact(all)
}

// compare sees that the family is as it must be.
func (c *registrar) compare(keys []string) {
	synctest.Wait()
	var want []string
	for _, key := range keys {
		some, lost := c.named(key), c.lost[key]
		if !lost.IsZero() && time.Since(lost) >= upstream.FamilyLinger {
			delete(c.lost, key)
			lost = time.Time{}
		}
		p := c.f.Get(key)
		if there := len(some) > 0 || !lost.IsZero(); there != (p != nil) {
			c.t.Errorf("key %s: members %v, lost %v ago: there is a pool: %t", key, some, time.Since(lost), p != nil)
		}
		if p == nil {
			continue
		}
		want = append(want, "apps/"+key)
		if got := addresses(p); !slices.Equal(got, some) {
			c.t.Errorf("key %s: members %v, want %v", key, got, some)
		}
	}
	if got := keysOf(c.f); !slices.Equal(got, want) || c.f.Len() != len(want) {
		c.t.Errorf("keys %v, want %v", got, want)
	}
}

// visit asks a key for something, and sees how that ends.
func (c *registrar) visit(ctx context.Context, rnd *rand.Rand, key string) {
	var r request
	begun := time.Now()
	how := "no key"
	if p := c.w.pools.Family("apps").Get(key); p != nil {
		how = c.try(ctx, rnd, p, &r, key)
	}
	if took := time.Since(begun); took > 22*time.Second {
		c.t.Errorf("%s after %v", how, took)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer[how]++
}

func (c *registrar) try(ctx context.Context, rnd *rand.Rand, p *upstream.Pool[*server], r *request, key string) string {
	for {
		l, err := p.Acquire(ctx, r)
		switch {
		case errors.Is(err, upstream.ErrNoMembers):
			return "nobody"
		case errors.Is(err, upstream.ErrQueueTimeout), errors.Is(err, upstream.ErrAway):
			return "too long"
		case err != nil:
			c.t.Errorf("Acquire = %v", err)
			return "strange"
		}
		if !strings.HasPrefix(l.Transport().address, key+"-") {
			c.t.Errorf("%s answers for %s", l.Transport().address, key)
		}
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		if rnd.IntN(8) > 0 {
			l.Finish(200)
			return "answered"
		}
		l.Fail(errReset)
		if !p.Retry(ctx, r, upstream.Attempt{Err: errReset, Replayable: true}) {
			return "reset"
		}
	}
}

func (c *registrar) live(seed uint64) {
	keys := []string{"a", "b", "c", "d"}
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var visitors sync.WaitGroup
	for i := range 8 {
		visitors.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(1+i)))
			for range 60 {
				c.visit(ctx, rnd, keys[rnd.IntN(len(keys))])
				time.Sleep(time.Duration(rnd.IntN(4000)) * time.Millisecond)
			}
		})
	}
	for range 80 {
		switch c.rnd.IntN(5) {
		case 0:
			c.reload()
		default:
			c.say(c.rnd.IntN(2), keys[c.rnd.IntN(len(keys))])
		}
		c.compare(keys)
		time.Sleep(time.Duration(c.rnd.IntN(5000)) * time.Millisecond)
		c.compare(keys)
		if c.rnd.IntN(10) == 0 {
			time.Sleep(upstream.FamilyLinger + 1)
			c.compare(keys)
		}
	}
	visitors.Wait()
	c.w.family(c.t, nil, "apps")
	synctest.Wait()
	if len(c.open) > 0 {
		c.t.Errorf("transports that nobody has closed: %d", len(c.open))
	}
}

// TestAFamilyIsWhatItsSourcesSay has two sources name members of the same keys and
// take them back, while options and drivers change and requests come. Keys, pools and
// members are always those of a plain model, every request ends in time, and every
// transport is closed in the end.
func TestAFamilyIsWhatItsSourcesSay(t *testing.T) {
	seeds, all := 100, map[string]int{}
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			c := &registrar{
				t: t, rnd: rand.New(rand.NewPCG(seed, 0)), w: newWorld(t), sources: [2]*registry{newRegistry(), newRegistry()},
				said: [2]map[string][]string{{}, {}}, lost: map[string]time.Time{}, open: map[*server]bool{}, answer: map[string]int{},
			}
			c.reload()
			c.live(seed)
			for how, n := range c.answer {
				all[how] += n
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Log(all)
	for _, how := range []string{"answered", "no key", "nobody"} {
		if all[how] == 0 {
			t.Errorf("no request ended as %q", how)
		}
	}
}
