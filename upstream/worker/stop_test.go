package worker_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
	"headgate/upstream/worker/python"
)

// TestStopInEveryState: whatever it is doing, nothing is left.
func TestStopInEveryState(t *testing.T) {
	states := map[string]func(*stand){
		"planning": func(st *stand) { st.m.planError = errors.New("no") },
		"starting": func(st *stand) { st.m.with(behaviour{after: time.Hour}) },
		"deaf":     func(st *stand) { st.m.with(behaviour{after: time.Hour, deaf: true}) },
		"ready":    func(st *stand) {},
		"stubborn": func(st *stand) { st.m.with(behaviour{deaf: true}) },
		"crash":    func(st *stand) { st.m.standard.dies = time.Millisecond },
		"orphans": func(st *stand) {
			st.m.standard.dies, st.m.standard.orphans = time.Second, time.Hour
			st.pool.busy(1, 0)
		},
		"waiting":   func(st *stand) { st.m.standard.refuse = errors.New("no") },
		"busy":      func(st *stand) {},
		"reloading": func(st *stand) {},
		"leaving":   func(st *stand) {},
		"draining":  func(st *stand) {},
	}
	for name, arrange := range states {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStand(t)
				arrange(st)
				o := shop
				if name == "draining" {
					o.Idle = time.Second
				}
				st.run(o)
				st.Refresh()
				after(990 * time.Millisecond)
				switch name {
				case "busy":
					at := st.pool.begin()
					time.AfterFunc(5*time.Second, func() { st.pool.end(at) })
				case "reloading":
					st.m.with(behaviour{after: time.Hour})
					go st.Reload(t.Context())
				case "leaving":
					st.pool.begin()
					go st.Reload(t.Context())
				}
				after(10 * time.Millisecond)
				begun := time.Now()
				st.end()
				if d := time.Since(begun); d > 61*time.Second || name == "busy" && (d < 4900*time.Millisecond || d > 6*time.Second) {
					t.Errorf("took %s", d)
				}
				if err := st.Trouble(); err != nil {
					t.Errorf("Trouble() = %v", err)
				}
			})
		})
	}
}

func TestReloadWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		st.m.with(behaviour{after: time.Hour})
		answer := make(chan error, 2)
		go func() { answer <- st.Reload(t.Context()) }()
		after(time.Second)
		go func() { answer <- st.Reload(t.Context()) }()
		after(time.Second)
		st.end()
		for range 2 {
			if err := <-answer; err == nil {
				t.Error("no error")
			}
		}
	})
}

// TestRunAgain: what has ended can begin again.
func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		st.end()
		st.run(shop)
		st.members("shop.2.sock")
		if err := st.Run(t.Context(), st.pool.set); err == nil {
			t.Error("it runs twice at once")
		}
		st.end()
	})
}

// TestHowTheyAreStopped: uWSGI by its FIFO, or SIGINT; the others by SIGTERM.
func TestHowTheyAreStopped(t *testing.T) {
	for _, c := range []struct {
		name    string
		plan    python.Plan
		command bool
		orders  string
		signals []syscall.Signal
	}{
		{"uwsgi", python.Plan{Server: python.UWSGI, Fifo: "fifo"}, false, "q", nil},
		{"uwsgi without FIFO", python.Plan{Server: python.UWSGI}, false, "", []syscall.Signal{syscall.SIGINT}},
		{"gunicorn", python.Plan{Server: python.Gunicorn}, false, "", []syscall.Signal{syscall.SIGTERM}},
		{"command", python.Plan{Server: python.UWSGI}, true, "", []syscall.Signal{syscall.SIGTERM}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStand(t)
				st.m.plan = c.plan
				o := shop
				if c.command {
					o = worker.Options{Command: []string{"uwsgi"}}
				}
				st.run(o)
				p := st.m.last()
				st.end()
				if got := p.got(); len(got) != len(c.signals) || len(got) == 1 && got[0] != c.signals[0] || st.m.orders() != c.orders {
					t.Errorf("signals %v, orders %q", got, st.m.orders())
				}
			})
		})
	}
}

func TestSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(worker.Options{Command: []string{"serve"}})
		if err := st.Signal(int(syscall.SIGUSR2)); err != nil {
			t.Error(err)
		}
		if got := st.m.last().got(); len(got) != 1 || got[0] != syscall.SIGUSR2 {
			t.Errorf("got %v", got)
		}
		st.end()
		if err := st.Signal(int(syscall.SIGUSR2)); err != nil {
			t.Errorf("without workers: %v", err)
		}
	})
}

func TestUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		o := shop
		o.User = "nobody"
		st.run(o)
		after(time.Second)
		if err := st.Trouble(); err == nil || err.Error() != "user nobody: the gateway does not run as root and cannot start workers as somebody else: remove user, or run it as root" {
			t.Errorf("Trouble() = %v", err)
		}
		st.end()
	})
}
