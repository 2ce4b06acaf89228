package files

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// warner tells the operator of what clients can bring about again and again: of each
// subject at most once in a while.
type warner struct {
	log  *slog.Logger
	last [subjects]atomic.Int64
}

// subject is what a warning is about.
type subject uint8

const (
	aboutLinks subject = iota
	aboutVariants
	aboutListings
	aboutRoot
	subjects
)

const warnEvery = time.Minute

func (w *warner) warn(about subject, message string, args ...any) {
	now := time.Now().UnixNano()
	last := w.last[about].Load()
	if last != 0 && now-last < int64(warnEvery) || !w.last[about].CompareAndSwap(last, now) {
		return
	}
	w.log.Warn(message, args...)
}
