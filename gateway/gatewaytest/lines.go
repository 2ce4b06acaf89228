package gatewaytest

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Line is one line of a log: its fields by name.
type Line map[string]any

// Text returns a field that is a string, or "".
func (l Line) Text(key string) string {
	s, _ := l[key].(string)
	return s
}

// Number returns a field that is a number, or 0.
func (l Line) Number(key string) float64 {
	n, _ := l[key].(float64)
	return n
}

// Lines collects a log of JSON lines. It is safe for concurrent use; its zero
// value is ready.
type Lines struct {
	mu    sync.Mutex // guards the fields below
	rest  []byte     // what nobody has asked for yet, and the beginning of a line
	lines []Line
	more  chan struct{} // closed by the next line; nil when nobody waits
}

// Write implements io.Writer. Lines are decoded when they are asked for: a
// benchmark does not pay for it.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return len(p), nil
}

// linesLocked returns the lines so far.
func (l *Lines) linesLocked() []Line {
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			return l.lines
		}
		var m Line
		if err := json.Unmarshal(line, &m); err != nil {
			m = Line{"broken": string(line)}
		}
		l.lines = append(l.lines, m)
		l.rest = rest
	}
}

// All returns the lines so far.
func (l *Lines) All() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.linesLocked())
}

// Wait returns the first line for which match is true, also one that comes
// within ten seconds; nil for none.
func (l *Lines) Wait(match func(Line) bool) Line {
	over := time.After(patience)
	for {
		l.mu.Lock()
		lines := l.linesLocked()
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if i := slices.IndexFunc(lines, match); i >= 0 {
			return lines[i]
		}
		select {
		case <-more:
		case <-over:
			return nil
		}
	}
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// Forget drops the lines so far.
func (l *Lines) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.linesLocked()
	l.lines = nil
}
