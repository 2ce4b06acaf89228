package cache

import "sync/atomic"

// Stats is what a Store has and has done since it began.
type Stats struct {
	Entries int64 // answers that are kept, in memory and on disk
	Memory  int64 // bytes of memory that they take, with what is being fetched
	Disk    int64 // bytes on disk, with what is being fetched

	Hits        int64 // answered from the store
	Stale       int64 // of the hits, with an answer that was no longer fresh
	Revalidated int64 // answered from the store after the app has said that nothing has changed
	Misses      int64 // given to the app, to be stored if the answer allows it
	Bypassed    int64 // given to the app as if there were no store
	Collapsed   int64 // answered by what another request was fetching

	Stored     int64            // answers that were put into the store
	Evicted    int64            // answers that were taken out for others
	Expired    int64            // answers that were taken out because nobody could use them any more
	Purged     int64            // answers that were purged, or that a change has made invalid
	Background int64            // fetches in the background
	Refused    map[string]int64 // answers that were not stored, by reason: not_fresh, private, no_store, set_cookie, authorization, vary, status, size, busy, disk, cut, purged, tags, stream
}

// counts are the numbers of a Stats. Hits are counted apart: they are many at once.
type counts struct {
	hits [16]struct {
		n atomic.Int64
		_ [56]byte // a line of a processor's cache each
	}
	stale, revalidated, misses, bypassed, collapsed  atomic.Int64
	stored, evicted, expired, purged, backgroundRuns atomic.Int64
	refused                                          [refusals]atomic.Int64
}

// Stats returns what the store has and has done.
func (s *Store) Stats() Stats {
	c := &s.counts
	n := Stats{
		Stale: c.stale.Load(), Revalidated: c.revalidated.Load(), Misses: c.misses.Load(), Bypassed: c.bypassed.Load(),
		Collapsed: c.collapsed.Load(), Stored: c.stored.Load(), Evicted: c.evicted.Load(), Expired: c.expired.Load(),
		Purged: c.purged.Load(), Background: c.backgroundRuns.Load(), Refused: make(map[string]int64, refusals),
	}
	for i := range c.hits {
		n.Hits += c.hits[i].n.Load()
	}
	for i := admitted + 1; i < refusals; i++ {
		n.Refused[i.String()] = c.refused[i].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Entries = s.entries
	n.Memory = s.order.trial.bytes + s.order.main.bytes + s.filling.Load()
	n.Disk = s.diskBytes + s.diskFilling.Load()
	return n
}

func (s *Store) refuse(why refusal) { s.counts.refused[why].Add(1) }
