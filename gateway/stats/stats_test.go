package stats_test

import (
	"encoding/json"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/stats"
)

func TestHistogramCountsIntoCumulativeBuckets(t *testing.T) {
	var h stats.Histogram
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Millisecond + 1, 2 * time.Second, time.Hour} {
		h.Observe(d)
	}
	d := h.Snapshot()
	if d.Count != 6 {
		t.Errorf("count = %d, want 6", d.Count)
	}
	if want := 0.001 + 0.001 + 2 + 3600; math.Abs(d.Sum-want) > 1e-5 {
		t.Errorf("sum = %v, want %v", d.Sum, want)
	}
	at := map[float64]uint64{}
	last := uint64(0)
	for _, b := range d.Buckets {
		at[b.LE] = b.Count
		if b.Count < last {
			t.Errorf("bucket %v has %d, less than the one before it (%d)", b.LE, b.Count, last)
		}
		last = b.Count
	}
	for le, want := range map[float64]uint64{0.001: 3, 0.005: 4, 1: 4, 2.5: 5, 60: 5} {
		if at[le] != want {
			t.Errorf("bucket %v = %d, want %d", le, at[le], want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var h stats.Histogram
	if got := h.Snapshot().Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v, want 0", got)
	}
	for range 100 {
		h.Observe(75 * time.Millisecond) // between 0.05 and 0.1
	}
	if got := h.Snapshot().Quantile(0.5); math.Abs(got-0.075) > 1e-9 {
		t.Errorf("median = %v, want 0.075", got)
	}
	h = stats.Histogram{}
	h.Observe(time.Hour)
	if got := h.Snapshot().Quantile(0.9); got != 60 {
		t.Errorf("quantile above the last bound = %v, want 60", got)
	}
}

func TestSiteCountersByClass(t *testing.T) {
	var c stats.SiteCounters
	for _, status := range []int{200, 204, 308, 404, 503, 0, 999} {
		c.Begin()
		c.End(status, 10, 20, time.Millisecond)
	}
	c.Begin()
	c.Begin()
	c.End(200, -1, 5, 0) // an unknown length is not counted
	s := c.Snapshot("shop")
	if want := [6]uint64{2, 0, 3, 1, 1, 1}; s.Requests != want {
		t.Errorf("requests = %v, want %v", s.Requests, want)
	}
	if s.Name != "shop" || s.InFlight != 1 || s.BytesIn != 70 || s.BytesOut != 145 || s.Duration.Count != 8 {
		t.Errorf("site = %+v", s)
	}
}

func TestPoolAddsTheFailuresOfItsMembers(t *testing.T) {
	var c stats.PoolCounters
	c.Fail(stats.FailureQueueFull)
	c.Retry()
	c.Enqueue()
	c.Enqueue()
	c.Dequeue(time.Second)
	b, a := c.Member("b:1"), c.Member("a:1")
	if c.Member("a:1") != a {
		t.Error("Member gave two sets of counters to one address")
	}
	a.Begin()
	b.Begin()
	b.Fail(stats.FailureTimeout)
	b.Fail(stats.Failure(200))
	b.End()
	p := c.Snapshot("web")
	if len(p.Members) != 2 || p.Members[0].Address != "a:1" || p.Members[0].InFlight != 1 || p.Members[1].Requests != 1 || p.Members[1].InFlight != 0 {
		t.Errorf("members = %+v", p.Members)
	}
	if p.Queued != 1 || p.Retries != 1 || p.Wait.Count != 1 {
		t.Errorf("pool = %+v", p)
	}
	if p.Failures[stats.FailureQueueFull] != 1 || p.Failures[stats.FailureTimeout] != 1 || p.Failures[stats.FailureOther] != 1 {
		t.Errorf("failures = %v", p.Failures)
	}
	c.Forget("b:1")
	c.Forget("b:1")
	after := c.Snapshot("web")
	if len(after.Members) != 1 || after.Failures != p.Failures {
		t.Errorf("after Forget: %+v: a counter must not run backwards", after)
	}
}

func TestCountersKeepNumbersByName(t *testing.T) {
	c := stats.NewCounters()
	c.Site("b").Begin()
	c.Site("a").Begin()
	c.Site("a").Begin()
	c.Pool("web").Retry()
	c.Pool("old").Retry()
	sites := c.Sites()
	if len(sites) != 2 || sites[0].Name != "a" || sites[0].InFlight != 2 {
		t.Errorf("sites = %+v", sites)
	}
	c.Retain([]string{"b"}, []string{"web"})
	if s, p := c.Sites(), c.Pools(); len(s) != 1 || s[0].Name != "b" || len(p) != 1 || p[0].Name != "web" {
		t.Errorf("after Retain: sites %+v pools %+v", s, p)
	}
}

func TestConcurrentCounting(t *testing.T) {
	c := stats.NewCounters()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				c.Site("a").Begin()
				c.Site("a").End(200, 1, 1, time.Millisecond)
				c.Pool("p").Member("m").Fail(stats.FailureCut)
				c.Pools()
			}
		})
	}
	wg.Wait()
	if got := c.Sites()[0]; got.Requests[2] != 4000 || got.InFlight != 0 {
		t.Errorf("site = %+v", got)
	}
	if got := c.Pools()[0].Failures[stats.FailureCut]; got != 4000 {
		t.Errorf("failures = %d, want 4000", got)
	}
}

