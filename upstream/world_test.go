package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/upstream"
)

// server is what the pools of these tests have for a transport.
type server struct{ address, key string }

// fakeError is what a transport may say of a failure.
type fakeError struct {
	text                        string
	unsent, timeout, away, full bool
	blameless                   bool
}

func (e *fakeError) Error() string   { return e.text }
func (e *fakeError) Unsent() bool    { return e.unsent }
func (e *fakeError) Timeout() bool   { return e.timeout }
func (e *fakeError) Away() bool      { return e.away }
func (e *fakeError) Full() bool      { return e.full }
func (e *fakeError) Blameless() bool { return e.blameless }

var (
	errRefused = &fakeError{text: "connection refused", unsent: true, away: true}
	errReset   = &fakeError{text: "reset, unread", unsent: true}
	errClosed  = &fakeError{text: "closed without an answer"}
	errSlow    = &fakeError{text: "no answer in time", timeout: true}
	errFull    = &fakeError{text: "listen backlog full", unsent: true, full: true}
	errClient  = &fakeError{text: "the client went away", blameless: true}
	errLarge   = &fakeError{text: "too large for the member", blameless: true, unsent: true}
)

type (
	lease   = upstream.Lease[*server]
	request = upstream.Request[*server]
	spec    = upstream.Spec[*server]
)

// world is a pool with what its members do, and what was done to them.
type world struct {
	pools *upstream.Pools[*server]
	pool  *upstream.Pool[*server]
	log   *bytes.Buffer // guarded by mu

	mu      sync.Mutex
	reach   map[string]error         // why a member cannot be connected to
	sick    map[string]error         // why it fails its check
	checks  time.Duration            // how long a check takes
	reached map[string][]time.Time   // when somebody tried to connect
	checked map[string][]time.Time   // when it was checked
	loads   map[string]upstream.Load // its statistics
	closed  []server
	left    []string
}

func newWorld(t testing.TB) *world {
	w := &world{
		log: new(bytes.Buffer), reach: map[string]error{}, sick: map[string]error{}, loads: map[string]upstream.Load{},
		reached: map[string][]time.Time{}, checked: map[string][]time.Time{},
	}
	w.pools = upstream.NewPools[*server](slog.New(slog.NewTextHandler(w, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.pools.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

// Write takes in the log.
func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

// lines returns the log, once there is nothing more to be written.
func (w *world) lines() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// logged returns how many lines of the log have all the words.
func (w *world) logged(words ...string) (n int) {
	for line := range strings.Lines(w.lines()) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			n++
		}
	}
	return n
}

func members(addrs ...string) (out []upstream.Member) {
	for _, a := range addrs {
		out = append(out, upstream.Member{Address: a})
	}
	return out
}

// spec is a pool whose members do as w says.
func (w *world) spec(o upstream.Options, ms ...upstream.Member) spec {
	return w.keyed("", o, ms...)
}

func (w *world) keyed(key string, o upstream.Options, ms ...upstream.Member) spec {
	return spec{Options: o, Members: ms, Driver: upstream.Driver[*server]{
		Key:  key,
		Dial: func(m upstream.Member) (*server, error) { return &server{m.Address, key}, nil },
		Close: func(s *server) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.closed = append(w.closed, *s)
		},
		Left: func(address string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.left = append(w.left, address)
		},
		Reach: func(_ context.Context, s *server) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reached[s.address] = append(w.reached[s.address], time.Now())
			return w.reach[s.address]
		},
		Check: func(ctx context.Context, s *server, _ upstream.CheckOptions) error {
			w.mu.Lock()
			w.checked[s.address] = append(w.checked[s.address], time.Now())
			err, takes := w.sick[s.address], w.checks
			w.mu.Unlock()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return errSlow
			}
			return err
		},
		Stats: func(_ context.Context, m upstream.Member) (upstream.Load, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if l, ok := w.loads[m.Stats]; ok {
				return l, nil
			}
			return upstream.Load{}, errors.New("no statistics")
		},
	}}
}

