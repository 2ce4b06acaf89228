package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
)

func onDemand() worker.Options {
	o := shop
	o.Idle = time.Minute
	return o
}

func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.standard.after = time.Second
		st.run(onDemand())
		after(time.Hour)
		st.state(worker.StateIdle)
		if st.m.count() != 0 || st.pool.words() != 1 {
			t.Errorf("%d starts, %d words", st.m.count(), st.pool.words())
		}
		st.pool.begin()
		st.Refresh()
		after(2 * time.Second)
		st.members("shop.1.sock")
		if st.pool.serveQueue() != 1 {
			t.Error("the request still waits")
		}
		after(50 * time.Second)
		st.pool.end(st.pool.begin())
		after(50 * time.Second)
		st.state(worker.StateReady) // 50 s after the last one
		after(20 * time.Second)
		st.state(worker.StateIdle)
		if n := len(st.m.alive()); n != 0 {
			t.Errorf("%d processes", n)
		}
		if err := st.Reload(context.Background()); err != nil {
			t.Errorf("Reload = %v", err)
		}
		st.end()
	})
}

// TestLongRequest: who is served is not idle.
func TestLongRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(onDemand())
		st.Refresh()
		after(time.Second)
		at := st.pool.begin()
		after(time.Hour)
		st.state(worker.StateReady)
		st.pool.end(at)
		after(2 * time.Minute)
		st.state(worker.StateIdle)
		st.end()
	})
}

// TestRequestInTheLastMoment: between the look at the load and the word to the pool
// a request is given to the member, and another one begins to wait.
func TestRequestInTheLastMoment(t *testing.T) {
	for _, waits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var st *stand
			var armed atomic.Bool
			var at string
			st = newStand(t, func(s *worker.Setup) {
				load := s.Load
				s.Load = func() worker.Load {
					l := load()
					if !waits && armed.CompareAndSwap(true, false) {
						at = st.pool.begin() // this look has not seen it
					}
					return l
				}
			})
			st.run(onDemand())
			st.Refresh()
			after(59 * time.Second)
			armed.Store(true)
			first := st.m.last()
			if waits { // no member any more, when it comes
				for range 200 {
					after(50 * time.Millisecond)
					if st.pool.names() == "" {
						break
					}
				}
				st.pool.begin()
				st.Refresh()
			} else {
				after(5 * time.Second)
				if at == "" {
					t.Fatal("the load was not looked at")
				}
			}
			after(3 * time.Second)
			if waits {
				st.members("shop.2.sock")
				if st.pool.serveQueue() != 1 {
					t.Error("the request is not served")
				}
			} else {
				st.members("shop.1.sock")
				if !first.alive() {
					t.Error("the request was cut")
				}
				st.pool.end(at)
			}
			st.end()
		})
	}
}

// TestWakeWhileStopping: others are started beside those that still stop.
func TestWakeWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.standard.stop = 10 * time.Second
		st.run(onDemand())
		st.Refresh()
		after(65 * time.Second)
		st.state(worker.StateIdle)
		st.pool.begin()
		st.Refresh()
		after(100 * time.Millisecond)
		st.members("shop.2.sock")
		st.pool.serveQueue()
		st.end()
	})
}

// TestCrashOfIdle: nobody needs them.
func TestConfigureIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(onDemand())
		o := onDemand()
		o.App = "other:app"
		st.Configure(o)
		after(time.Second)
		st.state(worker.StateIdle)
		o.Idle = 0
		st.Configure(o)
		after(time.Second)
		st.members("shop.1.sock")
		if st.m.last().app != "other:app" {
			t.Error(st.m.last().app)
		}
		o.Idle = time.Minute
		st.Configure(o)
		after(10 * time.Second)
		st.members("shop.2.sock")
		after(2 * time.Minute)
		st.state(worker.StateIdle)
		st.end()
	})
}
