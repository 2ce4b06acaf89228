package uwsgi

import "time"

// limit is how long reads or writes may take: until a moment, or for a time that
// begins when one of them first has to wait. The zero value is for ever.
type limit struct {
	at     time.Time
	within time.Duration // counts if it is positive
	begun  bool          // at comes from within
}

// for d <= 0 it is for ever.
func within(d time.Duration) limit { return limit{within: max(d, 0)} }

// begin is l with a time that begins now.
func (l limit) begin() limit {
	if l.within > 0 {
		return limit{at: time.Now().Add(l.within), begun: true}
	}
	return l
}

// deadline is the moment at which a limit ends that begins now.
func (l limit) deadline() time.Time {
	if l.within > 0 {
		return time.Now().Add(l.within)
	}
	return l.at
}
