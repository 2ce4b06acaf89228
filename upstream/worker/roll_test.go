package worker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
)

func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		same := shop
		same.Start, same.Stop, same.Flags = worker.DefaultStart, worker.DefaultStop, []string{}
		st.Configure(same)
		after(time.Second)
		if n := st.m.count(); n != 1 {
			t.Errorf("%d starts for options that mean the same", n)
		}
		other := shop
		other.App = "other:app"
		st.Configure(other)
		after(time.Second)
		st.members("shop.2.sock")
		if alive := st.m.alive(); len(alive) != 1 || alive[0].app != "other:app" {
			t.Errorf("%d processes", len(alive))
		}
		if s := st.Snapshot(); s.Generation != 2 || s.Reloads != 1 || s.App != "other:app" {
			t.Errorf("%+v", s)
		}
		st.end()
	})
}

// TestConfigureFails: the old ones go on, also after a crash, until others are said.
func TestConfigureFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		other := shop
		other.App = "other:app"
		st.m.with(behaviour{refuse: errors.New("no")})
		st.Configure(other)
		after(time.Minute)
		st.members("shop.1.sock")
		if n := st.m.count(); n != 1 {
			t.Errorf("%d starts", n)
		}
		st.m.last().crash()
		after(time.Second)
		if p := st.m.last(); p.app != "shop:app" || st.m.count() != 2 {
			t.Errorf("%s runs after the crash", p.app)
		}
		st.Configure(other) // the same word once more is a wish to try it
		after(time.Second)
		if p := st.m.last(); p.app != "other:app" {
			t.Errorf("%s runs", p.app)
		}
		st.end()
	})
}

// TestConfigureDuringStart: what is not wanted any more is not waited for.
func TestConfigureDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.with(behaviour{after: time.Hour, deaf: true})
		st.run(shop)
		after(time.Second)
		other := shop
		other.App = "other:app"
		st.Configure(other)
		after(100 * time.Millisecond)
		st.state(worker.StateReady)
		if alive := st.m.alive(); len(alive) != 1 || alive[0].app != "other:app" {
			t.Errorf("%d processes", len(alive))
		}
		if st.Snapshot().Error != "" {
			t.Errorf("%+v", st.Snapshot())
		}
		st.end()
	})
}

func TestConfigureDuringRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		b, c := shop, shop
		b.App, c.App = "b:app", "c:app"
		st.m.with(behaviour{after: time.Second}, behaviour{after: time.Second})
		st.Configure(b)
		after(500 * time.Millisecond)
		st.state(worker.StateReloading)
		st.Configure(c)
		st.Configure(b)
		st.Configure(c)
		after(time.Minute)
		if alive := st.m.alive(); len(alive) != 1 || alive[0].app != "c:app" || st.m.count() != 3 {
			t.Errorf("%d processes, %d starts", len(alive), st.m.count())
		}
		st.m.with(behaviour{after: time.Second})
		st.Configure(b)
		after(500 * time.Millisecond)
		st.Configure(c) // what runs, but not what is being started
		after(time.Minute)
		if alive := st.m.alive(); len(alive) != 1 || alive[0].app != "c:app" {
			t.Errorf("%d processes, the first is of %s", len(alive), alive[0].app)
		}
		st.end()
	})
}

// TestReloadStorm: a hundred calls are two reloads.
func TestReloadStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.standard.after = time.Second
		st.run(shop)
		after(2 * time.Second)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if err := st.Reload(context.Background()); err != nil {
					t.Errorf("Reload = %v", err)
				}
			})
		}
		wg.Wait()
		if n := st.m.count(); n != 3 {
			t.Errorf("%d starts, want 3", n)
		}
		if st.m.most > 2 {
			t.Errorf("%d processes at once", st.m.most)
		}
		st.end()
	})
}

func TestReloadDuringStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.with(behaviour{after: 10 * time.Second})
		st.run(shop)
		if err := st.Reload(context.Background()); err != nil {
			t.Errorf("Reload = %v", err)
		}
		if n := st.m.count(); n != 2 {
			t.Errorf("%d starts, want 2: the first may have read what has changed since", n)
		}
		st.end()
	})
}

// TestReloadGivenUp: the caller goes, the reload goes on.
func TestReloadGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		st.m.with(behaviour{after: 10 * time.Second})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := st.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Reload = %v", err)
		}
		after(20 * time.Second)
		st.members("shop.2.sock")
		st.end()
	})
}

func TestReloadWithoutRun(t *testing.T) {
	st := newStand(t)
	if err := st.Reload(context.Background()); err == nil {
		t.Error("nothing runs")
	}
}

