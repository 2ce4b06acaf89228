package h2

import "time"

// budget is how much of what leads to nothing a client may send: pings, settings,
// empty frames, window updates without data, streams that it resets or makes the
// server reset (CVE-2019-9512 to 9518, CVE-2023-44487, CVE-2025-8671). It comes
// back with time, and with what a client does that is worth something.
type budget struct {
	spent int
	bytes int       // of content that have not earned anything yet
	since time.Time // when time last gave something back; the connection's begin at first
}

const (
	budgetLimit  = 2000
	budgetPerSec = 200

	costNuisance = 1  // a frame
	costReset    = 10 // of a stream that is being answered
	costRefused  = 5  // a stream that never began

	earnPer    = 512 // bytes of content earn one: a client may tell of each 1 KiB that it takes twice
	earnData   = 2   // a DATA frame that the client takes, besides
	earnStream = 10  // one that came to its end
)

// spend reports whether there was enough left.
func (b *budget) spend(n int) bool {
	if b.spent += n; b.spent < budgetLimit {
		return true
	}
	now := time.Now()
	back := now.Sub(b.since).Seconds() * budgetPerSec
	b.spent = max(0, b.spent-int(min(back, 2*budgetLimit)))
	b.since = now
	return b.spent < budgetLimit
}

// earnBytes is for n bytes of content that the client has sent.
func (b *budget) earnBytes(n int) {
	b.bytes += n
	b.earn(b.bytes / earnPer)
	b.bytes %= earnPer
}

func (b *budget) earn(n int) { b.spent = max(0, b.spent-n) }
