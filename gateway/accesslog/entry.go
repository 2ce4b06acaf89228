package accesslog

import (
	"net/netip"
	"time"
)

// Entry is what a line says of one request. An empty string, a zero number of
// retries and false are left out of the line.
type Entry struct {
	Time      time.Time     // when the request's first byte came
	Duration  time.Duration // until the response's last byte had been taken
	RequestID string
	TraceID   string
	Client    netip.Addr // the real client, behind trusted proxies
	Proto     string     // "HTTP/2.0"
	Method    string
	Host      string
	Path      string // never with a query: it may hold secrets
	Status    int    // 0: none was sent
	BytesIn   int64  // of the request's body
	BytesOut  int64  // of the response's body
	Site      string
	Pool      string
	Member    string
	Cache     string        // what became of it there: hit, stale, revalidated, miss, collapsed, bypass
	Queue     time.Duration // waiting for a slot
	Worker    time.Duration // from the slot to the end of the worker's answer
	Retries   int
	Err       string // the cause, in a few words
	Aborted   bool   // the client went away before the end
}

// The longest values that a line takes from a field, in bytes. What is longer is
// cut, and ends with "…".
const (
	maxPath  = 4096
	maxField = 512
)

// clip returns at most n bytes of s, and whether it cut.
func clip(s string, n int) (string, bool) {
	if len(s) <= n {
		return s, false
	}
	for i := n; i > n-4; i-- { // not in the middle of a rune
		if s[i]&0xC0 != 0x80 {
			return s[:i], true
		}
	}
	return s[:n], true
}
