package livetest_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// callers are clients under a constant load of GET and of POST with a small and
// a large body. Each of their requests has an id, and the app notes it.
type callers struct {
	addr string
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	answered map[string]int
	pids     map[int]int // requests that each worker has answered
	round    int         // of what is done to uWSGI
	killed   map[int]int // the round in which each worker was
	failed   []failedCall
}

// failedCall is a request that was not answered with 200.
type failedCall struct {
	id, method string
	round      int
	bytes      int
	status     int // 0: no answer
	why        string
}

func (f failedCall) String() string {
	return fmt.Sprintf("%s %s with %d bytes: status %d: %s", f.method, f.id, f.bytes, f.status, f.why)
}

// startCallers starts four clients of GET, two of POST with a small body, and two
// of POST with 64 KiB. They end with the test.
func startCallers(t *testing.T, addr string) *callers {
	ctx, cancel := context.WithCancel(context.Background())
	c := &callers{addr: addr, stop: cancel, answered: map[string]int{}, pids: map[int]int{}, killed: map[int]int{}}
	for i, size := range []int{0, 0, 0, 0, 20, 20, 64 << 10, 64 << 10} {
		c.wg.Go(func() { c.call(ctx, fmt.Sprintf("c%d", i), size) })
	}
	t.Cleanup(func() {
		cancel()
		c.wg.Wait()
	})
	return c
}

// call asks as fast as it gets answers.
func (c *callers) call(ctx context.Context, name string, size int) {
	method, body := http.MethodGet, []byte(nil)
	if size > 0 {
		method, body = http.MethodPost, bytes.Repeat([]byte("x"), size)
	}
	w := wire{addr: c.addr}
	defer w.close()
	for i := 0; ctx.Err() == nil; i++ {
		call := failedCall{id: fmt.Sprint(name, "-", i), method: method, bytes: size}
		a, err := w.ask(method, "/work?s=0.005&id="+call.id, body)
		call.status, call.why = a.status, oneLine(a.body)
		if err != nil {
			call.why = err.Error()
		}
		c.note(call)
	}
}

// oneLine makes one of an error page, without what there is to do about it.
func oneLine(page string) string {
	page, _, _ = strings.Cut(page, "hint: ")
	return strings.Join(strings.Fields(page), " ")
}

func (c *callers) note(call failedCall) {
	var id string
	var pid, length int
	_, err := fmt.Sscanf(call.why, "%s %d %d", &id, &pid, &length)
	c.mu.Lock()
	defer c.mu.Unlock()
	if call.status != http.StatusOK || err != nil || id != call.id || length != call.bytes {
		call.round = c.round
		c.failed = append(c.failed, call)
		return
	}
	c.answered[call.id]++
	c.pids[pid]++
}

// seen returns how many requests each worker has answered.
func (c *callers) seen() map[int]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.pids)
}

// begin begins the next round.
func (c *callers) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.round++
}

// lose notes that workers were killed in this round.
func (c *callers) lose(pids []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pid := range pids {
		c.killed[pid] = c.round
	}
}

// awaitNew waits until n workers that are not among before have answered, some
// requests each.
func (c *callers) awaitNew(t *testing.T, before map[int]int, n int) {
	t.Helper()
	var fresh int
	if eventually(30*time.Second, func() bool {
		fresh = 0
		for pid, requests := range c.seen() {
			if before[pid] == 0 && requests >= 50 {
				fresh++
			}
		}
		return fresh >= n
	}) {
		return
	}
	t.Fatalf("%d new workers answer, want %d", fresh, n)
}

// end stops the load and holds what the clients saw against what the app did.
func (c *callers) end(t *testing.T, file string) {
	t.Helper()
	c.stop()
	c.wg.Wait()
	runs := readRuns(t, file)
	room := map[int]int{} // by round: a worker has one request, and can lose no more
	for _, round := range c.killed {
		room[round]++
	}
	for _, f := range c.failed {
		room[f.round]--
		if why := c.fault(f, room[f.round], runs[f.id]); why != "" {
			t.Errorf("lost, %s: %s", why, f)
		} else {
			t.Logf("lost in a worker that was killed: %s", f)
		}
	}
	for id, pids := range runs {
		if len(pids) > 1 && c.post(id) {
			t.Errorf("POST %s has run %d times, in the workers %v", id, len(pids), pids)
		}
	}
	for id := range c.answered {
		if len(runs[id]) == 0 {
			t.Errorf("%s was answered, and the app has not run it", id)
		}
	}
	t.Logf("%d requests answered by %d workers, %d lost", len(c.answered), len(c.pids), len(c.failed))
}

// post reports whether the request of that id was one; the last four clients post.
func (c *callers) post(id string) bool { return id >= "c4" }

// fault says why a request must not have been lost, "" when it may: a POST that a
// worker was at when it was killed. If it was killed before the app could note the
// run there is none.
func (c *callers) fault(f failedCall, room int, runs []int) string {
	switch {
	case f.status == 0:
		return "without an answer"
	case f.method != http.MethodPost:
		return "a " + f.method
	case room < 0:
		return "one more than workers were killed"
	case len(runs) > 0 && c.killed[runs[0]] != f.round:
		return fmt.Sprintf("though nobody has killed its worker %d", runs[0])
	case !strings.Contains(f.why, "closed without an answer") && !strings.Contains(f.why, "may have run"):
		return "for no good reason"
	}
	return ""
}

// readRuns returns by id the workers that have run a request.
func readRuns(t *testing.T, file string) map[string][]int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	runs := map[string][]int{}
	for line := range strings.Lines(string(b)) {
		var id string
		var pid int
		if _, err := fmt.Sscan(line, &id, &pid); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		runs[id] = append(runs[id], pid)
	}
	return runs
}
