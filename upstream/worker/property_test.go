package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"headgate/upstream/worker"
)

// deed is one thing that happens to a supervisor.
type deed struct {
	what string
	n    int           // of the app, or of the processes
	wait time.Duration // before the next
}

var deeds = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
	return deed{
		what: rapid.SampledFrom([]string{"crash", "reload", "configure", "wake", "request", "end", "slow", "fail", "unready", "planless", "files", "rest"}).Draw(t, "what"),
		n:    rapid.IntRange(0, 3).Draw(t, "n"),
		wait: rapid.SampledFrom([]time.Duration{0, time.Millisecond, 30 * time.Millisecond, 500 * time.Millisecond, 3 * time.Second, time.Minute}).Draw(t, "wait"),
	}
}), 1, 40)

// TestAnything: whatever happens in whatever order, the pool never has two members,
// everything that was replaced ends, the last options that can be started run at last,
// and nothing is left.
func TestAnything(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := deeds.Draw(rt, "deeds")
		idle := rapid.Bool().Draw(rt, "idle")
		watch := rapid.Bool().Draw(rt, "watch")
		var failed error
		synctest.Test(t, func(t *testing.T) { failed = anything(t, all, idle, watch) })
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

// life is a supervisor to which anything happens.
type life struct {
	*stand
	o       worker.Options
	answers chan error
	calls   int
	open    []string // requests
}

func anything(t *testing.T, all []deed, idle, watch bool) error {
	st := newStand(t)
	l := &life{stand: st, o: shop, answers: make(chan error, len(all))}
	st.m.standard = behaviour{after: 20 * time.Millisecond, stop: 10 * time.Millisecond}
	l.o.App, l.o.Watch = "app-0", watch
	l.o.Stop = 10 * time.Second
	if idle {
		l.o.Idle = 20 * time.Second
	}
	st.run(l.o)
	for _, d := range all {
		l.do(d)
		after(d.wait)
	}
	err := l.settle()
	st.end()
	if err == nil && t.Failed() {
		err = errors.New("something is left")
	}
	for range l.calls {
		<-l.answers
	}
	return err
}

func (l *life) do(d deed) {
	switch d.what {
	case "crash":
		if p := l.m.last(); p != nil {
			p.crash()
		}
	case "reload":
		l.calls++
		go func() { l.answers <- l.Reload(context.Background()) }()
	case "configure":
		l.o.App = fmt.Sprint("app-", d.n)
		l.Configure(l.o)
	case "wake":
		l.Refresh()
	case "request":
		if at := l.pool.begin(); at != "" {
			l.open = append(l.open, at)
		} else {
			l.Refresh()
		}
	case "end":
		l.endAll()
	case "slow":
		l.m.with(behaviour{after: time.Duration(d.n) * time.Second, stop: time.Second, orphans: time.Second})
	case "fail":
		next := make([]behaviour, d.n)
		for i := range next {
			next[i] = behaviour{dies: 5 * time.Millisecond, unready: true, code: 1}
		}
		l.m.with(next...)
	case "unready":
		l.m.with(behaviour{unready: true, deaf: true})
	case "planless":
		l.m.mu.Lock()
		l.m.planError = errors.New("no plan")
		l.m.mu.Unlock()
		time.AfterFunc(time.Duration(d.n)*time.Second, l.plan)
	case "files":
		l.m.mu.Lock()
		changed := l.m.changed
		l.m.mu.Unlock()
		if changed != nil {
			changed([]string{"app.py"})
		}
	}
	l.pool.serveQueue()
}

func (l *life) plan() {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.planError = nil
}

func (l *life) endAll() {
	for _, at := range l.open {
		l.pool.end(at)
	}
	l.open = nil
}

// settle lets everything be well for a while, asks for the options once more, and
// looks whether they run.
func (l *life) settle() error {
	l.m.with()
	l.plan()
	l.endAll()
	after(5 * time.Minute)
	l.pool.serveQueue()
	l.Configure(l.o)
	after(time.Minute)
	if l.Snapshot().State == worker.StateCrashed && l.o.Watch { // until a file changes
		l.do(deed{what: "files"})
		after(time.Second)
	}
	if l.o.Idle > 0 { // it may rest
		l.pool.begin()
		l.Refresh()
		after(time.Second)
		if l.pool.serveQueue() == 0 && l.pool.names() == "" {
			return errors.New("the request is not served")
		}
	}
	s := l.Snapshot()
	alive := l.m.alive()
	switch {
	case s.State != worker.StateReady:
		return fmt.Errorf("the state is %s: %s", s.State, s.Error)
	case len(alive) != 1 || alive[0].app != l.o.App:
		return fmt.Errorf("%d processes, the first of %s, want one of %s", len(alive), alive[0].app, l.o.App)
	case l.pool.slots() != 6:
		return fmt.Errorf("%d slots", l.pool.slots())
	case l.Trouble() != nil:
		return fmt.Errorf("it serves, and has trouble: %w", l.Trouble())
	}
	return nil
}
