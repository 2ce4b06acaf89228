package accesslog

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"
)

// writer is the one goroutine that writes to a Log's destination.
type writer struct {
	log    *Log
	out    io.Writer
	spare  []byte    // what take swaps for the lines that wait
	torn   bool      // the last write ended within a line
	silent time.Time // until then write errors are not logged
}

// run writes until ctx ends, then what is left.
func (w *writer) run(ctx context.Context) {
	timer := time.NewTimer(flushAfter)
	defer timer.Stop()
	w.spare = make([]byte, 0, 2*flushBytes)
	for ctx.Err() == nil {
		select { // without lines there is nothing to wake up for
		case <-ctx.Done():
		case <-w.log.first:
			timer.Reset(flushAfter)
			select {
			case <-ctx.Done():
			case <-w.log.full:
			case <-timer.C:
			}
			w.flush(false)
		}
	}
	w.flush(true)
	if err := closeFile(w.out); err != nil {
		w.log.process.Warn("access log not closed", "err", err)
	}
}

// flush writes the lines that wait.
func (w *writer) flush(last bool) {
	lines, next := w.log.take(w.spare, last)
	if next != nil {
		if err := closeFile(w.out); err != nil {
			w.log.process.Warn("access log not closed", "err", err)
		}
		w.out, w.torn = next, false
	}
	w.write(lines)
	if cap(lines) > 4*flushBytes && len(lines) < flushBytes { // it grew once, and that is over
		lines = make([]byte, 0, 2*flushBytes)
	}
	w.spare = lines
}

// write writes lines and counts those that the destination refuses.
func (w *writer) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	n, err := 0, error(nil)
	if w.torn { // no line may be glued to half of another
		_, err = w.out.Write([]byte{'\n'})
	}
	if err == nil {
		w.torn = false
		n, err = w.out.Write(lines)
	}
	if err == nil {
		return
	}
	n = min(max(n, 0), len(lines))
	w.torn = w.torn || n > 0 && lines[n-1] != '\n'
	w.log.dropped.Add(uint64(bytes.Count(lines[n:], []byte{'\n'})))
	if now := time.Now(); now.After(w.silent) {
		w.silent = now.Add(time.Minute)
		w.log.process.Error("access log not written", "err", err)
	}
}

// file is a file that the log has opened itself, and so closes.
type file struct{ *os.File }

// closeFile closes w when it is a file of the log's own; streams are others'.
func closeFile(w io.Writer) error {
	if f, ok := w.(file); ok {
		return f.Close()
	}
	return nil
}
