package worker_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
	"headgate/upstream/worker/python"
)

// follow lets a meter follow a load for a while, and returns the processes at its end.
func follow(m *worker.Meter, now, threads, least, most int, d time.Duration, load func(slots int) worker.Load) int {
	for range d / worker.SampleEvery {
		now = m.Want(load(now*threads), now, threads, least, most)
	}
	return now
}

func share(x float64) func(int) worker.Load {
	return func(slots int) worker.Load { return worker.Load{InFlight: int(x * float64(slots))} }
}

func steady(inFlight, queued int) func(int) worker.Load {
	return func(int) worker.Load { return worker.Load{InFlight: inFlight, Queued: queued} }
}

func TestMeter(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		name                       string
		now, threads, least, most_ int
		d                          time.Duration
		load                       func(int) worker.Load
		want                       int
	}{
		{"nothing to do", 8, 1, 2, 16, 29 * second, share(0), 8},
		{"one less after 30 s", 8, 1, 2, 16, 31 * second, share(0), 7},
		{"never below min", 4, 1, 2, 16, 600 * second, share(0), 2},
		{"half busy stays", 8, 4, 2, 16, 600 * second, share(0.6), 8},
		{"busy", 8, 4, 2, 16, 2 * second, share(1), 10},
		{"not at once", 8, 4, 2, 16, second, share(1), 8},
		{"never above max", 8, 4, 2, 16, 60 * second, share(1), 16},
		{"one at least", 1, 1, 1, 4, 2 * second, share(1), 2},
		{"as many as are needed", 1, 1, 1, 64, 60 * second, steady(20, 0), 27},
		{"too many before", 20, 1, 1, 16, second, steady(1, 0), 16},
		{"too few before", 1, 1, 4, 16, second, steady(1, 0), 4},
		{"queue", 4, 4, 1, 16, 2 * second, steady(8, 2), 5},
		{"one busy of two stays", 2, 1, 1, 16, 600 * second, steady(1, 0), 2},
		{"idle to one", 2, 1, 1, 16, 60 * second, steady(0, 0), 1},
	} {
		if got := follow(&worker.Meter{}, c.now, c.threads, c.least, c.most_, c.d, c.load); got != c.want {
			t.Errorf("%s: %d processes, want %d", c.name, got, c.want)
		}
	}
}

// TestMeterBurst: what is over within a second is no reason.
func TestMeterBurst(t *testing.T) {
	var m worker.Meter
	i := 0
	got := follow(&m, 4, 1, 4, 64, time.Minute, func(slots int) worker.Load {
		if i++; i%20 < 3 {
			return worker.Load{InFlight: slots, Queued: 2}
		}
		return worker.Load{}
	})
	if got != 4 {
		t.Errorf("%d processes, want 4", got)
	}
}

// TestMeterSettles: under any load that stays, the number stays at last.
func TestMeterSettles(t *testing.T) {
	for threads := 1; threads <= 3; threads += 2 {
		for busy := range 20 {
			var m worker.Meter
			load := steady(busy, 0)
			now := follow(&m, 5, threads, 1, 16, 20*time.Minute, load)
			changes := 0
			for range 2400 {
				next := m.Want(load(0), now, threads, 1, 16)
				if next != now {
					changes++
				}
				now = next
			}
			if changes > 0 {
				t.Errorf("%d busy of %d threads each: %d changes in ten minutes, at %d processes", busy, threads, changes, now)
			}
		}
	}
}

func scaled() worker.Options {
	return worker.Options{App: "shop:app", Processes: 2, Threads: 2, Min: 1, Max: 8}
}

func TestScale(t *testing.T) {
	for name, plan := range map[string]python.Plan{
		"signals": {Server: python.Gunicorn, Scales: true},
		"fifo":    {Server: python.UWSGI, Scales: true, Fifo: "fifo"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStand(t)
				st.m.plan = plan
				st.run(scaled())
				if n := st.pool.slots(); n != 4 {
					t.Errorf("%d slots at first", n)
				}
				st.pool.busy(4, 5)
				after(2500 * time.Millisecond)
				if n := st.pool.slots(); n != 6 {
					t.Errorf("%d slots when busy", n)
				}
				for range 20 {
					st.pool.busy(st.pool.slots(), 1)
					after(2500 * time.Millisecond)
				}
				if s := st.Snapshot(); st.pool.slots() != 16 || s.Processes != 8 || len(s.Workers) != 9 {
					t.Errorf("%d slots, %d processes, %d workers", st.pool.slots(), s.Processes, len(s.Workers))
				}
				if err := st.Reload(context.Background()); err != nil { // does not begin anew
					t.Fatal(err)
				}
				if n := st.pool.slots(); n != 16 {
					t.Errorf("%d slots after a reload", n)
				}
				st.pool.busy(0, 0)
				after(10 * time.Minute)
				if n := st.pool.slots(); n != 2 || len(st.Snapshot().Workers) != 2 {
					t.Errorf("%d slots, %d workers at rest", n, len(st.Snapshot().Workers))
				}
				if signals := st.m.last().got(); name == "signals" && (len(signals) != 7 || signals[0] != syscall.SIGTTOU) || name == "fifo" && st.m.orders() != "++++++q-------" {
					t.Errorf("signals %v, orders %q", signals, st.m.orders())
				}
				st.end()
			})
		})
	}
}

// TestNoScale: what cannot change, or is not to, is left alone.
func TestNoScale(t *testing.T) {
	for name, scales := range map[string]bool{"cannot": false, "may not": true} {
		synctest.Test(t, func(t *testing.T) {
			st := newStand(t)
			st.m.plan = python.Plan{Scales: scales}
			o := scaled()
			if scales {
				o.Min, o.Max = 0, 0
			}
			st.run(o)
			st.pool.busy(4, 100)
			after(time.Minute)
			if len(st.m.last().got()) > 0 {
				t.Errorf("%s: signals %v", name, st.m.last().got())
			}
			st.pool.busy(0, 0)
			st.end()
		})
	}
}

// TestMemory: gunicorn does not look after its memory, so we do.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.plan = python.Plan{Server: python.Gunicorn}
		o := shop
		o.MaxRSS = 64 << 20
		st.run(o)
		p := st.m.last()
		p.mu.Lock()
		p.big = 1
		p.mu.Unlock()
		after(10 * time.Second)
		if got := st.m.told(); len(got) != 1 || got[0] != p.pid*1000+1 {
			t.Errorf("SIGTERM to %v", got)
		}
		st.end()
	})
}
