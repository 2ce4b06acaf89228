package relay

import (
	"os"
	"sync"
	"sync/atomic"
)

// Room is what all buffers of a process share: a bound on their memory together,
// that memory, and where their files come from. It is safe for concurrent use.
type Room struct {
	max  int64
	used atomic.Int64
	open func() (*os.File, error)
	pool sync.Pool // of *chunk
}

// NewRoom returns a room for max bytes of memory; a buffer that finds it used up
// goes on in its file. open makes a file without a name, which the buffer closes.
func NewRoom(max int64, open func() (*os.File, error)) *Room {
	return &Room{max: max, open: open}
}

// Used returns the bytes of memory that buffers hold, but for the first 32 KiB of
// each.
func (m *Room) Used() int64 { return m.used.Load() }

func (m *Room) take(n int64) bool {
	if m.used.Add(n) > m.max {
		m.used.Add(-n)
		return false
	}
	return true
}

func (m *Room) give(n int64) { m.used.Add(-n) }

func (m *Room) get() *chunk {
	c, _ := m.pool.Get().(*chunk)
	if c == nil {
		return new(chunk)
	}
	c.r, c.w = 0, 0
	return c
}

func (m *Room) put(c *chunk) { m.pool.Put(c) }
