package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
	"headgate/upstream/subscribe"
)

func TestAnnouncedIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, subscribe.Options{Allow: []subscribe.Rule{{Modifiers: []int{0, 9}}}}, subscribe.Setup{})
		w := hear(t, s)
		s.Handle(announce("Shop.Example:8000", ":3031"), remote)
		s.Handle(announce("shop.example", "192.0.2.7:3032", "weight", "7", "cores", "0", "backup", "2"), remote)
		s.Handle(announce("shop.example", "192.0.2.7:3033", "modifier1", "9", "modifier2", "3"), remote)
		s.Handle(announce(".example.com", "/run/app.sock"), local)
		synctest.Wait()
		time.Sleep(time.Second)
		if got, want := w.of("shop.example"), "192.0.2.7:3031/1/6 192.0.2.7:3032/7/0/backup 192.0.2.7:3033/1/6/m9.3"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := w.of(".example.com"), "unix:/run/app.sock/1/6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for host, want := range map[string]bool{
			"shop.example": true, "SHOP.example.": true, "a.shop.example": false, "a.b.example.com": true, "x.example.com": true, "example.com": false,
			"1.2.3.4.5.example.com": false, "1.2.3.example.com": true, "": false, "a..b": false,
		} {
			if got := s.Knows(host); got != want {
				t.Errorf("Knows(%q) = %v, want %v", host, got, want)
			}
		}
		s.Handle(withdraw("shop.example", "192.0.2.7:3031"), remote)
		s.Handle(withdraw(".example.com", "/run/app.sock"), local)
		time.Sleep(time.Second)
		if got, want := w.of("shop.example"), "192.0.2.7:3032/7/0/backup 192.0.2.7:3033/1/6/m9.3"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := w.of(".example.com"); got != "" || s.Knows("x.example.com") {
			t.Errorf("got %s, want an empty word", got)
		}
	})
}

// TestExpiry: what is announced again stays, with what it says then; modifiers are
// those of the first time.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := subscribe.Options{Expire: 20 * time.Second, Allow: []subscribe.Rule{{Modifiers: []int{0, 5}}}}
		s := deaf(t, o, subscribe.Setup{})
		w := hear(t, s)
		s.Handle(announce("a.example", ":2"), local) // the oldest is the one that stays
		s.Handle(announce("a.example", ":1"), local)
		time.Sleep(15 * time.Second)
		s.Handle(announce("a.example", ":2", "weight", "3", "load", "9", "modifier1", "5"), local)
		time.Sleep(6 * time.Second)
		if got, want := w.of("a.example"), "127.0.0.1:2/3/6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if n := s.Snapshot().Nodes; len(n) != 1 || n[0].Load != 9 || n[0].Last.Sub(n[0].Since) != 15*time.Second {
			t.Errorf("got %+v", n)
		}
		calls := w.count("a.example")
		s.Handle(announce("a.example", ":2", "weight", "3", "load", "1"), local)
		time.Sleep(15 * time.Second)
		if got := w.count("a.example"); got != calls {
			t.Errorf("a load that is another one was told to the pool (%d calls, were %d)", got, calls)
		}
		time.Sleep(6 * time.Second)
		if got := w.of("a.example"); got != "" || nodes(s) != "" {
			t.Errorf("got %s, %s, want nobody", got, nodes(s))
		}
		if c := s.Snapshot().Counters; c.Expired != 2 || c.Accepted != 4 {
			t.Errorf("got %+v", c)
		}
	})
}

// gate is a probe that passes when it is opened.
type gate struct {
	open  atomic.Bool
	mu    sync.Mutex // guards the fields below
	times []time.Duration
	begun time.Time
	hang  bool // until the end of ctx
	now   int
	most  int
}

// asked returns when there were probes.
func (g *gate) asked() []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.times)
}

// atWork returns how many run now, and how many have run at once.
func (g *gate) atWork() (now, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now, g.most
}

func (g *gate) probe(ctx context.Context, _ upstream.Member) error {
	g.mu.Lock()
	g.times = append(g.times, time.Since(g.begun))
	g.now++
	g.most = max(g.most, g.now)
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}()
	if g.hang {
		<-ctx.Done()
	}
	if g.open.Load() {
		return nil
	}
	return errors.New("connection refused")
}

func TestNodeIsNamedWhenItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{begun: time.Now()}
		s := deaf(t, subscribe.Options{}, subscribe.Setup{Probe: g.probe})
		w := hear(t, s)
		s.Handle(announce("a.example", ":1"), local)
		time.Sleep(6 * time.Second)
		if got := w.of("a.example"); got != "nothing" || s.Knows("a.example") {
			t.Errorf("got %s of what does not serve", got)
		}
		if n := s.Snapshot().Nodes[0]; n.Ready || n.Error != "connection refused" {
			t.Errorf("got %+v", n)
		}
		want := []time.Duration{0, 50, 150, 350, 750, 1550, 3150, 5150}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if got := fmt.Sprint(g.asked()); got != fmt.Sprint(want) {
			t.Errorf("probes at %s, want %s", got, want)
		}
		g.open.Store(true)
		time.Sleep(2 * time.Second)
		if got, want := w.of("a.example"), "127.0.0.1:1/1/6"; got != want || !s.Knows("a.example") {
			t.Errorf("got %s, want %s", got, want)
		}
		g.open.Store(false)
		calls := len(g.asked())
		s.Handle(announce("a.example", ":1"), local)
		time.Sleep(10 * time.Second)
		if got := w.of("a.example"); got != "127.0.0.1:1/1/6" || len(g.asked()) != calls {
			t.Errorf("got %s after %d probes, want that a ready one is left to the pool", got, len(g.asked())-calls)
		}
	})
}

// TestProbesEnd: nobody is asked any more who is unannounced, expired or not allowed.
func TestProbesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{begun: time.Now()}
		s := deaf(t, subscribe.Options{Expire: 5 * time.Second}, subscribe.Setup{Probe: g.probe})
		s.Handle(announce("a.example", ":1"), local)
		s.Handle(announce("b.example", ":1"), local)
		time.Sleep(time.Second)
		s.Handle(withdraw("a.example", ":1"), local)
		time.Sleep(6 * time.Second)
		calls := len(g.asked())
		time.Sleep(time.Minute)
		if len(g.asked()) != calls || nodes(s) != "" {
			t.Errorf("%d probes more, of %s", len(g.asked())-calls, nodes(s))
		}
	})
}

// TestProbesAtOnce: nodes whose probes hang do not keep new ones waiting for longer
// than a probe may take, and a probe whose node goes is given up.
func TestProbesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{begun: time.Now(), hang: true}
		hang := func(ctx context.Context, m upstream.Member) error {
			if strings.HasSuffix(m.Address, ":9999") {
				return nil
			}
			return g.probe(ctx, m)
		}
		s := deaf(t, subscribe.Options{}, subscribe.Setup{Probe: hang})
		w := hear(t, s)
		for i := range 500 {
			s.Handle(announce("a.example", fmt.Sprintf(":%d", i+1)), local)
		}
		synctest.Wait()
		if now, _ := g.atWork(); now != 64 {
			t.Errorf("%d probes at once, want 64", now)
		}
		s.Handle(withdraw("a.example", ":1"), local)
		synctest.Wait()
		if now, _ := g.atWork(); now != 64 || len(g.asked()) != 65 {
			t.Errorf("%d probes at once, %d in all, want that the next one has its turn", now, len(g.asked()))
		}
		time.Sleep(17 * time.Second) // all were asked once
		s.Handle(announce("b.example", ":9999"), local)
		time.Sleep(2*time.Second + 100*time.Millisecond)
		if got, want := w.of("b.example"), "127.0.0.1:9999/1/6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if _, most := g.atWork(); most > 64 {
			t.Errorf("%d probes at once", most)
		}
	})
}

// TestSourcesAreIndependent: each says all at first and changes after that, at most
// once in 20 ms, and the end of one is none of the others'.
func TestSourcesAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, subscribe.Options{}, subscribe.Setup{})
		first := hear(t, s)
		s.Handle(announce("a.example", ":1"), local)
		time.Sleep(time.Second)

		ctx, cancel := context.WithCancel(t.Context())
		second, ended := newWords(), make(chan error, 1)
		go func() { ended <- s.Source().Run(ctx, second.set) }()
		synctest.Wait()
		if got, want := second.of("a.example"), "127.0.0.1:1/1/6"; got != want {
			t.Errorf("a second source begins with %s, want %s", got, want)
		}
		for i := range 100 {
			s.Handle(announce("a.example", fmt.Sprintf(":%d", i+1)), local)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		times := first.when("a.example")
		for i := 1; i < len(times); i++ {
			if pause := times[i].Sub(times[i-1]); pause < 20*time.Millisecond {
				t.Errorf("said again after %v", pause)
			}
		}
		if n := first.count("a.example"); n < 3 || n > 8 {
			t.Errorf("said %d times, want about 6", n)
		}
		if n := strings.Count(second.of("a.example"), "127.0.0.1"); n != 100 {
			t.Errorf("the second one knows of %d, want 100", n)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		s.Handle(announce("b.example", ":1"), local)
		time.Sleep(time.Second)
		if first.of("b.example") != "127.0.0.1:1/1/6" || second.of("b.example") != "nothing" {
			t.Errorf("got %s and %s after the end of the second", first.of("b.example"), second.of("b.example"))
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s := deaf(t, subscribe.Options{MaxKeys: 2, MaxNodes: 3}, subscribe.Setup{Log: j.logger()})
		for i := range 5 {
			for k := range 3 {
				s.Handle(announce(fmt.Sprintf("k%d.example", k), fmt.Sprintf(":%d", i+1)), local)
			}
			time.Sleep(time.Second)
		}
		if got := len(s.Snapshot().Nodes); got != 6 {
			t.Errorf("%d nodes, want 6: %s", got, nodes(s))
		}
		if c := s.Snapshot().Counters; c.Full != 9 || c.Accepted != 6 {
			t.Errorf("got %+v", c)
		}
		if n := strings.Count(j.String(), "why=full"); n != 1 {
			t.Errorf("the log says it %d times, want once:\n%s", n, j)
		}
		time.Sleep(time.Minute)
		if n := strings.Count(j.String(), "why=full"); n != 2 || !strings.Contains(j.String(), "count=8") {
			t.Errorf("the log says it %d times, want one more with their number:\n%s", n, j)
		}
		s.Handle(withdraw("k0.example", ":1"), local)
		s.Handle(announce("k0.example", ":9"), local)
		if !strings.Contains(nodes(s), ":9") {
			t.Error("there is no room where one has left")
		}
	})
}

