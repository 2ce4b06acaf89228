package cache

import (
	"strings"
	"time"
)

// httpDate reads a date in one of the three forms (RFC 9110, 5.6.7), in any case
// (RFC 9111, 4.2). What only resembles one is none.
func httpDate(v string) (time.Time, bool) {
	const zone = "GMT"
	if n := len(v) - len(zone); n > 0 && v[n:] != zone && strings.EqualFold(v[n:], zone) {
		v = v[:n] + zone
	}
	for _, layout := range [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		t, err := time.Parse(layout, v)
		if err != nil {
			continue
		}
		_, said, _ := strings.Cut(v, " ") // the day of the week may be wrong
		_, right, _ := strings.Cut(t.Format(layout), " ")
		return t, strings.EqualFold(said, right) // Parse takes more: runs of spaces, hours of one digit
	}
	return time.Time{}, false
}
