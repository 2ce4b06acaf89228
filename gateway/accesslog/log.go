package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	flushBytes = 64 << 10               // as much wakes the writer
	flushAfter = 200 * time.Millisecond // or as long
	maxPending = 4 << 20                // what waits while the destination stands still
	lastFlush  = 2 * time.Second        // for the last write, when Run ends
	reportLost = 10 * time.Second       // between two looks for lost lines
)

// ErrStalled is returned by Run when the destination did not take the last lines
// in time.
var ErrStalled = errors.New("access log: the destination takes nothing, the last lines are lost")

// Log is an access log. A nil Log is valid: it writes nothing and costs nothing.
// Its methods may be called by any number of goroutines at once, but Run once.
type Log struct {
	encode  func(b []byte, e *Entry) []byte
	path    string // "" for a stream
	process *slog.Logger
	first   chan struct{} // something waits to be written; holds one
	full    chan struct{} // it is enough to be written now; holds one
	lines   sync.Pool     // *[]byte: room to encode a line outside the lock
	dropped atomic.Uint64

	mu      sync.Mutex // guards the fields below
	pending []byte     // whole lines
	next    io.Writer  // the destination that the writer shall change to
	closed  bool       // Run has ended: nobody writes any more
}

// Open returns the access log that o asks for: nil when it is off. The path of a
// file is opened for appending, and created with mode 0640. Else lines go to
// stdout, and terminal says what that is. Nothing is written before Run, which
// also closes the file. The process logger hears of lost lines; nil is silent.
func Open(o Options, stdout io.Writer, terminal bool, process *slog.Logger) (*Log, error) {
	if o.Access == "off" {
		return nil, nil
	}
	if process == nil {
		process = slog.New(slog.DiscardHandler)
	}
	l := &Log{
		encode:  appendText,
		process: process,
		first:   make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		pending: make([]byte, 0, 2*flushBytes),
		next:    stdout,
	}
	l.lines.New = func() any { return new(make([]byte, 0, 1024)) }
	if o.toFile() {
		l.path, l.next, terminal = o.Access, nil, false
	}
	if o.json(terminal) {
		l.encode = appendJSON
	}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Write adds the line of e, which it does not keep. It never waits for the
// destination: when too much waits to be written, the line is dropped and
// counted. It allocates nothing.
func (l *Log) Write(e *Entry) {
	if l == nil {
		return
	}
	line := l.lines.Get().(*[]byte)
	*line = l.encode((*line)[:0], e)

	l.mu.Lock()
	before := len(l.pending)
	fits := !l.closed && before+len(*line) <= maxPending
	if fits {
		l.pending = append(l.pending, *line...)
	}
	after := len(l.pending)
	l.mu.Unlock()

	if !fits {
		l.dropped.Add(1)
	}
	if before == 0 {
		signal(l.first)
	}
	if before < flushBytes && after >= flushBytes {
		signal(l.full)
	}
	l.lines.Put(line)
}

// Dropped returns how many lines were lost: dropped because too much waited, or
// refused by the destination.
func (l *Log) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load()
}

// Reopen opens the log's file again, so that logrotate may have moved it; lines
// that were not written yet go to the new file. On an error the old file stays
// in use. It does nothing for a stream.
func (l *Log) Reopen() error {
	if l == nil || l.path == "" {
		return nil
	}
	// Not blocking: a named pipe that nobody reads is an error, and no hang.
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	l.mu.Lock()
	unused := io.Writer(file{f})
	if !l.closed {
		l.next, unused = unused, l.next
	}
	l.mu.Unlock()
	signal(l.first)
	return closeFile(unused)
}

// Run writes what Write adds until ctx ends, then the rest, and closes the file.
// When the destination stands still, it gives up after two seconds with
// ErrStalled, and leaves behind one goroutine in a write that cannot be
// interrupted: so end Run last. Lines that come after the end are dropped.
func (l *Log) Run(ctx context.Context) error {
	if l == nil {
		<-ctx.Done()
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&writer{log: l}).run(ctx)
	}()
	reported := l.reportUntil(ctx.Done(), 0)
	last := time.NewTimer(lastFlush)
	defer last.Stop()
	select {
	case <-done:
		l.report(reported)
		return nil
	case <-last.C:
		l.report(reported)
		return ErrStalled
	}
}

// reportUntil reports lost lines now and then until stop closes, and returns how
// many it has reported.
func (l *Log) reportUntil(stop <-chan struct{}, reported uint64) uint64 {
	tick := time.NewTicker(reportLost)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return reported
		case <-tick.C:
			reported = l.report(reported)
		}
	}
}

// report reports the lines that were lost after the first known ones.
func (l *Log) report(known uint64) uint64 {
	n := l.dropped.Load()
	if n > known {
		l.process.Warn("access log lines lost: the destination is too slow, full or gone", "lines", n-known)
	}
	return n
}

// take hands all that waits to the writer, which gives spare for it, and the
// destination to change to, or nil. The last take closes the log.
func (l *Log) take(spare []byte, last bool) (lines []byte, next io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, next = l.pending, l.next
	l.pending, l.next = spare[:0], nil
	l.closed = l.closed || last
	return lines, next
}

// signal puts a token into a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
