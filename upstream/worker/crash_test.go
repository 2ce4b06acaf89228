package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
)

func TestBackoff(t *testing.T) {
	for falls, want := range map[int]time.Duration{
		1: 0, 2: 100 * time.Millisecond, 3: 200 * time.Millisecond, 4: 400 * time.Millisecond, 10: 25600 * time.Millisecond, 11: 30 * time.Second, 1000: 30 * time.Second,
	} {
		if got := worker.Backoff(falls); got != want {
			t.Errorf("fall %d: %s, want %s", falls, got, want)
		}
	}
}

// TestCrashLoop: workers that end as soon as they serve are started again after
// waits that grow, and then nobody waits for them.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.standard = behaviour{dies: 50 * time.Millisecond, code: 1, tail: []string{"boom"}}
		st.run(shop)
		after(time.Second)
		if n := st.m.count(); n < 3 || n > 5 {
			t.Errorf("%d starts in the first second", n)
		}
		if err := st.Trouble(); err != nil {
			t.Errorf("too early: %v", err)
		}
		after(3 * time.Second)
		if err := st.Trouble(); err == nil || err.Error() != "exited with status 1\nboom" {
			t.Errorf("Trouble() = %v", err)
		}
		after(5 * time.Minute)
		if n := st.m.count(); n < 12 || n > 25 {
			t.Errorf("%d starts in five minutes", n)
		}
		st.m.mu.Lock()
		st.m.standard = behaviour{}
		st.m.mu.Unlock()
		after(40 * time.Second)
		st.state(worker.StateReady)
		if err := st.Trouble(); err != nil {
			t.Errorf("Trouble() = %v", err)
		}
		after(10 * time.Second) // it is forgotten
		before := st.m.count()
		st.m.last().crash()
		after(50 * time.Millisecond)
		if st.m.count() != before+1 {
			t.Error("was not started again at once")
		}
		st.end()
	})
}

// TestCrashTwice: one line of the log, and no member in between.
func TestCrashIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		st.m.with(behaviour{after: time.Minute})
		st.m.last().crash()
		after(time.Second)
		st.members("")
		st.state(worker.StateStarting)
		if n := strings.Count(st.log.String(), "level=ERROR"); n != 1 || !strings.Contains(st.log.String(), `msg="workers have ended" pool=shop generation=1 cause="was killed by SIGKILL"`) {
			t.Errorf("%d errors: %s", n, st.log)
		}
		st.end()
	})
}

// TestOrphans: when the leader ends, its children may end their requests.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.standard.orphans = 2 * time.Second
		st.run(shop)
		at := st.pool.begin()
		st.m.last().crash()
		after(500 * time.Millisecond)
		st.members("")
		st.state(worker.StateCrashed)
		if st.m.count() != 1 {
			t.Error("others were started beside the orphans")
		}
		st.pool.end(at)
		after(100 * time.Millisecond)
		st.members("shop.1.sock")
		st.end()
	})
}

func TestTroubleAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.planError = errors.New("app shop:app cannot be imported\nTraceback\nModuleNotFoundError: No module named 'shop'")
		st.run(shop)
		after(50 * time.Millisecond) // the first, and the second at once after it
		var trouble *worker.TroubleError
		if err := st.Trouble(); !errors.As(err, &trouble) || trouble.Cause != "app shop:app cannot be imported" || len(trouble.Tail) != 2 || trouble.RetryAt.IsZero() {
			t.Errorf("Trouble() = %#v", err)
		}
		if st.pool.words() == 0 {
			t.Error("the pool was not told to look")
		}
		st.state(worker.StateCrashed)
		st.m.mu.Lock()
		st.m.planError = nil
		st.m.mu.Unlock()
		if err := st.Reload(context.Background()); err != nil { // does not wait for the next turn
			t.Errorf("Reload = %v", err)
		}
		if st.Trouble() != nil || st.Snapshot().Error != "" {
			t.Errorf("Trouble() = %v, %+v", st.Trouble(), st.Snapshot())
		}
		st.end()
	})
}

func TestTroubleLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		after(time.Minute)
		dies := behaviour{unready: true, dies: time.Millisecond, code: 7}
		st.m.with(dies, dies, dies)
		st.m.last().crash()
		after(100 * time.Millisecond)
		if st.Trouble() != nil {
			t.Error("too early")
		}
		after(250 * time.Millisecond)
		if err := st.Trouble(); err == nil || err.Error() != "exited with status 7" {
			t.Errorf("Trouble() = %v", err)
		}
		after(time.Second)
		if st.Trouble() != nil {
			t.Error("it serves again")
		}
		st.end()
	})
}

func TestStartTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.with(behaviour{unready: true, tail: []string{"importing"}}, behaviour{refuse: errors.New("no such program")})
		o := shop
		o.Start = 5 * time.Second
		st.run(o)
		after(4900 * time.Millisecond)
		st.state(worker.StateStarting)
		after(150 * time.Millisecond)
		log := st.log.String()
		if !strings.Contains(log, "did not serve within 5s (start_timeout): no answer to a ping") || !strings.Contains(log, "importing") || !strings.Contains(log, "no such program") {
			t.Error(log)
		}
		after(time.Second)
		st.state(worker.StateReady)
		st.end()
	})
}

// TestEnded: a command of the user's own ends, and with it Run.
func TestEnded(t *testing.T) {
	for name, ready := range map[string]bool{"serving": true, "starting": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var codes []int
				st := newStand(t, func(s *worker.Setup) {
					s.Ended = func(code int) bool { codes = append(codes, code); return len(codes) == 2 }
				})
				st.m.standard = behaviour{unready: !ready, dies: time.Second, code: 3}
				st.run(worker.Options{Command: []string{"serve"}})
				if err := <-st.done; err != nil {
					t.Errorf("Run = %v", err)
				}
				st.clean()
				if len(codes) != 2 || codes[0] != 3 || codes[1] != 3 {
					t.Errorf("it ended with %v", codes)
				}
			})
		})
	}
}

// TestEndedBySignal: as a shell says it.
func TestEndedBySignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		st := newStand(t, func(s *worker.Setup) { s.Ended = func(code int) bool { got = code; return true } })
		st.run(worker.Options{Command: []string{"serve"}})
		st.m.last().crash()
		<-st.done
		st.clean()
		if got != 137 {
			t.Errorf("code %d, want 137", got)
		}
	})
}
