package livetest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// emperorSize is how many apps TestEmperor has of each kind.
type emperorSize struct {
	all, broken, crash, loop int // files; those that are broken, whose app ends at its start, and whose app does not stay
	ini, idle                int // of the others: on uWSGI, and started on demand
	touched, removed         int
}

func sizeOfEmperor() emperorSize {
	if os.Getenv("HEADGATE_TEST_LONG") != "" {
		return emperorSize{all: 200, broken: 5, crash: 3, loop: 2, ini: 20, idle: 20, touched: 50, removed: 50}
	}
	return emperorSize{all: 24, broken: 2, crash: 1, loop: 1, ini: 3, idle: 4, touched: 6, removed: 6}
}

func (c emperorSize) good() int { return c.all - c.broken - c.crash - c.loop }

// nameOf names an app by its number: the good ones come first.
func (c emperorSize) nameOf(i int) string { return fmt.Sprintf("%03d", i) }

func (c emperorSize) isINI(i int) bool  { return i < c.good() && i%(c.good()/c.ini) == 1 }
func (c emperorSize) isIdle(i int) bool { return i < c.good() && i%(c.good()/c.idle) == 2 }

// emperorBroken are texts that are no apps, with the place and a word of what is said.
var emperorBroken = []struct{ text, place, word string }{
	{"hosts: [b0.localhost]\nworkers: {app: app.py\n", ":2:", ""},
	{"hosts: [b1.localhost]\nworkers: {app: app.py, process: 2}\n", ":2:", "process"},
	{"hosts: [\"*.*.localhost\"]\nworkers: {app: app.py}\n", ":1:9:", "b2"},
	{"hosts: [b3.localhost]\nroutes: [{pool: nowhere}]\n", ":2:", "nowhere"},
	{"hosts: [b4.localhost]\nworkers: {app: app.py, threads: many}\n", ":2:", "many"},
}

// fill writes all files of the emperorSize into a directory.
func (c emperorSize) fill(t *testing.T, e *emperor, dir string) {
	t.Helper()
	for i := range c.all {
		name, a := c.nameOf(i), emperorApp{}
		bad := i - c.good()
		switch {
		case c.isINI(i):
			e.put(t, filepath.Join(dir, e.name+name+".ini"), e.ini(name, "processes = 1"))
			continue
		case c.isIdle(i):
			a.more = "idle: 10m"
		case bad >= c.loop+c.crash:
			e.put(t, filepath.Join(dir, e.name+name+".yaml"), emperorBroken[bad-c.loop-c.crash].text)
			continue
		case bad >= c.loop:
			a.env = "CRASH: yes"
		case bad >= 0:
			a.env = "LOOP: yes"
		}
		e.put(t, filepath.Join(dir, e.name+name+".yaml"), e.yaml(name, a))
	}
}

// TestEmperor: many files appear at once, some of them wrong in all ways. The others
// serve; those that are touched have new workers and those that are removed are gone,
// and no request to another one fails.
func TestEmperor(t *testing.T) {
	need(t, "uwsgi")
	if os.Getenv("HEADGATE_TEST_LONG") == "" {
		t.Parallel()
	}
	c := sizeOfEmperor()
	e := startEmperor(t, "")
	alone := e.startsAlone(t)
	c.appear(t, e, alone)
	if os.Getenv("HEADGATE_TEST_LONG") != "" {
		e.measureIdle(t)
	}
	c.wantStates(t, e)
	c.change(t, e)
}

