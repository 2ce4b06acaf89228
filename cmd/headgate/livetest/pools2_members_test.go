package livetest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killAll kills the master and then its workers, so that nobody starts new ones,
// and returns when the master has gone.
func (p *process) killAll(t testing.TB) {
	t.Helper()
	pid := p.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGKILL)
	for child := range strings.FieldsSeq(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL) // an error is that it has ended
		}
	}
	<-p.ended
}

// quit lets uWSGI end with the requests that it has, and returns when it has gone.
func (a *app) quit(t testing.TB) {
	t.Helper()
	fifo, err := os.OpenFile(a.fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	if _, err := fifo.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	<-a.ended
}

// trio is three members, of which the second is ten times slower, under load.
type trio struct {
	*gateway
	dir   string
	apps  [3]*app
	begin time.Time
}

func startTrio(t *testing.T) *trio {
	t.Helper()
	s := &trio{dir: shortDir(t)}
	var addresses []string
	for i := range s.apps {
		s.apps[i] = s.member(t, i)
		addresses = append(addresses, fmt.Sprintf("%q", s.address(i)))
	}
	s.gateway = startSite(t, poolsConf{pools: "app: {members: [" + strings.Join(addresses, ", ") + "]}\n", routes: "{pool: app}"})
	return s
}

func (s *trio) socket(i int) string  { return filepath.Join(s.dir, string(rune('a'+i))+".sock") }
func (s *trio) address(i int) string { return "unix:" + s.socket(i) }

func (s *trio) member(t *testing.T, i int) *app {
	t.Helper()
	return startMember(t, s.socket(i), string(rune('a'+i)), [...]float64{0.02, 0.2, 0.02}[i], "--processes", "2")
}

// until waits until that time of the load.
func (s *trio) until(at time.Duration) {
	<-time.After(time.Until(s.begin.Add(at)))
}

// shares returns which part of the answers of some time each member gave.
func shares(all outcomes, from, to time.Duration) (share [3]float64, n int) {
	for _, o := range all.answered() {
		if o.ended >= from && o.ended < to && len(o.body) == 1 {
			share[o.body[0]-'a']++
			n++
		}
	}
	for i := range share {
		share[i] /= max(float64(n), 1)
	}
	return share, n
}

// carries returns how long after the member was there again it carried its part
// for a second, which is four fifths of the share that it had; 0 if it never did.
func carries(all outcomes, member int, back, end time.Duration, had float64) time.Duration {
	for at := back; at+time.Second <= end; at += 100 * time.Millisecond {
		if share, n := shares(all, at, at+time.Second); n > 0 && share[member] >= 0.8*had {
			return at + time.Second - back
		}
	}
	return 0
}

// TestThreeMembers: one member is ten times slower than the others, one stops and
// comes back after ten seconds, and one is killed for good: before that, so that
// only the slow one is left, or after it. No request fails.
func TestThreeMembers(t *testing.T) {
	const length, stops, back = 28 * time.Second, 3 * time.Second, 13 * time.Second
	for _, row := range []struct {
		name  string
		kill  time.Duration
		share float64 // of the slow one while the others are there, at most
	}{
		{"killed while the other is gone", 5 * time.Second, 0.2},
		{"killed after the other is back", 25 * time.Second, 0.2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := startTrio(t)
			shots := poisson(2, 40, length, func(r *rand.Rand) shot {
				if r.IntN(10) == 0 {
					return shot{method: http.MethodPost, path: "/work", body: strings.Repeat("x", 1000)}
				}
				return shot{path: "/work"}
			})
			done := make(chan outcomes, 1)
			s.begin = time.Now()
			go func() { done <- shoot(t.Context(), shots, from(t, s.http, 1)) }()
			s.until(stops)
			s.apps[2].quit(t)
			var there time.Duration
			killed := false
			kill := func() {
				s.until(row.kill)
				s.apps[0].killAll(t)
				killed = true
			}
			if row.kill < back {
				kill()
			}
			s.until(back)
			s.apps[2] = s.member(t, 2)
			there = time.Since(s.begin)
			if !killed {
				kill()
			}
			all := <-done
			s.judge(t, all, row.kill)

			before, n := shares(all, 0, stops)
			t.Logf("before:              a %.0f %%, b (slow) %.0f %%, c %.0f %% of %d", 100*before[0], 100*before[1], 100*before[2], n)
			gone, n := shares(all, stops+time.Second, back)
			t.Logf("c stopped:           a %.0f %%, b (slow) %.0f %%, c %.0f %% of %d", 100*gone[0], 100*gone[1], 100*gone[2], n)
			after, n := shares(all, there, length)
			t.Logf("c back after %5.1f s: a %.0f %%, b (slow) %.0f %%, c %.0f %% of %d", (there - stops).Seconds(), 100*after[0], 100*after[1], 100*after[2], n)
			took := carries(all, 2, there, length, before[2])
			t.Logf("c carried four fifths of its share %.1f s after it was back; p50 of all %v, p99 %v", took.Seconds(), all.quantile(0.5), all.quantile(0.99))
			if before[1] > row.share {
				t.Errorf("the slow member got %.0f %% of the requests", 100*before[1])
			}
			if took == 0 || took > 12*time.Second {
				t.Errorf("the member that came back carries its share after %v", took)
			}
		})
	}
}

// judge names the requests that failed. Only a POST may, that was in a killed
// worker: it may have run.
func (s *trio) judge(t *testing.T, all outcomes, kill time.Duration) {
	t.Helper()
	lost := 0
	for _, o := range all {
		switch {
		case o.ok():
		case o.method == http.MethodPost && o.at <= kill+200*time.Millisecond && o.ended >= kill && strings.Contains(o.body, "may have run"):
			lost++
			t.Logf("in a killed worker: %v", o)
		default:
			t.Error(o)
		}
	}
	t.Logf("%d requests, %d of them POST in a killed worker", len(all), lost)
	if lost > 2 {
		t.Errorf("%d requests were lost in two killed workers", lost)
	}
}
