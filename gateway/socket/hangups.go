package socket

import "sync"

// Hangups tells connections that their clients have gone. One is enough for a
// process; it has one goroutine, that of Run. The zero value is ready to use, it
// must not be copied, and connections may use it before Run is called.
type Hangups struct {
	mu    sync.Mutex // guards the fields below
	slots []slot
	free  []uint32 // slots of nobody
	watcher
}

// slot is where one connection is found. Its generation tells events of the
// connection that is here from those of one that was.
type slot struct {
	conn       *Conn
	generation uint32
}

// place is a connection's slot; the zero value is none.
type place struct {
	index, generation uint32
	taken             bool
}

// enterLocked gives c a place; false if it is closed.
func (h *Hangups) enterLocked(c *Conn) bool {
	if c.closed.Load() {
		return false
	}
	i := uint32(len(h.slots))
	if last := len(h.free) - 1; last >= 0 {
		i, h.free = h.free[last], h.free[:last]
	} else {
		h.slots = append(h.slots, slot{})
	}
	h.slots[i].conn = c
	c.place = place{i, h.slots[i].generation, true}
	return true
}

// leave takes the place of c away, if it has one.
func (h *Hangups) leave(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !c.place.taken {
		return
	}
	s := &h.slots[c.place.index]
	s.conn = nil
	s.generation++
	h.free = append(h.free, c.place.index)
	c.place = place{}
}

// find returns the connection at a place; nil if it has left.
func (h *Hangups) find(index, generation uint32) *Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if int(index) >= len(h.slots) || h.slots[index].generation != generation {
		return nil
	}
	return h.slots[index].conn
}
