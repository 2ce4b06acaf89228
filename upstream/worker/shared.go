package worker

import (
	"context"
	"runtime"
	"sync"
	"time"

	"headgate/upstream/worker/process"
)

// Shared is what the supervisors of one gateway have together: a limit of the
// workers that start at the same time, and one look at the memory of all of them.
// Make it with NewShared; it is safe for concurrent use.
type Shared struct {
	starts chan struct{} // a token for each start under way
	swept  sync.Once     // what gateways have left that have died is removed

	mu       sync.Mutex // guards the fields below, and is held for a look
	leaders  map[leader]struct{}
	families map[int][]process.Relative
	looked   time.Time
}

// NewShared returns a Shared for as many starts at once as there are processors, twice.
func NewShared() *Shared {
	return &Shared{starts: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), leaders: make(map[leader]struct{})}
}

// startShare is how long a start has its token at most. One that takes longer
// mostly waits, and must not keep all others from starting.
const startShare = 5 * time.Second

// begin waits for a token. The caller calls done when the start has ended.
func (s *Shared) begin(ctx context.Context) (done func(), err error) {
	select {
	case s.starts <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	give := sync.OnceFunc(func() { <-s.starts })
	late := time.AfterFunc(startShare, give)
	return func() { late.Stop(); give() }, nil
}

// lookEvery is how old what is known of the memory may be.
const lookEvery = time.Second

func (s *Shared) add(p leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaders[p] = struct{}{}
	s.looked = time.Time{}
}

func (s *Shared) remove(p leader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leaders, p)
	delete(s.families, p.PID())
}

// family returns a leader and its descendants. The caller must not change it.
func (s *Shared) family(p leader) []process.Relative {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) >= lookEvery {
		pids := make([]int, 0, len(s.leaders))
		for p := range s.leaders {
			pids = append(pids, p.PID())
		}
		s.families = process.Families(pids)
		s.looked = time.Now()
	}
	return s.families[p.PID()]
}
