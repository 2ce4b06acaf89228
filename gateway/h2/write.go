package h2

import (
	"runtime"
	"time"
)

// writer is a connection as a task: it writes what is in out.
type writer conn

// Run implements goroutines.Task.
func (w *writer) Run() {
	runtime.Gosched() // whoever can run puts its answer to the others
	(*conn)(w).write()
}

// kickLocked has a worker write what there is, unless somebody does.
func (c *conn) kickLocked() {
	if c.writing || c.dead != nil || len(c.out) == 0 && c.ready.first == nil && c.rooms.first == nil {
		return
	}
	c.writing = true
	c.srv.warm.Do((*writer)(c))
}

// write writes until there is nothing. The caller has set c.writing.
func (c *conn) write() {
	c.mu.Lock()
	for {
		c.fillLocked()
		if len(c.out) == 0 || c.dead != nil {
			break
		}
		p := c.out
		c.out = nil
		c.fillLocked() // those who wait go on meanwhile
		c.turnLocked()
		c.mu.Unlock()
		_, err := c.nc.Write(p)
		c.srv.buffers.putOut(p)
		if err != nil {
			c.cut(err)
		}
		c.mu.Lock()
	}
	c.writing = false
	c.checkOverLocked()
	c.wakeReaderLocked()
	c.mu.Unlock()
}

// fillLocked moves what waits into out, a frame of each stream in turn.
func (c *conn) fillLocked() {
	c.wakeRoomLocked()
	for c.ready.first != nil && len(c.out) < outBound && c.window > 0 {
		st := c.ready.first
		drop(st)
		st.pend = c.appendDataLocked(st, st.pend, st.pendEnd, 0)
		if len(st.pend) == 0 {
			st.wake.signal()
			continue
		}
		if st.timeout > 0 {
			st.moved = time.Now()
		}
		if st.window > 0 {
			c.ready.push(st)
		}
	}
}

// appendDataLocked puts p into DATA frames and returns what is left of it because
// a window is closed or there is too much in out: one frame at least goes beyond
// the bound.
func (c *conn) appendDataLocked(st *stream, p []byte, end bool, bound int) []byte {
	for first := true; len(p) > 0 && st.window > 0 && c.window > 0 && (first && bound == 0 || len(c.out) < bound); first = false {
		n := int(min(int64(len(p)), maxData, st.window, c.window))
		var flags uint8
		if end && n == len(p) {
			flags = flagEndStream
		}
		if n >= 512 || n == len(p) { // otherwise the client gives its window in crumbs (CVE-2019-9511)
			c.budget.earn(earnData + n/earnPer)
		}
		c.reserveLocked(frameHeaderLen + n)
		c.out = appendFrameHeader(c.out, n, frameData, flags, st.id)
		c.out = append(c.out, p[:n]...)
		p = p[n:]
		st.window -= int64(n)
		c.window -= int64(n)
	}
	if end && len(p) == 0 {
		c.endLocalLocked(st)
	}
	return p
}

// reserveLocked makes room for n bytes in out.
func (c *conn) reserveLocked(n int) { c.out = c.srv.buffers.grow(c.out, n) }

// appendHeadLocked puts a header block that f encodes into out.
func (c *conn) appendHeadLocked(id uint32, flags uint8, f func([]byte) []byte) {
	start := c.beginHeadLocked(id, flags)
	c.out = f(c.out)
	c.endHeadLocked(start, id)
}

// headRoom is enough for most header blocks.
const headRoom = 1 << 10

// beginHeadLocked begins a HEADERS frame whose block is to be appended to out.
func (c *conn) beginHeadLocked(id uint32, flags uint8) (start int) {
	c.reserveLocked(headRoom)
	start = len(c.out)
	c.out = appendFrameHeader(c.out, 0, frameHeaders, flags|flagEndHeaders, id)
	c.out = c.enc.begin(c.out)
	return start
}

// endHeadLocked completes the frame that begins at start, and divides it if it is
// too large for one.
func (c *conn) endHeadLocked(start int, id uint32) {
	n := len(c.out) - start - frameHeaderLen
	if n <= maxFrame {
		c.out[start], c.out[start+1], c.out[start+2] = byte(n>>16), byte(n>>8), byte(n)
		return
	}
	block := append([]byte(nil), c.out[start+frameHeaderLen:]...)
	flags := c.out[start+4] &^ flagEndHeaders
	c.out = c.out[:start]
	for kind := frameHeaders; len(block) > 0; kind, flags = frameContinuation, 0 {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		c.reserveLocked(frameHeaderLen + n)
		c.out = appendFrameHeader(c.out, n, kind, flags, id)
		c.out = append(c.out, block[:n]...)
		block = block[n:]
	}
}
