package livetest_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deployed is uWSGI with the app, the way an operator and bad luck treat it.
type deployed struct {
	*app
	t       *testing.T
	options []string
	workers int
	runs    string // file in which the app notes what it runs
}

func deployApp(t *testing.T, workers int, more ...string) *deployed {
	dir := shortDir(t)
	d := &deployed{t: t, workers: workers, runs: filepath.Join(dir, "runs")}
	d.options = append([]string{"--processes", fmt.Sprint(workers), "--env", "LIVE_RUNS=" + d.runs}, more...)
	d.app = startAppAt(t, filepath.Join(dir, "app.sock"), d.options...)
	return d
}

// tell writes a command into uWSGI's pipe.
func (d *deployed) tell(command string) {
	d.t.Helper()
	fifo, err := os.OpenFile(d.fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer fifo.Close()
	if _, err := fifo.WriteString(command); err != nil {
		d.t.Fatal(err)
	}
}

// again starts uWSGI again two seconds after it has ended.
func (d *deployed) again() {
	d.t.Helper()
	if !eventually(20*time.Second, d.over) {
		d.t.Fatal("uWSGI does not end")
	}
	<-time.After(2 * time.Second)
	d.app = startAppAt(d.t, d.socket, d.options...)
}

// pids returns the processes of the workers that are alive.
func (d *deployed) pids() (pids []int) {
	master := d.cmd.Process.Pid
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", master, master))
	if err != nil {
		d.t.Fatal(err)
	}
	for field := range strings.FieldsSeq(string(b)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (d *deployed) kill(pids ...int) {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			d.t.Errorf("kill %d: %v", pid, err)
		}
	}
}

// deploys is what is done to uWSGI. Each returns the workers that were killed:
// their requests may be lost, unless it is known that nothing has run.
var deploys = []struct {
	name    string
	most    int // workers: a chain takes two seconds for each
	options []string
	do      func(d *deployed) (killed []int)
}{
	{"chain reload", 2, []string{"--lazy-apps"}, func(d *deployed) []int {
		const over = "chain reloading complete"
		before := strings.Count(d.said(), over)
		d.tell("c")
		if !eventually(30*time.Second, func() bool { return strings.Count(d.said(), over) > before }) {
			d.t.Error("the chain reload does not end")
		}
		return nil
	}},
	{"graceful reload", 4, nil, func(d *deployed) []int { d.tell("r"); return nil }},
	{"brutal reload", 4, nil, func(d *deployed) []int {
		pids := d.pids()
		d.tell("R")
		return pids
	}},
	{"stop and start", 4, nil, func(d *deployed) []int {
		d.tell("q")
		d.again()
		return nil
	}},
	{"worker killed", 4, nil, func(d *deployed) []int {
		pids := d.pids()[:1]
		d.kill(pids...)
		return pids
	}},
	{"all killed", 4, nil, func(d *deployed) []int {
		pids := d.pids()
		d.kill(append([]int{d.cmd.Process.Pid}, pids...)...)
		d.again()
		return pids
	}},
	{"master killed", 4, nil, func(d *deployed) []int { // its workers end after the request that they have
		orphans := d.pids()
		d.kill(d.cmd.Process.Pid)
		d.t.Cleanup(func() { d.wantGone(orphans) })
		d.again()
		return nil
	}},
}

// wantGone: orphans end by themselves, and must not outlive the test.
func (d *deployed) wantGone(pids []int) {
	for _, pid := range pids {
		if syscall.Kill(pid, syscall.SIGKILL) == nil {
			d.t.Logf("worker %d was left by its master", pid)
		}
	}
}

// TestDeploys: whatever happens to uWSGI, three times, under load, no request is
// lost but those that may have run in a worker that was killed, and nothing runs
// twice that must not.
func TestDeploys(t *testing.T) {
	for _, row := range deploys {
		for _, slots := range []int{0, 4} { // 0: auto
			workers, pool := 2, ""
			if slots > 0 {
				workers = min(slots, row.most)
				pool = fmt.Sprintf("slots: %d\n", workers)
			}
			t.Run(fmt.Sprintf("%s, %d workers, %s", row.name, workers, cmp.Or(strings.TrimSpace(pool), "slots: auto")), func(t *testing.T) {
				t.Parallel() // it waits more than it works
				d := deployApp(t, workers, row.options...)
				g := startGateway(t, conf{socket: d.socket, pool: pool})
				c := startCallers(t, g.http)
				c.awaitNew(t, nil, d.workers)
				for range 3 {
					before := c.seen()
					c.begin()
					killed := row.do(d)
					c.lose(killed)
					fresh := d.workers
					if len(killed) > 0 {
						fresh = len(killed)
					}
					c.awaitNew(t, before, fresh)
				}
				c.end(t, d.runs)
			})
		}
	}
}
