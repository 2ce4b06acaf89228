package dns_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"headgate/upstream"
	"headgate/upstream/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// audience is a pool that keeps what it is told.
type audience struct {
	begun time.Time

	mu   sync.Mutex // guards the fields below
	said []speech
}

// speech is one call of set.
type speech struct {
	after   time.Duration
	pool    string
	members []upstream.Member
}

func (a *audience) set(pool string, members []upstream.Member) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, speech{after: time.Since(a.begun), pool: pool, members: members})
	idle := make(chan struct{})
	close(idle)
	return idle
}

func (a *audience) all() []speech {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]speech(nil), a.said...)
}

// last returns the addresses that were said last, "-" before the first word.
func (a *audience) last() string {
	said := a.all()
	if len(said) == 0 {
		return "-"
	}
	return addresses(said[len(said)-1].members)
}

func addresses(members []upstream.Member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.Address)
	}
	return strings.Join(all, " ")
}

// start runs a Source of names until the test ends or stop is called.
func start(t *testing.T, s dns.Setup, names ...string) (source *dns.Source, heard *audience, stop func()) {
	t.Helper()
	s.Pool = "shop"
	for _, n := range names {
		s.Names = append(s.Names, upstream.Member{Address: n})
	}
	source, heard = dns.New(s), &audience{begun: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx, heard.set) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
	})
	t.Cleanup(stop)
	return source, heard, stop
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

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), s)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}
