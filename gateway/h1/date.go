package h1

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock writes the Date field, whose text it makes once per second.
type clock struct{ now atomic.Pointer[second] }

type second struct {
	unix int64
	line string
}

// line returns the field with its line end.
func (c *clock) line() string {
	t := time.Now()
	unix := t.Unix()
	if s := c.now.Load(); s != nil && s.unix == unix {
		return s.line
	}
	s := &second{unix, "Date: " + t.UTC().Format(http.TimeFormat) + "\r\n"}
	c.now.Store(s)
	return s.line
}
