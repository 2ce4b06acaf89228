package h2

import (
	"errors"
	"io"
)

// directRead is how much has to be missing of a DATA frame that it is read
// straight into the body.
const directRead = 4 << 10

// readData takes a DATA frame whose header was read. Its payload goes to the body
// as it comes.
func (c *conn) readData(h frameHeader) error {
	if h.stream == 0 {
		return connError{codeProtocol, "DATA without a stream"}
	}
	length, padding := h.length, 0
	if h.has(flagPadded) {
		p, err := c.nextOfData(1, h)
		if err != nil {
			return err
		}
		if padding = int(p[0]); padding > h.length-1 {
			return connError{codeProtocol, "a frame has more padding than payload"}
		}
		length -= 1 + padding
	}
	if err := c.acceptData(h, length); err != nil {
		return err
	}
	if err := c.copyData(h, length); err != nil {
		return err
	}
	for padding > 0 {
		p, err := c.in.next(min(padding, 64))
		if err != nil {
			return err
		}
		padding -= len(p)
	}
	if h.has(flagEndStream) {
		if err := c.endData(h.stream); err != nil {
			return err
		}
	}
	return c.waitWhileFull()
}

// nextOfData is for the first bytes of a payload that has to have them.
func (c *conn) nextOfData(n int, h frameHeader) ([]byte, error) {
	if h.length < n {
		return nil, connError{codeFrameSize, "a padded frame without padding"}
	}
	return c.in.next(n)
}

// acceptData decides on a DATA frame of which length bytes are content, and
// counts it against the windows.
func (c *conn) acceptData(h frameHeader, length int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.stream > c.lastID || h.stream%2 == 0 {
		return connError{codeProtocol, "DATA on a stream that was not begun"}
	}
	if c.recv -= int64(h.length); c.recv < 0 {
		return connError{codeFlowControl, "more DATA than the window of the connection allows"}
	}
	overhead := h.length - length
	if overhead > 0 && c.refundLocked(overhead) {
		c.replyLocked()
	}
	st := c.findLocked(h.stream)
	if st == nil || st.remoteEnd {
		return c.lateDataLocked(h, length, st)
	}
	if length == 0 && !h.has(flagEndStream) {
		if err := c.spendLocked(costNuisance); err != nil {
			return err
		}
	}
	c.budget.earnBytes(length)
	if st.recv -= int64(h.length); st.recv < 0 {
		return c.breakLocked(st.id, codeFlowControl)
	}
	st.got += int64(length)
	if st.declared >= 0 && (st.got > st.declared || h.has(flagEndStream) && st.got != st.declared) {
		return c.breakLocked(st.id, codeProtocol)
	}
	if overhead > 0 && !h.has(flagEndStream) { // nobody will read it
		st.recv += int64(overhead)
		c.reserveLocked(frameHeaderLen + 4)
		c.out = appendWindowUpdate(c.out, st.id, uint32(overhead))
		c.replyLocked()
	}
	return nil
}

// lateDataLocked answers DATA on a stream that has ended, unless the client could
// not know.
func (c *conn) lateDataLocked(h frameHeader, length int, st *stream) error {
	if st == nil && c.resets.has(h.stream) {
		if length >= earnPer { // it costs the client enough
			return nil
		}
		return c.spendLocked(costNuisance)
	}
	return c.breakLocked(h.stream, codeStreamClosed)
}

// copyData moves n bytes of a frame from the connection to the body.
func (c *conn) copyData(h frameHeader, n int) error {
	for n > 0 {
		if have := c.in.buffered(); len(have) > 0 {
			have = have[:min(n, len(have))]
			c.in.r += len(have)
			n -= len(have)
			c.addData(h.stream, have)
			continue
		}
		if n < directRead {
			p, err := c.in.next(1) // and what comes with it
			if err != nil {
				return err
			}
			n--
			c.addData(h.stream, p)
			continue
		}
		m, err := c.readChunk(h.stream, n)
		if err != nil {
			return err
		}
		n -= m
	}
	return nil
}

// addData gives p to the body of a stream that may have ended meanwhile.
func (c *conn) addData(id uint32, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.findLocked(id); st != nil && !st.remoteEnd {
		st.body.add(p)
	} else if c.refundLocked(len(p)) {
		c.replyLocked()
	}
}

// readChunk reads up to n bytes into a chunk of the body.
func (c *conn) readChunk(id uint32, n int) (int, error) {
	if err := c.beforeWait(); err != nil {
		return 0, err
	}
	pool := &c.srv.buffers
	k := pool.getChunk(min(n, largeChunk))
	m, err := c.nc.Read(k.buf[:min(n, len(k.buf))])
	if k.w = m; m < directRead { // not worth a chunk
		if m > 0 {
			c.addData(id, k.buf[:m])
		}
		pool.putChunk(k)
	} else {
		c.addChunk(id, k)
	}
	if m > 0 && !errors.Is(err, io.EOF) {
		err = nil // it comes again
	}
	return m, err
}

func (c *conn) addChunk(id uint32, k *chunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.findLocked(id); st != nil && !st.remoteEnd {
		st.body.addChunk(k)
		return
	}
	if c.refundLocked(k.w) {
		c.replyLocked()
	}
	c.srv.buffers.putChunk(k)
}

// endData is the end of a request with a body.
func (c *conn) endData(id uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.findLocked(id); st != nil && !st.remoteEnd {
		c.endRemoteLocked(st)
	}
	return nil
}

// endRemoteLocked is the end of what the client sends on st.
func (c *conn) endRemoteLocked(st *stream) {
	st.remoteEnd = true
	st.body.end(io.EOF)
	if st.localEnd {
		c.closeLocked(st)
	}
}
