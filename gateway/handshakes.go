package gateway

import (
	"context"
	"net"
	"sync"
	"time"
)

// handshakes are the connections on which TLS begins: those that no engine has
// yet. The zero value is ready to use.
type handshakes struct {
	mu   sync.Mutex // guards the fields below
	open map[net.Conn]struct{}
	over bool // no more of them: end was called
}

// add reports whether c may begin.
func (h *handshakes) add(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	if h.open == nil {
		h.open = make(map[net.Conn]struct{})
	}
	h.open[c] = struct{}{}
	return true
}

func (h *handshakes) remove(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
}

// wait returns when there are none, or when ctx or the time that a handshake may
// take while the gateway stops is over.
func (h *handshakes) wait(ctx context.Context) {
	deadline := time.NewTimer(lastHandshake)
	defer deadline.Stop()
	tick := time.NewTicker(lastHandshake / 500)
	defer tick.Stop()
	for {
		h.mu.Lock()
		n := len(h.open)
		h.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

const lastHandshake = 5 * time.Second

// end closes all, those to come too.
func (h *handshakes) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
	for c := range h.open {
		c.Close()
	}
}
