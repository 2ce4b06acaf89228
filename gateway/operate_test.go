package gateway_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/uwsgi/uwsgitest"
)

// held starts a worker that answers requests when answer is called, or when the
// test ends.
func held(t *testing.T) (w *uwsgitest.Worker, answer func()) {
	t.Helper()
	may := make(chan struct{})
	w = uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			<-may
			c.Send(answerOK)
		}
	})
	answer = sync.OnceFunc(func() { close(may) })
	t.Cleanup(answer)
	return w, answer
}

// untilPool waits for a snapshot of the only pool that is as wanted.
func untilPool(t *testing.T, g *gatewaytest.Gateway, what string, ok func(stats.Pool) bool) stats.Pool {
	t.Helper()
	over := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p := poolOf(g)
		if ok(p) {
			return p
		}
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("not %s: %+v", what, p)
		}
	}
}

// later asks for / and returns where the status will be.
func later(c *gatewaytest.Client) <-chan int {
	code := make(chan int, 1)
	go func() {
		got, err := c.Try(c.Request("GET", "/", nil))
		if err != nil {
			code <- 0
			return
		}
		code <- got.Code
	}()
	return code
}

func TestDrainedMemberFinishesAndGetsNothingNew(t *testing.T) {
	t.Parallel()
	w, answer := held(t)
	other := app(t, answerOK)
	conf := before(w)
	c := alone(t, gatewaytest.H1, conf)
	first := later(c)
	untilPool(t, c.Gateway, "in flight", func(p stats.Pool) bool { return p.InFlight() == 1 })
	conf.Members = append(conf.Members, other.Addr().String())
	if err := c.Gateway.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	untilPool(t, c.Gateway, "two members that are up", func(p stats.Pool) bool {
		return len(p.Members) == 2 && p.Members[0].State == stats.MemberUp && p.Members[1].State == stats.MemberUp
	})
	addr := w.Addr().String()
	path := strings.TrimPrefix(addr, "unix:")
	got, err := c.Gateway.DrainMember("app", path, true)
	want := stats.PoolChange{Pool: "app", Member: addr, State: stats.MemberDrained, Changed: true, InFlight: 1, Up: 1}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("drain: %v (-want +got):\n%s", err, d)
	}
	for range 5 {
		if got := c.Get("/"); got.Code != 200 {
			t.Errorf("got %d beside a drained member", got.Code)
		}
	}
	if n := len(w.Requests()); n != 1 {
		t.Errorf("the drained member has %d requests, want the one from before", n)
	}
	answer()
	if code := <-first; code != 200 {
		t.Errorf("the request that ran was answered with %d", code)
	}
	untilPool(t, c.Gateway, "empty", func(p stats.Pool) bool { return p.InFlight() == 0 })
	again, err := c.Gateway.DrainMember("app", addr, true)
	if err != nil || again.Changed || again.InFlight != 0 {
		t.Errorf("drain of a drained member = %+v, %v", again, err)
	}
	back, err := c.Gateway.DrainMember("app", addr, false)
	if err != nil || !back.Changed || back.State != stats.MemberUp || back.Up != 2 {
		t.Errorf("undrain = %+v, %v", back, err)
	}
}

func TestDrainOutlivesTheMember(t *testing.T) {
	t.Parallel()
	w, other := app(t, answerOK), app(t, answerOK)
	addr := w.Addr().String()
	c := alone(t, gatewaytest.H1, before(w, other))
	if _, err := c.Gateway.DrainMember("app", addr, true); err != nil {
		t.Fatal(err)
	}
	if err := c.Gateway.ReloadWith(before(other).String()); err != nil {
		t.Fatal(err)
	}
	untilPool(t, c.Gateway, "gone", func(p stats.Pool) bool { return len(p.Members) == 1 })
	if _, err := c.Gateway.DrainMember("app", addr, true); err == nil {
		t.Error("a member that there is not was drained")
	}
	if err := c.Gateway.ReloadWith(before(w, other).String()); err != nil {
		t.Fatal(err)
	}
	p := poolOf(c.Gateway)
	if i := slices.IndexFunc(p.Members, func(m stats.Member) bool { return m.Address == addr }); i < 0 || p.Members[i].State != stats.MemberDrained {
		t.Errorf("members = %+v, want %s to be drained", p.Members, addr)
	}
	if err := c.Gateway.ReloadWith(before(other).String()); err != nil {
		t.Fatal(err)
	}
	untilPool(t, c.Gateway, "gone", func(p stats.Pool) bool { return len(p.Members) == 1 })
	got, err := c.Gateway.DrainMember("app", addr, false)
	if d := cmp.Diff(stats.PoolChange{Pool: "app", Member: addr, Changed: true, Up: 1}, got); err != nil || d != "" {
		t.Errorf("undrain of one that is no member: %v (-want +got):\n%s", err, d)
	}
	if _, err := c.Gateway.DrainMember("app", addr, false); err == nil {
		t.Error("it was undrained twice")
	}
}

