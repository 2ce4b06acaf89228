package livetest_test

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// times are how long things took. The zero value is empty; safe for concurrent
// use.
type times struct {
	mu  sync.Mutex // guards the field below
	all []time.Duration
}

func (t *times) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, d)
}

// at is the time under which a share of them is.
func (t *times) at(share float64) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.all))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (t *times) max() time.Duration { return t.at(1) }

func (t *times) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

func (t *times) summary() string {
	r := func(share float64) time.Duration { return t.at(share).Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d, median %v, p99 %v, most %v", t.count(), r(0.5), r(0.99), r(1))
}
