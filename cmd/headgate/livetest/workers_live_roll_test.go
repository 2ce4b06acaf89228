package livetest_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestWorkersRoll: workers are replaced under load by a command, by a signal, and by
// a configuration that changes them, and no request fails.
func TestWorkersRoll(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			rolls := 4
			if long() {
				rolls = 20
			}
			c := crewConf{app: "duty:application", server: server, keys: "processes: 2\nthreads: 4\n"}
			w := startCrew(t, c)
			w.awaitReady(t)
			l := startCrewLoad(t, w, crewClients)
			begin := time.Now()
			<-time.After(time.Second)
			rolled := time.Now()
			for i := range rolls {
				w.roll(t, c, i)
			}
			calls := l.end()
			t.Logf("%d rolls in %v", rolls, time.Since(rolled).Round(10*time.Millisecond))
			pids := wantAllAnswered(t, calls)
			if len(pids) <= rolls {
				t.Errorf("%d processes have answered in %d rolls", len(pids), rolls)
			}
			before := func(c crewCall) bool { return c.begin.After(begin) && c.end.Before(rolled) }
			after := func(c crewCall) bool { return c.begin.After(rolled) }
			t.Logf("before: p50 %v, p99 %v; while rolling: p50 %v, p99 %v, most %v", percentile(calls, 0.5, before), percentile(calls, 0.99, before),
				percentile(calls, 0.5, after), percentile(calls, 0.99, after), percentile(calls, 1, after))
			if !eventually(5*time.Second, func() bool { return len(w.processes()) == 3 }) {
				t.Errorf("%d processes are left of all generations, want a leader and two workers", len(w.processes()))
			}
		})
	}
}

// roll replaces the workers in one of three ways and waits until that is done.
func (w *crew) roll(t *testing.T, c crewConf, i int) {
	t.Helper()
	before := w.status(t)
	switch i % 4 {
	case 0, 3:
		if stdout, stderr, code := run(t, headgate, "reload", "--workers", "--socket", w.admin, w.pool); code != 0 {
			t.Errorf("roll %d: exit code %d: %s%s", i, code, stdout, stderr)
		}
	case 1:
		w.signal(t, syscall.SIGHUP)
	case 2:
		c.keys = fmt.Sprintf("processes: 2\nthreads: %d\n", 4+i%3)
		c.env = map[string]string{"DUTY_ROUND": fmt.Sprint(i)}
		w.change(t, c)
		if stdout, stderr, code := run(t, headgate, "reload", "--socket", w.admin); code != 0 {
			t.Errorf("roll %d: exit code %d: %s%s", i, code, stdout, stderr)
		}
	}
	w.await(t, fmt.Sprint("roll ", i), func(s crewStatus) bool { return s.Reloads > before.Reloads && s.State == "ready" })
	if i%4 != 2 {
		return
	}
	got := ""
	if !eventually(5*time.Second, func() bool {
		page, err := w.get("/work?id=round")
		_, _ = fmt.Sscanf(page, "round %s %s %s", new(string), new(string), &got) // what it is shows below
		return err == nil && got == fmt.Sprint(i)
	}) {
		t.Errorf("roll %d: the workers have the environment of round %q", i, got)
	}
}
