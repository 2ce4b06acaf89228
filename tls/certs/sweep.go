package certs

import (
	"context"
	"strings"
	"time"
)

// sweepEvery is how old an answer to a challenge is at least before it is taken
// for one that a crash has left behind. Orders end in minutes.
const sweepEvery = time.Hour

// sweep removes what crashes have left in the storage, until ctx ends: answers to
// challenges that nobody has taken away. Listing everything also lets a directory
// get rid of files that were never finished.
func (s *Store) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var before map[string]bool
	var of Storage // that before is about
	for {
		if v := s.view.Load(); v != nil && v.set.remote {
			if v.set.storage != of {
				before, of = nil, v.set.storage
			}
			before = s.sweepOnce(ctx, of, before)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweepOnce removes answers that were there the last time, and returns those that
// are there now.
func (s *Store) sweepOnce(ctx context.Context, st Storage, before map[string]bool) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	keys, err := st.List(ctx, "", true)
	if err != nil {
		s.log.Debug("storage not swept", "err", err)
		return before
	}
	now := map[string]bool{}
	for _, key := range keys {
		switch {
		case !strings.HasPrefix(key, "challenges/"):
		case !before[key]:
			now[key] = true
		default:
			if err := st.Delete(ctx, key); err != nil {
				s.log.Debug("answer to an old challenge not removed", "err", err)
			}
		}
	}
	return now
}
