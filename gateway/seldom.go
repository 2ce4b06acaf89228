package gateway

import (
	"sync"
	"time"
)

// seldom lets a line of the log through once a minute. The zero value is ready to
// use.
type seldom struct {
	mu   sync.Mutex // guards the fields below
	last time.Time
	n    int // what happened since
}

// allow reports whether a line may be written, and for how many times it stands.
func (s *seldom) allow(now time.Time) (n int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if !s.last.IsZero() && now.Sub(s.last) < time.Minute {
		return 0, false
	}
	n, s.n, s.last = s.n, 0, now
	return n, true
}
