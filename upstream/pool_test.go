package upstream_test

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is what the pools of these tests have for a transport.
type server struct{ address string }

// fakeError is what a transport may say of a failure.
type fakeError struct {
	text                         string
	unsent, timeout, away, full  bool
	blameless                    bool
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
)

// world is a pool with what its members do.
type world struct {
	pools *upstream.Pools[*server]
	pool  *upstream.Pool[*server]

	mu     sync.Mutex
	absent map[string]bool // cannot be connected to
}

func members(addrs ...string) (out []upstream.Member) {
	for _, a := range addrs {
		out = append(out, upstream.Member{Address: a})
	}
	return out
}

func newWorld(t testing.TB) *world {
	w := &world{pools: upstream.NewPools[*server](nil), absent: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.pools.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return w
}

// spec is a pool whose members can be reached unless they are absent.
func (w *world) spec(o upstream.Options, ms ...upstream.Member) upstream.Spec[*server] {
	return upstream.Spec[*server]{Options: o, Members: ms, Driver: upstream.Driver[*server]{
		Dial: func(m upstream.Member) (*server, error) { return &server{m.Address}, nil },
		Reach: func(_ context.Context, s *server) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.absent[s.address] {
				return errRefused
			}
			return nil
		},
	}}
}

func (w *world) apply(t testing.TB, s upstream.Spec[*server]) {
	t.Helper()
	c, err := w.pools.Build(map[string]upstream.Spec[*server]{"web": s})
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	w.pool = w.pools.Get("web")
}

func (w *world) setAbsent(address string, absent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absent[address] = absent
}

func newPool(t testing.TB, o upstream.Options, addrs ...string) (*world, *upstream.Pool[*server]) {
	t.Helper()
	w := newWorld(t)
	w.apply(t, w.spec(o, members(addrs...)...))
	return w, w.pool
}

type (
	lease   = upstream.Lease[*server]
	request = upstream.Request[*server]
)

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

func TestRequestsWaitForAMemberThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPool(t, upstream.Options{}, "a")
		w.setAbsent("a", true)
		var r request
		l := acquire(t, p, &r)
		l.Fail(errRefused)
		if !p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused}) || r.Attempts() != 0 {
			t.Fatalf("no second try, or %d attempts", r.Attempts())
		}
		begin := time.Now()
		time.AfterFunc(2*time.Second, func() { w.setAbsent("a", false) })
		l = acquire(t, p, &r)
		if took := time.Since(begin); took < 2*time.Second || took > 2300*time.Millisecond {
			t.Errorf("waited for %v, want 2 s and at most 250 ms", took)
		}
		l.Answered(200)
		l.Release()
	})
}

func TestNobodyComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := newPool(t, upstream.Options{}, "a")
		w.setAbsent("a", true)
		var r request
		acquire(t, p, &r).Fail(errRefused)
		p.Retry(t.Context(), &r, upstream.Attempt{Err: errRefused})
		_, err := p.Acquire(t.Context(), &r)
		var wait *upstream.WaitError
		if !errors.As(err, &wait) || !errors.Is(err, upstream.ErrAway) || !errors.Is(err, errRefused) || wait.Waited != 30*time.Second {
			t.Errorf("got %v", err)
		}
	})
}

func BenchmarkAcquire(b *testing.B) {
	for _, row := range []struct {
		name string
		o    upstream.Options
		n    int
	}{{"auto/1", upstream.Options{}, 1}, {"slots/1", upstream.Options{Slots: 8}, 1}, {"auto/4", upstream.Options{}, 4}, {"slots/32", upstream.Options{Slots: 8}, 32},
		{"ip-hash/4", upstream.Options{Balance: upstream.Balance{Rule: upstream.IPHash}}, 4}} {
		b.Run(row.name, func(b *testing.B) {
			var addrs []string
			for i := range row.n {
				addrs = append(addrs, string(rune('a'+i)))
			}
			_, p := newPool(b, row.o, addrs...)
			client := netip.MustParseAddr("192.0.2.1")
			b.ReportAllocs()
			for b.Loop() {
				r := request{Client: client}
				l, err := p.Acquire(context.Background(), &r)
				if err != nil {
					b.Fatal(err)
				}
				l.Answered(200)
				l.Release()
			}
		})
	}
}
