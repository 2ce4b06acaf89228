package h2

import (
	"encoding/binary"
	"slices"
)

func (c *conn) takeSettings(h frameHeader, p []byte) error {
	switch {
	case h.stream != 0:
		return connError{codeProtocol, "SETTINGS on a stream"}
	case h.has(flagAck) && len(p) > 0:
		return connError{codeFrameSize, "an acknowledgement of SETTINGS with content"}
	case h.has(flagAck):
		return c.nuisance()
	case len(p)%6 != 0:
		return connError{codeFrameSize, "SETTINGS of a length that is not a multiple of 6"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.spendLocked(costNuisance * (1 + len(p)/60)); err != nil {
		return err
	}
	for ; len(p) > 0; p = p[6:] {
		if err := c.setLocked(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); err != nil {
			return err
		}
	}
	c.reserveLocked(frameHeaderLen)
	c.out = appendFrameHeader(c.out, 0, frameSettings, flagAck, 0)
	c.replyLocked()
	return nil
}

// setLocked takes one setting of the client.
func (c *conn) setLocked(id uint16, v uint32) error {
	switch id {
	case settingTableSize:
		c.enc.setMax(v)
	case settingPush:
		if v > 1 {
			return connError{codeProtocol, "SETTINGS_ENABLE_PUSH is neither 0 nor 1"}
		}
	case settingWindow:
		if v > maxWindow {
			return connError{codeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE is too large"}
		}
		return c.shiftWindowsLocked(int64(v) - c.newWin)
	case settingFrameSize:
		if v < maxFrame || v > 1<<24-1 {
			return connError{codeProtocol, "SETTINGS_MAX_FRAME_SIZE is out of its bounds"}
		}
	}
	return nil // the others bound what we do not do
}

func (c *conn) takePing(h frameHeader, p []byte) error {
	switch {
	case len(p) != 8:
		return connError{codeFrameSize, "PING of a length other than 8"}
	case h.stream != 0:
		return connError{codeProtocol, "PING on a stream"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.has(flagAck) {
		if c.leaving == leavingAsked && [8]byte(p) == leavePing {
			c.leaveLocked()
			return nil
		}
		return c.spendLocked(costNuisance)
	}
	if err := c.spendLocked(costNuisance); err != nil {
		return err
	}
	c.reserveLocked(frameHeaderLen + 8)
	c.out = appendPing(c.out, flagAck, [8]byte(p))
	c.replyLocked()
	return nil
}

func (c *conn) takePriority(h frameHeader, p []byte) error {
	switch {
	case h.stream == 0:
		return connError{codeProtocol, "PRIORITY without a stream"}
	case len(p) != 5:
		return c.streamError(h.stream, codeFrameSize)
	case binary.BigEndian.Uint32(p)&maxID == h.stream:
		return c.streamError(h.stream, codeProtocol) // it depends on itself
	}
	return c.nuisance() // RFC 9113, 5.3.2: nothing comes of it
}

func (c *conn) takeReset(h frameHeader, p []byte) error {
	switch {
	case h.stream == 0:
		return connError{codeProtocol, "RST_STREAM without a stream"}
	case len(p) != 4:
		return connError{codeFrameSize, "RST_STREAM of a length other than 4"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.stream > c.lastID || h.stream%2 == 0 {
		return connError{codeProtocol, "RST_STREAM on a stream that was not begun"}
	}
	st := c.findLocked(h.stream)
	if st == nil {
		return c.spendLocked(costNuisance)
	}
	st.failLocked(errClientReset)
	c.closeLocked(st)
	c.answered = true // with the window that its body had
	return c.spendLocked(costReset)
}

func (c *conn) takeGoAway(h frameHeader, p []byte) error {
	switch {
	case h.stream != 0:
		return connError{codeProtocol, "GOAWAY on a stream"}
	case len(p) < 8:
		return connError{codeFrameSize, "GOAWAY of a length below 8"}
	}
	return c.nuisance() // it is about streams that the server begins: there are none
}

func (c *conn) takeWindowUpdate(h frameHeader, p []byte) error {
	if len(p) != 4 {
		return connError{codeFrameSize, "WINDOW_UPDATE of a length other than 4"}
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.spendLocked(costNuisance); err != nil {
		return err
	}
	if h.stream == 0 {
		return c.widenLocked(n)
	}
	if h.stream > c.lastID || h.stream%2 == 0 {
		return connError{codeProtocol, "WINDOW_UPDATE on a stream that was not begun"}
	}
	st := c.findLocked(h.stream)
	switch {
	case st == nil:
		return nil
	case n == 0:
		return c.breakLocked(st.id, codeProtocol)
	case st.window+n > maxWindow:
		return c.breakLocked(st.id, codeFlowControl)
	}
	st.window += n
	c.readyLocked(st)
	return nil
}

// streamError resets the stream that the client has used wrongly.
func (c *conn) streamError(id uint32, code errCode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id > c.lastID || id%2 == 0 { // RST_STREAM is not for what was not begun
		return connError{code, "a frame of a stream that was not begun is not valid"}
	}
	return c.breakLocked(id, code)
}

// breakLocked resets the stream that the client has used wrongly: whether it is
// open or not, that costs the client as much as a reset of its own.
func (c *conn) breakLocked(id uint32, code errCode) error {
	if st := c.findLocked(id); st != nil {
		st.failLocked(errMalformed)
		c.closeLocked(st)
	}
	c.resetLocked(id, code)
	c.replyLocked()
	return c.spendLocked(costReset)
}

// resetLocked sends RST_STREAM, and remembers that the client may not know it yet.
func (c *conn) resetLocked(id uint32, code errCode) {
	c.reserveLocked(frameHeaderLen + 4)
	c.out = appendReset(c.out, id, code)
	c.resets.add(id, c.maxOpen)
}

// resetRing has the streams that were reset last: frames of theirs may still be
// on their way, from as many as may be open and as many that came in their place.
type resetRing struct {
	ids []uint32
	at  int
}

func (r *resetRing) add(id uint32, maxOpen int) {
	if len(r.ids) < 2*maxOpen {
		r.ids = append(r.ids, id)
		return
	}
	r.ids[r.at] = id
	r.at = (r.at + 1) % len(r.ids)
}

func (r *resetRing) has(id uint32) bool { return slices.Contains(r.ids, id) }
