package wire

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Dates has the value of the Date field of the moment (RFC 9110, 5.6.7), made once
// a second. The zero value is ready, and may be used by several goroutines at once.
type Dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	text   string
}

// At returns the value for now.
func (d *Dates) At(now time.Time) string {
	last := d.last.Load()
	if s := now.Unix(); last == nil || last.second != s {
		last = &date{s, now.UTC().Format(http.TimeFormat)}
		d.last.Store(last)
	}
	return last.text
}
