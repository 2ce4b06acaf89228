package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream/worker"
	"headgate/upstream/worker/python"
)

func TestLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t, func(s *worker.Setup) {
			s.RequestID = func(line []byte) string {
				_, id, _ := strings.Cut(string(line), "id=")
				return id
			}
		})
		st.m.with(behaviour{after: time.Second})
		st.run(shop)
		p := st.m.last()
		p.spec.Line(true, []byte("*** Starting uWSGI ***"))
		after(2 * time.Second)
		p.spec.Line(false, []byte(`{"level": "info", "msg": "hi"}`))
		p.spec.Line(true, []byte("paid id=abc"))
		for _, want := range []string{
			`level=DEBUG msg=worker pool=shop pid=1000 generation=1 stream=stderr line="*** Starting uWSGI ***"` + "\n",
			`level=INFO msg=worker pool=shop pid=1000 generation=1 stream=stdout line="{\"level\": \"info\", \"msg\": \"hi\"}"` + "\n",
			`level=INFO msg=worker pool=shop pid=1000 generation=1 stream=stderr line="paid id=abc" request_id=abc` + "\n",
		} {
			if !strings.Contains(st.log.String(), want) {
				t.Errorf("no %s in\n%s", want, st.log)
			}
		}
		st.end()
	})
}

// TestRoutineOfUWSGI: what uWSGI says of each start and stop is for those who look for
// it; what it says of a worker that has died is for everybody.
func TestRoutineOfUWSGI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.plan.Server = python.UWSGI
		st.run(shop)
		p := st.m.last()
		for _, line := range []string{
			"WSGI app 0 (mountpoint='') ready in 2 seconds on interpreter 0x7f (default app)", "-- unavailable modifier requested: 100 --",
			"Mon Nov 23 21:16:19 2026 - graceful shutdown triggered...", "Gracefully killing worker 4 (pid: 1)...", "worker 1 buried after 1 seconds", "goodbye to uWSGI.",
		} {
			p.spec.Line(true, []byte(line))
		}
		p.spec.Line(true, []byte("DAMN ! worker 1 (pid: 9) died, killed by signal 9 :( trying respawn ..."))
		log := st.log.String()
		if n, m := strings.Count(log, "level=DEBUG msg=worker "), strings.Count(log, "level=INFO msg=worker "); n != 6 || m != 1 {
			t.Errorf("%d lines at debug and %d at info, want 6 and 1:\n%s", n, m, log)
		}
		st.end()
	})
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t).run(shop)
		p := st.m.last()
		for i := range 2500 {
			p.spec.Line(false, []byte(fmt.Sprint("line ", i)))
		}
		after(1100 * time.Millisecond)
		p.spec.Line(false, []byte("one more"))
		log := st.log.String()
		if n := strings.Count(log, "msg=worker "); n != 1001 {
			t.Errorf("%d lines", n)
		}
		if !strings.Contains(log, `msg="worker output dropped" pool=shop lines=1500`) {
			t.Error("nobody tells of those that were dropped")
		}
		for i := range 1100 {
			p.spec.Line(false, []byte(fmt.Sprint("line ", i)))
		}
		st.end()
		if !strings.Contains(st.log.String(), "lines=101 ") {
			t.Error("nobody tells of those that were dropped last")
		}
	})
}

// TestStartsAtOnce: a crowd of supervisors does not start all at once, and one that
// hangs does not keep the others from it.
func TestStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := worker.NewShared()
		var stands []*stand
		for i := range 50 {
			st := newStand(t, func(s *worker.Setup) { s.Shared = shared })
			st.m.standard = behaviour{after: time.Second, unready: i < 20}
			stands = append(stands, st)
		}
		for _, st := range stands {
			o := shop
			o.Start = time.Hour
			st.Configure(o)
			ctx, cancel := context.WithCancel(context.Background())
			st.stop, st.done = cancel, make(chan error, 1)
			go func() { st.done <- st.Run(ctx, st.pool.set) }()
		}
		after(900 * time.Millisecond)
		n := 0
		for _, st := range stands {
			n += st.m.count()
		}
		if most := 2 * runtime.GOMAXPROCS(0); n != min(most, len(stands)) {
			t.Errorf("%d start at once, want %d", n, most)
		}
		after(3 * time.Minute)
		for i, st := range stands {
			if want := i >= 20; (st.pool.names() != "") != want {
				t.Errorf("%d: serves %v", i, !want)
			}
		}
		for _, st := range stands {
			st.end()
		}
	})
}

func TestWarnsOfRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t)
		st.m.uid = -1 // for 0
		st.m.use(st.Supervisor)
		st.run(shop)
		for range 3 {
			_ = st.Reload(context.Background())
		}
		if n := strings.Count(st.log.String(), "workers run as root"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		st.end()
	})
}

func TestTroubleError(t *testing.T) {
	err := error(&worker.TroubleError{Cause: "exited with status 1", Tail: []string{"Traceback", "ValueError"}})
	var trouble *worker.TroubleError
	if !errors.As(err, &trouble) || err.Error() != "exited with status 1\nTraceback\nValueError" {
		t.Error(err)
	}
}
