package subscribe_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/upstream"
	"headgate/upstream/subscribe"
)

// local is a sender on this machine, remote one that is not.
var (
	local  = subscribe.FromIP("127.0.0.1")
	remote = subscribe.FromIP("192.0.2.7")
)

// journal keeps what a server says in its log.
type journal struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start makes a server that uses o and runs until the test or the bubble ends.
func start(t testing.TB, o subscribe.Options, setup subscribe.Setup) *subscribe.Server {
	t.Helper()
	s := subscribe.New(setup)
	use(t, s, o)
	run(t, s.Run)
	return s
}

func use(t testing.TB, s *subscribe.Server, o subscribe.Options) {
	t.Helper()
	l, err := s.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(o, l)
}

// run runs f until the test ends.
func run(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f(ctx) // that of ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// words is what a source has said.
type words struct {
	mu    sync.Mutex // guards the fields below
	said  map[string][]upstream.Member
	calls map[string]int
	times map[string][]time.Time
}

// hear runs a source of s until the test ends.
func hear(t testing.TB, s *subscribe.Server) *words {
	t.Helper()
	w := newWords()
	run(t, func(ctx context.Context) error { return s.Source().Run(ctx, w.set) })
	return w
}

func newWords() *words {
	return &words{said: make(map[string][]upstream.Member), calls: make(map[string]int), times: make(map[string][]time.Time)}
}

func (w *words) set(key string, members []upstream.Member) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said[key] = members
	w.calls[key]++
	w.times[key] = append(w.times[key], time.Now())
	idle := make(chan struct{})
	close(idle)
	return idle
}

// of returns what was said last of a key, one member after the other.
func (w *words) of(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	members, ok := w.said[key]
	if !ok {
		return "nothing"
	}
	out := make([]string, len(members))
	for i, m := range members {
		out[i] = fmt.Sprintf("%s/%d/%d", m.Address, m.Weight, m.Slots)
		if m.Backup {
			out[i] += "/backup"
		}
		if m.Modifier1 != 0 {
			out[i] += fmt.Sprintf("/m%d.%d", m.Modifier1, m.Modifier2)
		}
	}
	return strings.Join(out, " ")
}

// when returns at which times something was said of a key.
func (w *words) when(key string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.times[key])
}

func (w *words) count(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[key]
}

// want waits until a function says what it should.
func want(t testing.TB, what string, got func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for got() != what {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got %s, want %s", got(), what)
		}
	}
}

// nodes returns what is known, as key address.
func nodes(s *subscribe.Server) string {
	var out []string
	for _, n := range s.Snapshot().Nodes {
		out = append(out, n.Key+" "+n.Address)
	}
	return strings.Join(out, ", ")
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

// deaf makes a server that uses o but hears only what tests inject, and runs until the
// test or the bubble ends.
func deaf(t testing.TB, o subscribe.Options, setup subscribe.Setup) *subscribe.Server {
	t.Helper()
	s := subscribe.New(setup)
	useDeaf(t, s, o)
	run(t, s.Run)
	return s
}

func useDeaf(t testing.TB, s *subscribe.Server, o subscribe.Options) {
	t.Helper()
	o.Listen = []string{"udp:127.0.0.1:2626"}
	if err := s.UseDeaf(o); err != nil {
		t.Fatal(err)
	}
}
