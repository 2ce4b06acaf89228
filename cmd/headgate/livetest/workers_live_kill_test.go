package livetest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killings are the processes that were killed, and when.
type killings map[int]time.Time

// TestWorkersKilled: workers are killed at random under load, and their leader once in
// a while. What fails was running in a worker that was killed, and must not be
// repeated; of what may be, every attempt was.
func TestWorkersKilled(t *testing.T) {
	for _, server := range crewServers {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			lasts, leaders := 5*time.Second, 3*time.Second
			if long() {
				lasts, leaders = time.Minute, 11*time.Second // after 10 s it is no loop
			}
			w := startCrew(t, crewConf{app: "duty:application", server: server, keys: "processes: 4\nthreads: 2\n"})
			w.awaitReady(t)
			l := startCrewLoad(t, w, crewClients)
			killed := w.killAtRandom(t, lasts, leaders)
			healed := time.Now()
			if !eventually(10*time.Second, func() bool { return l.answered(healed) >= 50 }) {
				t.Error("it does not heal")
			}
			calls := l.end()
			w.wantExplained(t, calls, killed, 2)
		})
	}
}

// killAtRandom kills a worker two to ten times a second, and the leader at times. It
// returns the workers that have died of it: those of the builtin server end what they
// have begun when their leader dies, and uWSGI's die with theirs (no-orphans).
func (w *crew) killAtRandom(t *testing.T, lasts, leaders time.Duration) killings {
	t.Helper()
	killed, masters := killings{}, 0
	begin := time.Now()
	next := begin.Add(leaders)
	for time.Since(begin) < lasts {
		<-time.After(100*time.Millisecond + rand.N(400*time.Millisecond))
		s := w.status(t)
		leader := s.leader()
		workers := slices.DeleteFunc(children(leader), func(pid int) bool { return !killed[pid].IsZero() || !isWorker(pid) })
		if leader == 0 || len(workers) == 0 || s.State != "ready" {
			continue
		}
		victims := []int{workers[rand.N(len(workers))]}
		victim := victims[0]
		if time.Now().After(next) {
			victim, victims, next = leader, workers, time.Now().Add(leaders)
			masters++
			if w.conf.server == "builtin" {
				victims = nil
			}
		}
		at := time.Now()
		if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
			continue // it was to be replaced
		}
		for _, pid := range victims {
			killed[pid] = at
		}
	}
	t.Logf("%d workers have died, %d leaders", len(killed), masters)
	if len(killed) < int(lasts/time.Second) || masters == 0 {
		t.Error("too few were killed")
	}
	return killed
}

// isWorker reports whether a process is not a zombie.
func isWorker(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// journal is what the app has noted.
type journal struct {
	begun, ended map[string][]int // the processes, by request
}

func (w *crew) journal(t *testing.T) journal {
	t.Helper()
	b, err := os.ReadFile(w.runs)
	if err != nil {
		t.Fatal(err)
	}
	j := journal{begun: map[string][]int{}, ended: map[string][]int{}}
	for line := range strings.Lines(string(b)) {
		var what, id string
		var pid int
		if _, err := fmt.Sscan(line, &what, &id, &pid); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		switch what {
		case "begin":
			j.begun[id] = append(j.begun[id], pid)
		case "end":
			j.ended[id] = append(j.ended[id], pid)
		}
	}
	return j
}

// wantExplained holds each failed request against the workers that were killed, which
// had at most so many requests at once.
func (w *crew) wantExplained(t *testing.T, calls []crewCall, killed killings, threads int) {
	t.Helper()
	j := w.journal(t)
	room := map[int]int{}
	lost, repeated := map[string]int{}, 0
	for _, c := range calls {
		runs := j.begun[c.id]
		if c.method() == http.MethodPost && len(runs) > 1 {
			t.Errorf("a POST has run in %v: %s", runs, c)
		}
		if c.status == http.StatusOK {
			if len(j.ended[c.id]) == 0 {
				t.Errorf("answered, and the app has not done it: %s", c)
			}
			if len(runs) > 1 {
				repeated++
			}
			continue
		}
		lost[c.method()]++
		if why := explain(c, runs, killed); why != "" {
			t.Errorf("%s, in %v: %s", why, runs, c)
		}
		for _, pid := range runs {
			if room[pid]++; room[pid] > threads {
				t.Errorf("the worker %d has lost more than it can have run", pid)
			}
		}
	}
	t.Logf("%d requests; lost in workers that were killed: %v; %d were repeated and answered", len(calls), lost, repeated)
}

// explain says why a request must not have failed; "" when it may: all its runs were in
// workers that were killed meanwhile, both of a GET, which is repeated once.
func explain(c crewCall, runs []int, killed killings) string {
	during := func(at time.Time) bool {
		return !at.Before(c.begin.Add(-50*time.Millisecond)) && !at.After(c.end)
	}
	for _, pid := range runs {
		if !during(killed[pid]) {
			return fmt.Sprintf("nobody has killed its worker %d meanwhile", pid)
		}
	}
	attempts := 1
	if c.method() == http.MethodGet {
		attempts = 2
	}
	dead := 0
	for _, at := range killed {
		if !at.IsZero() && during(at) {
			dead++
		}
	}
	switch {
	case dead < attempts: // also of those runs that the app could not note any more
		return fmt.Sprintf("%d workers were killed meanwhile", dead)
	case c.status == 0 && !strings.Contains(c.why, "EOF"):
		return "without an answer"
	}
	return ""
}
