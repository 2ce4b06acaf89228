package gateway

import (
	"sync"
	"time"
)

// failureLog bounds the lines that failed requests write to the log of the
// process, which is written while the client waits: in an overload there are
// thousands. The access log has all of them.
type failureLog struct {
	mu      sync.Mutex // guards the fields below
	tokens  float64
	at      time.Time // when tokens were counted last
	skipped int       // lines since the last one
}

const (
	failureLines     = 50 // at once
	failureLinesRate = 10 // a second after that
)

// allow reports whether a line may be written, and then how many were not before it.
func (l *failureLog) allow(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() {
		l.tokens = failureLines
	} else {
		l.tokens = min(failureLines, l.tokens+now.Sub(l.at).Seconds()*failureLinesRate)
	}
	l.at = now
	if l.tokens < 1 {
		l.skipped++
		return 0, false
	}
	l.tokens--
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}
