package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream"
	"headgate/upstream/worker"
	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
	"headgate/upstream/worker/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behaviour is what a process does that is started. The zero value serves at once,
// until it is told to stop.
type behaviour struct {
	refuse  error         // Start says so
	unready bool          // never serves
	after   time.Duration // until it serves
	dies    time.Duration // after so long; 0: never
	code    int           // with which it dies
	stop    time.Duration // to stop
	deaf    bool          // to everything but SIGKILL
	orphans time.Duration // how long its children outlive it
	tail    []string
}

// machine is a machine of fake processes.
type machine struct {
	t *testing.T

	mu        sync.Mutex // guards the fields below
	planError error
	plan      python.Plan // what is the same in all plans
	next      []behaviour // of the next processes, in turn
	standard  behaviour
	all       []*fake
	requests  []python.Request
	ordered   []string
	changed   func([]string) // tells of files that have changed; nil: nobody watches
	watched   []string
	most      int // processes that ran at once
	termed    []int
	uid       int
}

// fake is a process.
type fake struct {
	m       *machine
	pid     int
	spec    process.Spec
	socket  string
	app     string
	do      behaviour
	started time.Time
	ended   chan struct{}
	done    chan struct{}

	mu       sync.Mutex // guards the fields below
	exit     process.Exit
	signals  []syscall.Signal
	over     bool
	buried   bool
	children int
	big      int // the child with too much memory; 0: none
}

func (m *machine) newPlan(ctx context.Context, r python.Request) (*python.Plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, r)
	if m.planError != nil {
		return nil, m.planError
	}
	p := m.plan
	p.Command = len(r.Command) > 0
	p.Path = "/bin/fake"
	p.Env = []string{"APP=" + r.App}
	p.Slots = r.Processes * r.Threads
	if p.Fifo != "" {
		p.Fifo = r.Fifo
	}
	return &p, nil
}

func (m *machine) start(s process.Spec) (worker.Leader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do := m.standard
	if len(m.next) > 0 {
		do, m.next = m.next[0], m.next[1:]
	}
	if do.refuse != nil {
		return nil, do.refuse
	}
	p := &fake{m: m, pid: 1000 + len(m.all), spec: s, socket: s.FDs[0].Name(), do: do, started: time.Now(), ended: make(chan struct{}), done: make(chan struct{}), children: m.requests[len(m.requests)-1].Processes}
	for _, v := range s.Env {
		p.app, _ = strings.CutPrefix(v, "APP=")
	}
	m.all = append(m.all, p)
	if do.dies > 0 {
		time.AfterFunc(do.dies, func() { p.end(process.Exit{Code: do.code, Cause: fmt.Sprint("exited with status ", do.code)}) })
	}
	m.most = max(m.most, len(m.aliveLocked()))
	return p, nil
}

func (m *machine) aliveLocked() (all []*fake) {
	for _, p := range m.all {
		if p.alive() {
			all = append(all, p)
		}
	}
	return all
}

func (m *machine) alive() []*fake {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.aliveLocked()
}

// last returns the process that was started last.
func (m *machine) last() *fake {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) == 0 {
		return nil
	}
	return m.all[len(m.all)-1]
}

func (m *machine) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.all)
}

// with says how the next processes behave.
func (m *machine) with(next ...behaviour) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = next
}

// ready answers as the last process at an address does.
func (m *machine) ready(_ context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range slices.Backward(m.all) {
		if "unix:"+p.socket != address || !p.alive() {
			continue
		}
		if p.do.unready || time.Since(p.started) < p.do.after {
			return errors.New("no answer to a ping")
		}
		return nil
	}
	return errors.New("nobody is there")
}

func (m *machine) watch(ctx context.Context, s watch.Setup) error {
	m.mu.Lock()
	m.changed, m.watched = s.Found, s.Dirs
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed = nil
	return nil
}

func (m *machine) change(files ...string) {
	m.t.Helper()
	synctest.Wait()
	m.mu.Lock()
	changed := m.changed
	m.mu.Unlock()
	if changed == nil {
		m.t.Fatal("nobody watches")
	}
	changed(files)
}

