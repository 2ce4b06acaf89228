package cache

import (
	"sync/atomic"
	"time"
)

// passes remembers for which keys the last answer was not to be stored, so that
// requests for them do not wait for each other. It forgets some when there are many.
type passes [8192]struct{ hash, until atomic.Uint64 }

// passFor is how long it is remembered.
const passFor = 2 * time.Minute

func (p *passes) set(hash uint64, now time.Time) {
	slot := &p[hash%uint64(len(p))]
	slot.hash.Store(hash)
	slot.until.Store(uint64(now.Add(passFor).Unix()))
}

func (p *passes) clear(hash uint64) {
	if slot := &p[hash%uint64(len(p))]; slot.hash.Load() == hash {
		slot.until.Store(0)
	}
}

func (p *passes) has(hash uint64, now time.Time) bool {
	slot := &p[hash%uint64(len(p))]
	return slot.hash.Load() == hash && slot.until.Load() > uint64(now.Unix())
}
