package h2

import (
	"os"
	"time"

	"headgate/gateway/wire"
)

// SetWriteTimeout implements wire.Stream. The connection has the patience of the
// most patient of its streams.
func (st *stream) SetWriteTimeout(d time.Duration) {
	st.timeout = d
	c := st.c
	for {
		most := c.patience.Load()
		if d <= time.Duration(most) {
			return
		}
		if c.patience.CompareAndSwap(most, int64(d)) {
			c.sock.SetWriteTimeout(d)
			return
		}
	}
}

// Interim implements wire.Stream.
func (st *stream) Interim(status int, f wire.Fields) error {
	if status < 100 || status > 199 || status == 101 { // 101 has no meaning here (RFC 9113, 8.6)
		return nil
	}
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.headed || !st.roomLocked() {
		return st.err
	}
	defer st.passRoomLocked()
	c.appendHeadLocked(st.id, 0, func(b []byte) []byte {
		b = c.enc.status(b, status)
		for i := range f {
			b, _ = c.enc.field(b, f[i].Name, f[i].Value)
		}
		return b
	})
	c.kickLocked()
	return nil
}

// WriteHead implements wire.Stream.
func (st *stream) WriteHead(status int, f wire.Fields, length int64) {
	now := time.Now()
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.headed || !st.roomLocked() {
		return
	}
	defer st.passRoomLocked()
	st.headed = true
	st.length = length
	st.bodyless = status == 204 || status == 304 || st.req.Method == "HEAD"
	var flags uint8
	end := st.bodyless || length == 0
	if end {
		flags = flagEndStream
	}
	start := c.beginHeadLocked(st.id, flags)
	b, dated := c.enc.status(c.out, status), false
	for i := range f {
		var date bool
		b, date = c.enc.field(b, f[i].Name, f[i].Value)
		dated = dated || date
	}
	if length >= 0 && status != 204 {
		b = c.enc.length(b, length)
	}
	if !dated {
		b, _ = c.enc.field(b, "date", c.srv.dates.At(now))
	}
	c.out = b
	c.endHeadLocked(start, st.id)
	if end {
		c.endLocalLocked(st)
	}
}

// Write implements wire.Stream.
func (st *stream) Write(p []byte) (int, error) {
	c := st.c
	c.mu.Lock()
	headed := st.headed
	c.mu.Unlock()
	if !headed {
		st.WriteHead(200, nil, -1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case st.err != nil:
		return 0, st.err
	case st.bodyless:
		return len(p), nil
	case st.length >= 0 && st.sent+int64(len(p)) > st.length:
		return 0, wire.ErrTooLong
	case len(p) == 0:
		return 0, nil
	}
	st.sent += int64(len(p))
	end := st.sent == st.length
	rest := p
	if c.ready.first == nil {
		rest = c.appendDataLocked(st, p, end, outBound)
	}
	if len(rest) > 0 {
		return st.writeRestLocked(p, rest, end)
	}
	if len(c.out) >= flushAt {
		c.kickLocked()
	}
	return len(p), nil
}

// flushAt is how much has to be there that it is sent before anybody asks.
const flushAt = 16 << 10

// writeRestLocked waits until the writer has taken rest, the last part of p.
func (st *stream) writeRestLocked(p, rest []byte, end bool) (int, error) {
	c := st.c
	st.pend, st.pendEnd = rest, end
	c.readyLocked(st)
	c.kickLocked() // what is out already has to reach the client before it takes more
	st.moved = time.Now()
	for timeout := st.timeout; len(st.pend) > 0 && st.err == nil; {
		if st.waitLocked(timeout) || len(st.pend) == 0 {
			continue
		}
		if timeout = st.timeout - time.Since(st.moved); timeout <= 0 {
			st.stallLocked()
		}
	}
	if st.err != nil {
		return 0, st.err
	}
	return len(p), nil
}

// Flush implements wire.Stream. It does not wait: the next Write does, if the
// client takes nothing.
func (st *stream) Flush() error {
	c := st.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if st.err != nil {
		return st.err
	}
	c.kickLocked()
	return nil
}

// waitLocked waits for a signal of the writer, and reports whether there was one
// in time.
func (st *stream) waitLocked(timeout time.Duration) bool {
	st.c.mu.Unlock()
	ok := st.wake.wait(timeout)
	st.c.mu.Lock()
	return ok
}

// roomLocked waits for its turn while out is over its bound, and reports whether
// st can still send. One that can has to call passRoomLocked when it has.
func (st *stream) roomLocked() bool {
	c := st.c
	if (len(c.out) >= outBound || c.rooms.first != nil) && st.err == nil && c.dead == nil {
		c.rooms.push(st)
		c.kickLocked()
		for st.in != nil { // until its turn has come, or the stream's end
			if !st.waitLocked(st.timeout) && st.in != nil {
				st.stallLocked()
			}
		}
	}
	if st.err == nil && c.dead == nil {
		return true
	}
	st.passRoomLocked()
	return false
}

// passRoomLocked is the end of the turn of st.
func (st *stream) passRoomLocked() {
	c := st.c
	if c.turn == st {
		c.turn = nil
	}
	if c.wakeRoomLocked(); c.rooms.first != nil {
		c.kickLocked()
	}
}

// wakeRoomLocked gives the first of those that wait for room its turn, once what
// the one before has put into out is known.
func (c *conn) wakeRoomLocked() {
	if st := c.rooms.first; st != nil && c.turn == nil && len(c.out) < outBound {
		c.turn = st
		drop(st)
		st.wake.signal()
	}
}

// stallLocked ends a stream whose client has taken nothing for too long. If it is
// the socket that takes nothing, the write timeout of the connection comes too.
func (st *stream) stallLocked() {
	c := st.c
	if !st.open {
		return
	}
	c.resetLocked(st.id, codeCancel)
	st.failLocked(os.ErrDeadlineExceeded)
	c.closeLocked(st)
	c.kickLocked()
}