func (m *machine) order(fifo, word string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ordered = append(m.ordered, word)
	for _, p := range m.aliveLocked() {
		if p.socket != strings.TrimSuffix(fifo, "/fifo")+".sock" {
			continue
		}
		switch word {
		case "q":
			p.goAway()
		case "+":
			p.grow(1)
		case "-":
			p.grow(-1)
		}
	}
	return nil
}

func (m *machine) orders() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.ordered, "")
}

func (m *machine) use(s *worker.Supervisor) {
	s.Use(worker.Machine{
		Plan: m.newPlan, Start: m.start, Watch: m.watch, Order: m.order, UID: m.user(),
		Family: func(p worker.Leader) []process.Relative { return p.(*fake).family() },
		Signal: func(pid int, sig os.Signal) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if sig == syscall.SIGTERM {
				m.termed = append(m.termed, pid)
			}
			return nil
		},
		User: func(name string) (*process.User, error) {
			if name == "nobody" {
				return &process.User{Name: name, UID: 65534, GID: 65534}, nil
			}
			return nil, errors.New("there is no such user")
		},
	})
}

// told returns the processes that got SIGTERM, besides leaders.
func (m *machine) told() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.termed)
}

// user is who the gateway runs as: somebody, or root if uid is below 0.
func (m *machine) user() int {
	if m.uid < 0 {
		return 0
	}
	return 1000
}

func (p *fake) PID() int               { return p.pid }
func (p *fake) Ended() <-chan struct{} { return p.ended }
func (p *fake) Done() <-chan struct{}  { return p.done }
func (p *fake) Tail() []string         { return p.do.tail }

func (p *fake) Exit() process.Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

func (p *fake) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end ends the process; its orphans hold its output for a while.
func (p *fake) end(e process.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.exit, p.over = e, true
	close(p.ended)
	if p.do.orphans == 0 {
		p.buryLocked()
		return
	}
	time.AfterFunc(p.do.orphans, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.buryLocked()
	})
}

func (p *fake) buryLocked() {
	if !p.buried {
		p.buried = true
		close(p.done)
	}
}

// crash is kill -9.
func (p *fake) crash() {
	p.end(process.Exit{Code: -1, Signal: syscall.SIGKILL, Cause: "was killed by SIGKILL"})
}

func (p *fake) Kill() {
	p.crash()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.buryLocked()
}

func (p *fake) Signal(s os.Signal) error {
	sig := s.(syscall.Signal)
	p.mu.Lock()
	p.signals = append(p.signals, sig)
	p.mu.Unlock()
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		p.goAway()
	case syscall.SIGTTIN:
		p.grow(1)
	case syscall.SIGTTOU:
		p.grow(-1)
	}
	return nil
}

func (p *fake) goAway() {
	if !p.do.deaf {
		time.AfterFunc(p.do.stop, func() { p.end(process.Exit{Cause: "exited with status 0"}) })
	}
}

func (p *fake) grow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.children += n
}

func (p *fake) got() []syscall.Signal {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.signals)
}

func (p *fake) family() []process.Relative {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []process.Relative{{PID: p.pid, RSS: 1 << 20, Started: p.started}}
	for i := range p.children {
		one := process.Relative{PID: p.pid*1000 + i, Parent: p.pid, RSS: 1 << 20}
		if p.big > 0 && i == p.big {
			one.RSS = 1 << 30
		}
		all = append(all, one)
	}
	return all
}

// pool is the pool of a supervisor.
type pool struct {
	mu       sync.Mutex // guards the fields below
	members  []upstream.Member
	said     int
	most     int // members at once
	inFlight map[string]int
	leaving  map[string][]chan struct{}
	queued   int
	requests uint64
}

func (p *pool) set(name string, members []upstream.Member) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.members
	p.members = slices.Clone(members)
	p.said++
	p.most = max(p.most, len(members))
	idle := make(chan struct{})
	for _, m := range before {
		named := slices.ContainsFunc(members, func(n upstream.Member) bool { return n.Address == m.Address })
		if !named && p.inFlight[m.Address] > 0 {
			p.leaving[m.Address] = append(p.leaving[m.Address], idle)
			return idle
		}
	}
	close(idle)
	return idle
}

