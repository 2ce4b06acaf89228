package h2

import "time"

// budget is how much of what leads to nothing a client may send: pings, settings,
// empty frames, window updates without data, streams that it resets or makes the
// server reset (CVE-2019-9512 to 9518, CVE-2023-44487, CVE-2025-8671). It comes
// back with time, and with what a client does that is worth something.
type budget struct {
	spent int
	since time.Time // when time last gave something back; the connection's begin at first
}

const (
	budgetLimit  = 2000
	budgetPerSec = 200

	costNuisance = 1  // a frame
	costReset    = 10 // of a stream that is being answered
	costRefused  = 5  // a stream that never began

	earnData   = 2   // a DATA frame
	earnPer    = 512 // bytes that the client takes earn one: it may tell of each 1 KiB twice
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

func (b *budget) earn(n int) { b.spent = max(0, b.spent-n) }