// startsAlone is how long workers take that start alone: the builtin server's, and
// uWSGI's.
func (e *emperor) startsAlone(t *testing.T) (alone [2]time.Duration) {
	t.Helper()
	e.add(t, "alone0", emperorApp{})
	e.waitReady(t, "alone0")
	e.put(t, e.path("alone1", ".ini"), e.ini("alone1", "processes = 1"))
	e.waitReady(t, "alone1")
	took := e.took(t)
	alone = [2]time.Duration{took[e.name+"alone0"], took[e.name+"alone1"]}
	for _, file := range []string{e.path("alone0", ".yaml"), e.path("alone1", ".ini")} {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	e.wantGone(t, "alone0", "alone1")
	return alone
}

// took is how long the workers of each pool took to start, as the log says.
func (e *emperor) took(t *testing.T) map[string]time.Duration {
	t.Helper()
	out := map[string]time.Duration{}
	for line := range strings.Lines(e.said()) {
		var l struct {
			Msg, Pool string
			Took      any
		}
		if json.Unmarshal([]byte(line), &l) != nil || l.Msg != "workers are ready" {
			continue
		}
		switch v := l.Took.(type) {
		case float64:
			out[l.Pool] = time.Duration(v)
		case string:
			out[l.Pool], _ = time.ParseDuration(v)
		}
	}
	return out
}

// appear has all files appear at once and waits until what is good serves.
func (c emperorSize) appear(t *testing.T, e *emperor, alone [2]time.Duration) {
	t.Helper()
	dir := e.apps + ".new"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.fill(t, e, dir)
	if err := os.Remove(e.apps); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := os.Rename(dir, e.apps); err != nil {
		t.Fatal(err)
	}
	needed := (time.Duration(c.good()-c.ini-c.idle)*alone[0] + time.Duration(c.ini)*alone[1]) / time.Duration(runtime.NumCPU())
	var s emperorStatus
	served := func() (n int) {
		s = e.status(t)
		for i := range c.good() {
			p := s.pool(e.name + c.nameOf(i))
			if p != nil && p.Workers != nil && (p.Workers.State == "ready" || c.isIdle(i) && p.Workers.State == "idle") {
				n++
			}
		}
		return n
	}
	n := 0
	over := time.After(30*time.Second + 5*needed)
	look := time.NewTicker(200 * time.Millisecond) // looking takes time, too
	defer look.Stop()
	for n = served(); n < c.good(); n = served() {
		select {
		case <-look.C:
			continue
		case <-over:
		}
		t.Fatalf("%d of %d apps serve after %v", n, c.good(), time.Since(begin))
	}
	all := time.Since(begin)
	var sum time.Duration
	for _, took := range e.took(t) {
		sum += took
	}
	used := emperorCPU(e.cmd.Process.Pid, true)
	for _, pid := range e.processes("") {
		used += emperorCPU(pid, true)
	}
	t.Logf("%d apps serve after %v; alone their starts take %v (builtin) and %v (uWSGI), together %v by processor; the sum of what they took is %v; processor time %v, by processor %v",
		c.good(), all.Round(time.Millisecond), alone[0], alone[1], needed.Round(time.Millisecond), sum.Round(time.Millisecond), used, used/time.Duration(runtime.NumCPU()))
	client := e.client(t, h2)
	for i := range c.good() {
		code, body := e.get(t, client, h2, e.host(c.nameOf(i)), "/")
		if code != http.StatusOK || !strings.HasPrefix(body, e.name+c.nameOf(i)+" ") {
			t.Errorf("app %d answers %d: %s", i, code, body)
		}
	}
	client.CloseIdleConnections()
}

// emperorCPU is the time that a process has used, with or without its children that have
// ended; 0 when it has ended.
func emperorCPU(pid int, children bool) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[11:15]
	if !children {
		fields = fields[:2]
	}
	sum := 0
	for _, f := range fields {
		n, _ := strconv.Atoi(f)
		sum += n
	}
	return time.Duration(sum) * 10 * time.Millisecond
}

// measureIdle is what the gateway itself takes while nobody asks.
func (e *emperor) measureIdle(t *testing.T) {
	t.Helper()
	const span = 10 * time.Second
	before, pid := emperorCPU(e.cmd.Process.Pid, false), e.cmd.Process.Pid
	<-time.After(span)
	used := emperorCPU(pid, false) - before
	now, most := e.resident(t)
	begin := time.Now()
	_, stderr, code := run(t, headgate, "reload", "-c", e.file)
	t.Logf("idle, the gateway takes %.1f %% of a processor and %d MiB (at most %d); a reload takes %v", 100*float64(used)/float64(span), now, most, time.Since(begin).Round(time.Millisecond))
	if code != 0 {
		t.Errorf("reload: %s", stderr)
	}
	if used > span/5 || now > 1024 {
		t.Errorf("an idle gateway uses %v in %v, and %d MiB", used, span, now)
	}
}

// wantStates: what is wrong is shown, by headgate status and headgate check.
func (c emperorSize) wantStates(t *testing.T, e *emperor) {
	t.Helper()
	_, said, code := run(t, headgate, "check", "-c", e.file)
	if code != 1 {
		t.Errorf("headgate check: exit code %d", code)
	}
	for i := range c.broken {
		file := e.path(c.nameOf(c.good()+c.loop+c.crash+i), ".yaml")
		if b := emperorBroken[i]; !strings.Contains(said, file+b.place) {
			t.Errorf("headgate check does not name %s%s:\n%s", file, b.place, said)
		}
		s := e.status(t)
		if state, err := s.app(filepath.Base(file)); state != "broken" || !strings.Contains(err, file) {
			t.Errorf("status has %s: %q %s", file, state, err)
		}
	}
	for i := c.good(); i < c.good()+c.loop+c.crash; i++ {
		p, crashes := emperorPool{}, i >= c.good()+c.loop
		ok := eventually(20*time.Second, func() bool {
			s := e.status(t)
			if found := s.pool(e.name + c.nameOf(i)); found != nil {
				p = *found
			}
			return p.Workers != nil && p.Workers.State == "crashed" && p.Workers.Error != ""
		})
		switch {
		case !ok:
			t.Errorf("status has the app that ends as %+v: %+v", p, p.Workers)
		case crashes && !strings.Contains(strings.Join(p.Workers.Tail, "\n"), "the database is not there"):
			t.Errorf("status does not say why the app ends: %+v", p.Workers)
		case p.Workers.Restarts > 60:
			t.Errorf("%s was restarted %d times", p.Name, p.Workers.Restarts)
		}
	}
	stdout, _, _ := run(t, headgate, "status", "--socket", e.admin)
	for _, word := range []string{e.name + c.nameOf(c.all-1), "broken", "crashed"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("headgate status says nothing of %s:\n%s", word, stdout)
		}
	}
}

