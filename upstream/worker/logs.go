package worker

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"

	"headgate/upstream/worker/python"
)

// flood bounds the lines that a pool's workers write into the log. The zero value
// is ready.
type flood struct {
	mu      sync.Mutex // guards the fields below
	begun   time.Time  // the second that is counted
	lines   int
	dropped int
	timer   *time.Timer // tells of those that were dropped
}

// linesMost is how many lines of a pool come into the log in a second.
const linesMost = 1000

// pass reports whether one more line may come into the log.
func (f *flood) pass(now time.Time, tell func(dropped int)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.begun) >= time.Second {
		f.begun, f.lines = now, 0
	}
	if f.lines++; f.lines <= linesMost {
		return true
	}
	if f.dropped++; f.timer == nil {
		f.timer = time.AfterFunc(time.Second, func() { f.flush(tell) })
	}
	return false
}

// flush tells how many lines were dropped, if there are any.
func (f *flood) flush(tell func(dropped int)) {
	f.mu.Lock()
	n := f.dropped
	f.dropped = 0
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.mu.Unlock()
	if n > 0 {
		tell(n)
	}
}

func (s *Supervisor) tellDropped(n int) {
	s.log.Warn("worker output dropped", "lines", n, "limit", linesMost)
}

// writer makes records of the log from what a process writes.
type writer struct {
	s    *Supervisor
	g    *generation
	pids <-chan int // the leader's, once it is known
	pid  int
}

func (s *Supervisor) writer(g *generation, pids <-chan int) *writer {
	return &writer{s: s, g: g, pids: pids}
}

// line is called for each line, not twice at once.
func (w *writer) line(stderr bool, line []byte) {
	level := slog.LevelInfo
	if !w.g.serving.Load() || w.g.plan.Server == python.UWSGI && isRoutine(line) {
		level = slog.LevelDebug // if it does not come to serve, the error has it
	}
	ctx := context.Background()
	if !w.s.log.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	if !w.s.flood.pass(now, w.s.tellDropped) {
		return
	}
	if w.pid == 0 {
		w.pid = <-w.pids // start has returned, or is about to
	}
	stream := "stdout"
	if stderr {
		stream = "stderr"
	}
	attrs := []slog.Attr{slog.Int("pid", w.pid), slog.Int("generation", w.g.number), slog.String("stream", stream), slog.String("line", string(line))}
	if find := w.s.setup.RequestID; find != nil {
		if id := find(line); id != "" {
			attrs = append(attrs, slog.String("request_id", id))
		}
	}
	w.s.log.LogAttrs(ctx, level, "worker", attrs...)
}

// isRoutine reports whether a line is one of those in which uWSGI tells of each start
// and each stop that went well, and of the ping by which we ask whether it serves.
func isRoutine(line []byte) bool {
	for _, part := range []string{
		"WSGI app ", "Gracefully killing worker ", "goodbye to uWSGI.", "spawned uWSGI ", "mapped ",
		"-- unavailable modifier requested: 100 --",
	} {
		if bytes.HasPrefix(line, []byte(part)) {
			return true
		}
	}
	return bytes.HasPrefix(line, []byte("worker ")) && bytes.Contains(line, []byte(" buried after ")) ||
		bytes.HasSuffix(line, []byte(" - graceful shutdown triggered..."))
}