func TestFailureNames(t *testing.T) {
	if got := stats.FailureDrained.String(); got != "drained" {
		t.Errorf("the last kind is called %q", got)
	}
	for f := stats.FailureOther; f <= stats.FailureDrained; f++ {
		if got := stats.FailureNamed(f.String()); got != f {
			t.Errorf("FailureNamed(%q) = %d, want %d", f, got, f)
		}
	}
	if got := stats.FailureNamed("gremlins"); got != stats.FailureOther {
		t.Errorf("unknown name = %v, want other", got)
	}
}

func TestSnapshotSurvivesJSON(t *testing.T) {
	c := stats.NewCounters()
	c.Site("a").Begin()
	c.Site("a").End(502, 1, 2, time.Second)
	c.Pool("p").Member("unix:/run/a.sock").Fail(stats.FailureNoAnswer)
	want := stats.Snapshot{Version: "1.2.3", State: stats.StateReady, Sites: c.Sites(), Pools: c.Pools()}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	p := &want.Pools[0]
	p.PausedUntil, p.Overloaded = at, true
	m := &p.Members[0]
	m.State, m.Cause, m.Since, m.Until, m.Load = "away", "no socket", at, at, &stats.Load{Slots: 4, Accepting: 3, Busy: 2, Queued: 1}
	m.Slots, m.Limit, m.Known, m.Weight, m.Backup, m.Share, m.Dialect = 4, 5, "stats", 2, true, 0.5, "uwsgi"
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got stats.Snapshot
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("after JSON (-want +got):\n%s", d)
	}
	var f stats.Failures
	if err := json.Unmarshal([]byte(`{"timeout":2,"from the future":3}`), &f); err != nil || f[stats.FailureTimeout] != 2 || f[stats.FailureOther] != 3 {
		t.Errorf("failures = %v, %v", f, err)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var s stats.SiteCounters
	var p stats.PoolCounters
	m := p.Member("a")
	n := testing.AllocsPerRun(100, func() {
		s.Begin()
		p.Enqueue()
		p.Dequeue(time.Millisecond)
		m.Begin()
		m.Fail(stats.FailureTimeout)
		m.End()
		s.End(200, 1, 1, time.Second)
	})
	if n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkSite(b *testing.B) {
	var s stats.SiteCounters
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Begin()
			s.End(200, 100, 1000, 3*time.Millisecond)
		}
	})
}