// change touches and removes apps while all that stay are asked.
func (c emperorSize) change(t *testing.T, e *emperor) {
	t.Helper()
	var stay, touched, removed []string
	var files []string
	for i := range c.good() {
		name, ext := c.nameOf(i), ".yaml"
		if c.isINI(i) {
			ext = ".ini"
		}
		switch {
		case i%3 == 1 && len(removed) < c.removed:
			removed = append(removed, name)
			files = append(files, e.path(name, ext))
			continue
		case i%3 == 0 && len(touched) < c.touched && !c.isIdle(i):
			touched = append(touched, name)
			now := time.Now()
			if err := os.Chtimes(e.path(name, ext), now, now); err != nil {
				t.Fatal(err)
			}
		}
		stay = append(stay, name)
	}
	v := e.visit(t, 2, stay, h1, h2)
	kept := map[protocol]*http.Client{h1: e.client(t, h1), h2: e.client(t, h2)}
	for p, client := range kept { // a connection for the host that will be gone
		if code, body := e.get(t, client, p, e.host(removed[0]), "/"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	slow, codes := e.slowly(t, removed[0])
	begin := time.Now()
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if !eventually(10*time.Second, func() bool { s := e.status(t); _, ok := s.find(filepath.Base(files[len(files)-1])); return !ok }) {
		t.Error("status still has a file that is removed")
	}
	for _, p := range []protocol{h1, h2} {
		code, body := 0, ""
		if !eventually(10*time.Second, func() bool {
			code, body = e.get(t, kept[p], p, e.host(removed[0]), "/")
			return code == http.StatusNotFound || code == http.StatusMisdirectedRequest
		}) {
			t.Errorf("a removed app answers %d over %s: %s", code, p, body)
		}
	}
	t.Logf("removed apps are not found after %v", time.Since(begin).Round(time.Millisecond))
	slow.Wait()
	if !slices.Equal(*codes, []int{200, 200}) {
		t.Errorf("requests that ran while their app was removed: %v", *codes)
	}
	c.rolled(t, e, touched)
	t.Logf("all touched apps have new workers after %v", time.Since(begin).Round(time.Millisecond))
	e.wantGone(t, removed...)
	t.Logf("all removed apps are gone after %v", time.Since(begin).Round(time.Millisecond))
	v.end(t, 100)
	client := e.client(t, h1)
	for _, name := range removed {
		if code, body := e.get(t, client, h1, e.host(name), "/"); code != http.StatusNotFound && code != http.StatusMisdirectedRequest {
			t.Errorf("%s, which is removed, answers %d: %s", name, code, body)
		}
	}
}

// slowly asks an app for what takes it some seconds, twice, and returns when one runs
// and the other one waits for it.
func (e *emperor) slowly(t *testing.T, app string) (*sync.WaitGroup, *[]int) {
	t.Helper()
	var wg sync.WaitGroup
	codes := make([]int, 2)
	for i, p := range []protocol{h1, h2} {
		client := e.client(t, p)
		wg.Go(func() { codes[i], _ = e.get(t, client, p, e.host(app), "/?s=2.5") })
	}
	ok := eventually(10*time.Second, func() bool {
		s := e.status(t)
		p := s.pool(e.name + app)
		return p.Queued == 1 && p.Members[0].InFlight == 1
	})
	if !ok {
		t.Error("the requests do not run")
	}
	return &wg, &codes
}

// rolled waits until touched apps have new workers.
func (c emperorSize) rolled(t *testing.T, e *emperor, touched []string) {
	t.Helper()
	var left []string
	ok := eventually(120*time.Second, func() bool {
		s := e.status(t)
		left = nil
		for _, name := range touched {
			if p := s.pool(e.name + name); p == nil || p.Workers == nil || p.Workers.Reloads < 1 {
				left = append(left, name)
			}
		}
		return len(left) == 0
	})
	if !ok {
		t.Errorf("touched, and without new workers: %v", left)
	}
}