func (w *world) build(t testing.TB, s spec) *upstream.Change[*server] {
	t.Helper()
	c, err := w.pools.Build(map[string]spec{"web": s})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) apply(t testing.TB, s spec) {
	t.Helper()
	w.build(t, s).Apply()
	w.pool = w.pools.Get("web")
}

func (w *world) setAbsent(address string, absent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reach[address] = nil
	if absent {
		w.reach[address] = errRefused
	}
}

func (w *world) setSick(address string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sick[address] = err
}

// times returns when m[address] happened, since begin.
func (w *world) times(m map[string][]time.Time, address string, begin time.Time) (out []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range m[address] {
		out = append(out, at.Sub(begin))
	}
	return out
}

// gone returns what was closed and who has left.
func (w *world) gone() (closed []server, left []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(closed, w.closed...), append(left, w.left...)
}

// inWorld runs a test in a bubble with a pool of members that all are there.
func inWorld(t *testing.T, o upstream.Options, ms []upstream.Member, test func(*testing.T, *world, *upstream.Pool[*server])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.apply(t, w.spec(o, ms...))
		synctest.Wait()
		test(t, w, w.pool)
	})
}

func acquire(t testing.TB, p *upstream.Pool[*server], r *request) *lease {
	t.Helper()
	if r == nil {
		r = new(request)
	}
	l, err := p.Acquire(t.Context(), r)
	if err != nil {
		t.Fatalf("Acquire = %v", err)
	}
	return &l
}

// ok ends an exchange well.
func ok(l *lease) {
	l.Answered(200)
	l.Release()
}

// visit has one request answered and returns by whom.
func visit(t testing.TB, p *upstream.Pool[*server], r *request) string {
	t.Helper()
	l := acquire(t, p, r)
	address := l.Member().Address
	ok(l)
	return address
}

// shares counts who answers n requests, one after the other.
func shares(t testing.TB, p *upstream.Pool[*server], n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		got[visit(t, p, nil)]++
	}
	return got
}

// hold takes n slots and counts whose they are.
func hold(t testing.TB, p *upstream.Pool[*server], n int) (map[string]int, []*lease) {
	t.Helper()
	got, all := map[string]int{}, []*lease(nil)
	for range n {
		l := acquire(t, p, nil)
		got[l.Member().Address]++
		all = append(all, l)
	}
	return got, all
}

// result is what Acquire returned.
type result struct {
	*lease
	err error
	at  time.Time
}

// ask lets r wait, and returns once it does. The result can be had without waiting
// as soon as there is one.
func ask(ctx context.Context, p *upstream.Pool[*server], r *request) <-chan result {
	c := make(chan result, 1)
	go func() {
		l, err := p.Acquire(ctx, r)
		c <- result{&l, err, time.Now()}
	}()
	synctest.Wait()
	return c
}

// now returns what there is.
func now(t testing.TB, c <-chan result) result {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		return r
	default:
		t.Fatal("it still waits")
		return result{}
	}
}

// waits fails the test if there is a result.
func waits(t testing.TB, c <-chan result) {
	t.Helper()
	synctest.Wait()
	if len(c) > 0 {
		r := <-c
		t.Fatalf("it does not wait: %v", r.err)
	}
}

// after lets time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func from(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// state returns the state of one member.
func state(p *upstream.Pool[*server], address string) (out upstream.MemberState) {
	for _, m := range p.Snapshot().Members {
		if m.Address == address && m.State != upstream.StateLeaving {
			return m
		}
		if m.Address == address {
			out = m
		}
	}
	return out
}

func wantState(t testing.TB, p *upstream.Pool[*server], address string, want upstream.State) {
	t.Helper()
	if got := state(p, address).State; got != want {
		t.Errorf("%s is %q, want %q", address, got, want)
	}
}

// failures ends n requests at the member badly. It must be the only one that is
// free, or have the key.
func failures(t testing.TB, p *upstream.Pool[*server], address string, n int) {
	t.Helper()
	for range n {
		var others []*lease
		for {
			l := acquire(t, p, nil)
			if l.Member().Address == address {
				l.Fail(errClosed)
				break
			}
			others = append(others, l)
		}
		for _, l := range others {
			ok(l)
		}
	}
}