func TestPausedPoolLosesNoRequest(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	c := alone(t, gatewaytest.H1, before(w))
	begin := time.Now()
	got, err := c.Gateway.PausePool("app", 0)
	if err != nil || !got.Changed || got.PausedUntil.Before(begin.Add(gateway.PauseUsual)) || got.PausedUntil.After(time.Now().Add(gateway.PauseUsual)) {
		t.Fatalf("pause = %+v, %v", got, err)
	}
	var codes []<-chan int
	for range 3 {
		codes = append(codes, later(c))
	}
	p := untilPool(t, c.Gateway, "queued", func(p stats.Pool) bool { return p.Queued == 3 })
	if !p.PausedUntil.Equal(got.PausedUntil) || len(w.Requests()) != 0 {
		t.Errorf("paused until %v, with %d requests at the worker", p.PausedUntil, len(w.Requests()))
	}
	if got, err = c.Gateway.ResumePool("app"); err != nil || !got.Changed || !got.PausedUntil.IsZero() {
		t.Errorf("resume = %+v, %v", got, err)
	}
	if got, err = c.Gateway.ResumePool("app"); err != nil || got.Changed {
		t.Errorf("resume of what is not paused = %+v, %v", got, err)
	}
	if _, err = c.Gateway.PausePool("app", 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	codes = append(codes, later(c)) // nobody ends this pause
	for i, code := range codes {
		if got := <-code; got != 200 {
			t.Errorf("request %d: got %d", i+1, got)
		}
	}
	untilPool(t, c.Gateway, "resumed", func(p stats.Pool) bool { return p.PausedUntil.IsZero() })
}

func TestPauseHasBounds(t *testing.T) {
	t.Parallel()
	c := alone(t, gatewaytest.H1, before(app(t, answerOK)))
	for _, d := range []time.Duration{-time.Second, gateway.PauseMost + time.Second} {
		if _, err := c.Gateway.PausePool("app", d); err == nil || !strings.Contains(err.Error(), "write a time up to 1h0m0s") {
			t.Errorf("pause for %s = %v", d, err)
		}
	}
	if p := poolOf(c.Gateway); !p.PausedUntil.IsZero() {
		t.Errorf("paused until %v", p.PausedUntil)
	}
}

func TestUnknownPoolsAndMembersAreToldWithTheKnown(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock", "localhost:1"}}
	g := gatewaytest.Start(t, conf.String())
	untilPool(t, g, "looked up", func(p stats.Pool) bool { return len(p.Members) >= 2 })
	all := func() (out []string) {
		for _, m := range poolOf(g).Members {
			out = append(out, m.Address)
		}
		return out
	}()
	for _, row := range []struct {
		pool, member, asked, text string
		known                     []string
	}{
		{"ap", "x", "ap", `there is no pool "ap": there is app`, []string{"app"}},
		{"app", "unix:/nowhere/v.sock", "unix:/nowhere/v.sock", `pool "app" has no member "unix:/nowhere/v.sock": it has ` + strings.Join(all, ", "), all},
		{"app", "localhost:1", "localhost:1", `"localhost:1" in pool "app" is a name, and its addresses are the members: it has ` + strings.Join(all, ", "), all},
		{"app", "\x00", "\x00", `pool "app" has no member "\x00": it has`, all},
	} {
		for _, on := range []bool{true, false} {
			_, err := g.DrainMember(row.pool, row.member, on)
			var u interface {
				NotFound() bool
				Names() (string, []string)
			}
			if !errors.As(err, &u) || !u.NotFound() || !strings.HasPrefix(err.Error(), row.text) {
				t.Errorf("%s/%s: %v, want %s", row.pool, row.member, err, row.text)
				continue
			}
			if asked, known := u.Names(); asked != row.asked || !slices.Equal(known, row.known) {
				t.Errorf("%s/%s: asked %q, known %q", row.pool, row.member, asked, known)
			}
		}
	}
	if _, err := g.PausePool("none", time.Second); err == nil {
		t.Error("a pool that there is not was paused")
	}
	if _, err := g.ResumePool("none"); err == nil {
		t.Error("a pool that there is not was resumed")
	}
}

func TestSnapshotTellsHowMembersFare(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := gatewaytest.Conf{More: "pools: {app: {members: [" +
		"{address: \"" + w.Addr().String() + "\", weight: 3, slots: 7}, " +
		"{address: \"unix:/nowhere/w.sock\", backup: true}]}}"}
	c := alone(t, gatewaytest.H1, conf)
	if got := c.Get("/"); got.Code != 200 {
		t.Fatalf("got %d", got.Code)
	}
	drained, err := c.Gateway.DrainMember("app", w.Addr().String(), true)
	if err != nil || drained.Up != 1 {
		t.Fatalf("drain = %+v, %v", drained, err)
	}
	code := later(c) // only the backup is left, and it is away
	p := untilPool(t, c.Gateway, "away", func(p stats.Pool) bool {
		return len(p.Members) == 2 && p.Queued == 1 && p.Members[0].Since != time.Time{}
	})
	if away := p.Members[0]; away.State != string(upstream.StateAway) || !strings.Contains(away.Cause, "no socket at") || !away.Backup || away.Weight != 1 || !away.Until.IsZero() {
		t.Errorf("the member that is away: %+v", away)
	}
	if up := p.Members[1]; up.State != stats.MemberDrained || up.Weight != 3 || up.Slots != 7 || up.Limit != 7 || up.Known != "config" || up.Share != 1 || up.Requests != 1 || up.Load != nil {
		t.Errorf("the member that is drained: %+v", up)
	}
	if _, err := c.Gateway.DrainMember("app", w.Addr().String(), false); err != nil {
		t.Fatal(err)
	}
	if got := <-code; got != 200 {
		t.Errorf("the request that waited: got %d", got)
	}
}

// TestStatesHaveTheirNames: stats is a leaf, and has the words of upstream again.
func TestStatesHaveTheirNames(t *testing.T) {
	for got, want := range map[string]upstream.State{
		stats.MemberUp: upstream.StateUp, stats.MemberTrial: upstream.StateTrial,
		stats.MemberDrained: upstream.StateDrained, stats.MemberLeaving: upstream.StateLeaving,
	} {
		if got != string(want) {
			t.Errorf("stats has %q, upstream %q", got, want)
		}
	}
}
