package h2

import (
	"net/http"
	"sync/atomic"
	"time"
)

// dates has the value of the Date field of the moment.
type dates struct{ last atomic.Pointer[date] }

type date struct {
	second int64
	text   string
}

func (d *dates) at(now time.Time) string {
	last := d.last.Load()
	if s := now.Unix(); last == nil || last.second != s {
		last = &date{s, now.UTC().Format(http.TimeFormat)}
		d.last.Store(last)
	}
	return last.text
}
