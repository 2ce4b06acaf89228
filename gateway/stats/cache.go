package stats

// Cache is what the store of answers has and has done.
type Cache struct {
	Entries     int64 `json:"entries"`
	MemoryBytes int64 `json:"memory_bytes"`
	DiskBytes   int64 `json:"disk_bytes"`

	Hits        int64 `json:"hits"`        // answered from the store, fresh
	Stale       int64 `json:"stale"`       // answered from the store, stale
	Revalidated int64 `json:"revalidated"` // the app said that what is kept is still good
	Misses      int64 `json:"misses"`      // the app was asked
	Collapsed   int64 `json:"collapsed"`   // answered by what another request had asked for
	Bypassed    int64 `json:"bypassed"`    // not for a cache
	Evicted     int64 `json:"evicted"`     // taken out for want of room
}

// Purge says which answers are taken out of the cache: exactly one of URL, Prefix, Tag
// and All.
type Purge struct {
	URL    string // of one page, with all its variants
	Prefix string // a URL, and all that is below
	Tag    string // of Cache-Tag or Surrogate-Key
	All    bool
}

// Purged is the answer to a Purge.
type Purged struct {
	Removed int `json:"removed"` // answers that were taken out
}

// SiteChange is how a site is after what an operator did.
type SiteChange struct {
	Site        string `json:"site"`
	Maintenance bool   `json:"maintenance"` // switched on by an operator
	Changed     bool   `json:"changed"`     // false: it was so before
}