// TestMovedInstance: one that comes back at another address is a member beside its old
// self, which goes when it has unsubscribed or is too old.
func TestMovedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := deaf(t, subscribe.Options{}, subscribe.Setup{})
		w := hear(t, s)
		s.Handle(announce("a.example", "192.0.2.7:1"), remote)
		time.Sleep(10 * time.Second)
		s.Handle(announce("a.example", ":1"), subscribe.FromIP("192.0.2.8"))
		time.Sleep(time.Second)
		if got, want := w.of("a.example"), "192.0.2.7:1/1/6 192.0.2.8:1/1/6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		time.Sleep(20 * time.Second)
		if got, want := w.of("a.example"), "192.0.2.8:1/1/6"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestUseJudgesNodes: nodes that other rules do not allow are gone at once, others are
// not touched.
func TestUseJudgesNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s := deaf(t, subscribe.Options{}, subscribe.Setup{Log: j.logger()})
		w := hear(t, s)
		s.Handle(announce("a.example", ":1"), local)
		s.Handle(announce("a.example", ":1"), remote)
		s.Handle(announce("b.example", ":1"), remote)
		time.Sleep(time.Second)
		useDeaf(t, s, subscribe.Options{Allow: []subscribe.Rule{{From: []string{"192.0.2.0/24"}, Keys: []string{"a.example"}}}})
		time.Sleep(time.Second)
		if w.of("a.example") != "192.0.2.7:1/1/6" || w.of("b.example") != "" {
			t.Errorf("got %s and %s", w.of("a.example"), w.of("b.example"))
		}
		s.Use(subscribe.Options{}, nil)
		time.Sleep(time.Second)
		if w.of("a.example") != "" || nodes(s) != "" {
			t.Errorf("got %s, want nobody without a server", nodes(s))
		}
		s.Handle(announce("a.example", ":1"), local)
		if nodes(s) != "" {
			t.Error("a server that is off takes announcements")
		}
	})
}

// TestRefusalsInTheLog: each kind once in 10 s of a source, then how many; no number of
// sources makes it more than so many lines.
func TestRefusalsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &journal{}
		s := deaf(t, subscribe.Options{Allow: []subscribe.Rule{{Keys: []string{"a.example"}}}}, subscribe.Setup{Log: j.logger()})
		for range 1000 {
			s.Handle([]byte("garbage"), remote)
			s.Handle(announce("b.example", ":1"), remote)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(21 * time.Second)
		if n := strings.Count(j.String(), "malformed"); n != 3 {
			t.Errorf("the log says it %d times in 20 s, want 3:\n%s", n, j)
		}
		if n := strings.Count(j.String(), "not allowed"); n != 3 {
			t.Errorf("the log says it %d times in 20 s, want 3:\n%s", n, j)
		}
		lines := strings.Count(j.String(), "\n")
		for i := range 100_000 {
			s.Handle([]byte("garbage"), subscribe.FromIP(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
		}
		if n := strings.Count(j.String(), "\n") - lines; n > 40 || s.Told() > 40 {
			t.Errorf("%d lines, %d sources remembered, want at most 40", n, s.Told())
		}
		if c := s.Snapshot().Counters; c.Malformed != 101_000 || c.NotAllowed != 1000 {
			t.Errorf("got %+v", c)
		}
		time.Sleep(30 * time.Second)
		if s.Told() != 0 {
			t.Errorf("%d sources remembered, want none", s.Told())
		}
	})
}
