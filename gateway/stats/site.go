package stats

import (
	"sync/atomic"
	"time"
)

// Class is the class of a status code, as an index: 0 has no status (the client
// went away before one was sent), 1 to 5 are 1xx to 5xx.
type Class uint8

// classes is how many classes there are.
const classes = 6

// classNames has the label of every class.
var classNames = [classes]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// ClassOf returns the class of a status code; 0 for what is no status code.
func ClassOf(status int) Class {
	if status < 100 || status > 599 {
		return 0
	}
	return Class(status / 100)
}

// String returns the label: "2xx", or "none".
func (c Class) String() string {
	if int(c) >= classes {
		c = 0
	}
	return classNames[c]
}

// SiteCounters count the requests of one site. The zero value is ready; every
// method may be called by any number of goroutines at once, takes no lock and
// allocates nothing. They must not be copied.
type SiteCounters struct {
	requests [classes]atomic.Uint64
	bytesIn  atomic.Uint64
	bytesOut atomic.Uint64
	inFlight atomic.Int64
	duration Histogram
}

// Begin counts a request that has started. Each Begin needs one End.
func (c *SiteCounters) Begin() { c.inFlight.Add(1) }

// End counts a request that has ended, with the bytes of its bodies and the time
// it took. A status of 0 says that none was sent.
func (c *SiteCounters) End(status int, in, out int64, took time.Duration) {
	c.inFlight.Add(-1)
	c.requests[ClassOf(status)].Add(1)
	c.bytesIn.Add(uint64(max(in, 0)))
	c.bytesOut.Add(uint64(max(out, 0)))
	c.duration.Observe(took)
}

// Snapshot returns what was counted so far, under the name of the site.
func (c *SiteCounters) Snapshot(name string) Site {
	s := Site{
		Name:     name,
		BytesIn:  c.bytesIn.Load(),
		BytesOut: c.bytesOut.Load(),
		InFlight: c.inFlight.Load(),
		Duration: c.duration.Snapshot(),
	}
	for i := range c.requests {
		s.Requests[i] = c.requests[i].Load()
	}
	return s
}

// Site are the numbers of one site.
type Site struct {
	Name     string          `json:"name"`
	Requests [classes]uint64 `json:"requests"` // by Class
	BytesIn  uint64          `json:"bytes_in"`
	BytesOut uint64          `json:"bytes_out"`
	InFlight int64           `json:"in_flight"`
	Duration Distribution    `json:"duration"`

	Maintenance bool `json:"maintenance,omitempty"` // switched on by an operator
}