// begin begins a request; at nobody it waits.
func (p *pool) begin() (address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if len(p.members) == 0 {
		p.queued++
		return ""
	}
	address = p.members[0].Address
	p.inFlight[address]++
	return address
}

func (p *pool) end(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight[address]--; p.inFlight[address] == 0 {
		for _, idle := range p.leaving[address] {
			close(idle)
		}
		delete(p.leaving, address)
	}
}

// serveQueue gives what waits to the member, and ends it.
func (p *pool) serveQueue() (served int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) > 0 {
		served, p.queued = p.queued, 0
	}
	return served
}

func (p *pool) load() worker.Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := worker.Load{Queued: p.queued, Requests: p.requests}
	for _, n := range p.inFlight {
		l.InFlight += n
	}
	return l
}

// busy makes the pool be as busy as that, at its member.
func (p *pool) busy(inFlight, queued int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight = map[string]int{}
	if len(p.members) > 0 {
		p.inFlight[p.members[0].Address] = inFlight
	}
	p.queued = queued
}

func (p *pool) words() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said
}

func (p *pool) names() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.members {
		all = append(all, filepath.Base(m.Address))
	}
	return strings.Join(all, " ")
}

func (p *pool) slots() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.members) == 0 {
		return 0
	}
	return p.members[0].Slots
}

// journal is a log that tests can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// stand is a supervisor with fakes around it.
type stand struct {
	*worker.Supervisor
	t    *testing.T
	m    *machine
	pool *pool
	log  *journal
	dir  string
	stop context.CancelFunc
	done chan error
}

// newStand makes a stand; the supervisor does not run yet.
func newStand(t *testing.T, change ...func(*worker.Setup)) *stand {
	st := &stand{t: t, m: &machine{t: t}, pool: &pool{inFlight: map[string]int{}, leaving: map[string][]chan struct{}{}}, log: &journal{}, dir: shortDir(t)}
	setup := worker.Setup{
		Pool: "shop", Dir: st.dir, Ready: st.m.ready, Load: st.pool.load,
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(st.log), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&setup)
	}
	st.Supervisor = worker.New(setup)
	st.m.use(st.Supervisor)
	return st
}

// run runs the supervisor until the test ends or stop is called.
func (st *stand) run(o worker.Options) *stand {
	st.Configure(o)
	ctx, cancel := context.WithCancel(context.Background())
	st.done = make(chan error, 1)
	st.stop = cancel
	go func() { st.done <- st.Run(ctx, st.pool.set) }()
	synctest.Wait()
	return st
}

// end stops the supervisor and looks whether something is left.
func (st *stand) end() {
	st.t.Helper()
	st.stop()
	if err := <-st.done; err != nil {
		st.t.Errorf("Run = %v", err)
	}
	st.clean()
}

// clean looks whether processes or files are left.
func (st *stand) clean() {
	st.t.Helper()
	if left := st.m.alive(); len(left) > 0 {
		st.t.Errorf("%d processes are left, the first is %d of %s", len(left), left[0].pid, left[0].app)
	}
	left, err := os.ReadDir(st.dir)
	if err != nil && !os.IsNotExist(err) {
		st.t.Error(err)
	}
	for _, f := range left {
		st.t.Errorf("%s is left", f.Name())
	}
	if s := st.Snapshot(); s.State != worker.StateStopped || len(s.Workers) > 0 {
		st.t.Errorf("after Run: %s with %d workers", s.State, len(s.Workers))
	}
	if n := st.pool.most; n > 1 {
		st.t.Errorf("the pool had %d members at once", n)
	}
}

func (st *stand) state(want worker.State) {
	st.t.Helper()
	synctest.Wait()
	if got := st.Snapshot().State; got != want {
		st.t.Errorf("state is %s, want %s", got, want)
	}
}

func (st *stand) members(want string) {
	st.t.Helper()
	synctest.Wait()
	if got := st.pool.names(); got != want {
		st.t.Errorf("members are %q, want %q", got, want)
	}
}

// after waits, in the time of the bubble.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