// TestCrashDuringRoll: the new ones take over, and if they do not start, the old
// ones are started again.
func TestCrashDuringRoll(t *testing.T) {
	for name, fails := range map[string]bool{"new": false, "old": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newStand(t).run(shop)
				first := st.m.last()
				st.m.with(behaviour{after: 2 * time.Second, unready: fails, dies: map[bool]time.Duration{true: 3 * time.Second}[fails]})
				answer := make(chan error, 1)
				go func() { answer <- st.Reload(context.Background()) }()
				after(time.Second)
				first.crash()
				st.members("")
				after(5 * time.Second)
				if err := <-answer; (err != nil) != fails {
					t.Errorf("Reload = %v", err)
				}
				st.members(map[bool]string{true: "shop.1.sock", false: "shop.2.sock"}[fails])
				st.end()
			})
		})
	}
}

// TestStragglers: requests that do not end are cut when stop_timeout is over.
func TestStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.with(behaviour{deaf: true})
		o := shop
		o.Stop = 20 * time.Second
		st.run(o)
		st.pool.begin()
		begun := time.Now()
		if err := st.Reload(context.Background()); err != nil {
			t.Errorf("Reload = %v", err)
		}
		if d := time.Since(begun); d < 24*time.Second || d > 26*time.Second {
			t.Errorf("took %s", d)
		}
		if !strings.Contains(st.log.String(), "they are killed") {
			t.Error(st.log)
		}
		st.end()
	})
}

// TestManyLeaving: how many generations may have requests is bounded.
func TestManyLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		for range 10 {
			st.pool.begin()
			go st.Reload(context.Background())
			after(time.Second)
		}
		if n := len(st.m.alive()); n != 4 {
			t.Errorf("%d generations", n)
		}
		after(2 * time.Minute)
		if n := len(st.m.alive()); n != 1 {
			t.Errorf("%d generations", n)
		}
		st.end()
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		o := shop
		o.Watch, o.Chdir, o.Idle = true, "/srv/shop", time.Hour
		st.run(o)
		st.members("shop.1.sock") // not on demand
		if got := strings.Join(st.m.watched, " "); got != "/srv/shop" {
			t.Errorf("watched: %s", got)
		}
		st.m.change("/srv/shop/views.py")
		after(time.Second)
		st.members("shop.2.sock")

		st.m.with(behaviour{unready: true, dies: time.Millisecond, code: 1, tail: []string{"SyntaxError"}})
		st.m.change("/srv/shop/views.py")
		after(time.Second)
		st.members("")
		st.state(worker.StateCrashed)
		if err := st.Trouble(); err == nil || !strings.Contains(err.Error(), "SyntaxError") {
			t.Errorf("Trouble() = %v", err)
		}
		before := st.m.count()
		after(time.Hour)
		if n := st.m.count() - before; n != 0 || len(st.m.alive()) != 0 {
			t.Errorf("%d starts though nothing has changed", n)
		}
		st.m.change("/srv/shop/views.py")
		after(time.Second)
		st.state(worker.StateReady)
		if err := st.Trouble(); err != nil {
			t.Errorf("Trouble() = %v", err)
		}
		o.Watch = false
		st.Configure(o)
		after(time.Second)
		if st.m.changed != nil {
			t.Error("files are still watched")
		}
		st.end()
	})
}

func TestWatchAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		o := shop
		o.Watch, o.Chdir = true, "/srv/shop"
		st.m.with(behaviour{refuse: errors.New("no")}, behaviour{refuse: errors.New("no")}, behaviour{refuse: errors.New("no")}, behaviour{refuse: errors.New("no")})
		st.run(o)
		if st.Trouble() == nil {
			t.Error("no trouble at once")
		}
		after(250 * time.Millisecond)
		st.m.with()
		st.m.change("shop.py")
		after(10 * time.Millisecond)
		st.state(worker.StateReady)
		st.end()
	})
}

func TestWhatIsWatched(t *testing.T) {
	for file, want := range map[string]bool{
		"views.py": true, "a/b/index.html": true, ".env": true, "settings.toml": true, "de.mo": true,
		"db.sqlite3": false, "x.pyc": false, ".#views.py": false, "views.py~": false, "app.log": false, "4913": false, "data.json": false,
	} {
		if got := worker.MatchFile(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
	for dir, want := range map[string]bool{"/srv/shop": false, "/srv/shop/.git": true, "/srv/shop/.venv": true, "/srv/shop/node_modules": true, "/srv/shop/__pycache__": true, "/srv/shop/templates": false} {
		if got := worker.SkipDir(dir); got != want {
			t.Errorf("%s: %v", dir, got)
		}
	}
}
