//go:build !linux

package socket

import (
	"context"
	"time"
)

// watcher is nothing where connections are looked at.
type watcher struct{}

// lookEvery is how often.
const lookEvery = 500 * time.Millisecond

// Run tells until ctx ends, and returns nil then. It is called once.
func (h *Hangups) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for _, c := range h.waiting() {
			if hasEnded(c.raw) {
				c.hangup()
			}
		}
	}
}

// waiting returns the connections that want to be told.
func (h *Hangups) waiting() (all []*Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.slots {
		if s.conn != nil && s.conn.wantsHangup() {
			all = append(all, s.conn)
		}
	}
	return all
}

func (c *Conn) wantsHangup() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.onHang != nil
}

// watch makes Run look at c.
func (h *Hangups) watch(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.enterLocked(c)
}
