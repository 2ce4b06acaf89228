package worker_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
)

var shop = worker.Options{App: "shop:app", Processes: 2, Threads: 3}

func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.with(behaviour{after: 2 * time.Second})
		st.run(shop)
		st.state(worker.StateStarting)
		st.members("")
		after(3 * time.Second)
		st.state(worker.StateReady)
		st.members("shop.1.sock")
		if n := st.pool.slots(); n != 6 {
			t.Errorf("%d slots, want 6", n)
		}
		if err := st.Trouble(); err != nil {
			t.Errorf("Trouble() = %v", err)
		}
		st.end()
		if got := st.m.last().got(); len(got) != 1 || got[0] != syscall.SIGTERM {
			t.Errorf("it got the signals %v", got)
		}
	})
}

func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		after(20 * time.Second)
		st.m.with(behaviour{after: time.Second})
		st.m.last().crash()
		st.members("")
		after(1100 * time.Millisecond)
		st.members("shop.1.sock") // the same socket
		if s := st.Snapshot(); s.Restarts != 1 || s.State != worker.StateReady {
			t.Errorf("%+v", s)
		}
		st.end()
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		at := st.pool.begin()
		answer := make(chan error, 1)
		go func() { answer <- st.Reload(context.Background()) }()
		after(time.Second)
		st.members("shop.2.sock")
		if len(answer) > 0 || len(st.m.alive()) != 2 {
			t.Errorf("%d answers, %d processes", len(answer), len(st.m.alive()))
		}
		st.pool.end(at)
		synctest.Wait()
		if err := <-answer; err != nil {
			t.Errorf("Reload = %v", err)
		}
		if len(st.m.alive()) != 1 {
			t.Errorf("%d processes", len(st.m.alive()))
		}
		st.end()
	})
}

func TestReloadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		st.m.with(behaviour{dies: time.Second, code: 3, unready: true, tail: []string{"SyntaxError: invalid syntax"}})
		err := st.Reload(context.Background())
		var trouble *worker.TroubleError
		if !errors.As(err, &trouble) || trouble.Cause != "exited with status 3" || !strings.Contains(err.Error(), "\nSyntaxError") {
			t.Errorf("Reload = %v", err)
		}
		st.state(worker.StateReady)
		st.members("shop.1.sock")
		if s := st.Snapshot(); s.Error != "exited with status 3" || len(s.Tail) != 1 || st.Trouble() != nil {
			t.Errorf("%+v", s)
		}
		st.end()
	})
}
