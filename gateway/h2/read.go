package h2

import (
	"errors"
	"os"
)

// read takes frames until the connection ends, and says why it did: a connError
// if the client is to be told, errOver if everything is done.
func (c *conn) read() error {
	if err := c.readPreface(); err != nil {
		return c.readError(err)
	}
	for first := true; ; first = false {
		if err := c.readFrame(first); err != nil {
			return c.readError(err)
		}
	}
}

// readError finds the reason behind the error of a read: deadlines are set to say
// something.
func (c *conn) readError(err error) error {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead != nil:
		return c.dead
	case c.over:
		return errOver
	}
	return connError{codeNone, "a frame did not come to its end in time"}
}

func (c *conn) readPreface() error {
	if c.in.r == c.in.w {
		c.in.arm()
		if err := c.in.idle(); err != nil {
			return err
		}
	}
	p, err := c.in.next(len(preface))
	if err != nil {
		return err
	}
	if string(p) != preface {
		return connError{codeProtocol, "this is not the preface of HTTP/2"}
	}
	return nil
}

func (c *conn) readFrame(first bool) error {
	if !first && c.block.id == 0 {
		if err := c.in.idle(); err != nil {
			return err
		}
	}
	b, err := c.in.next(frameHeaderLen)
	if err != nil {
		return err
	}
	h := parseFrameHeader(b)
	switch {
	case first && (h.kind != frameSettings || h.has(flagAck)):
		return connError{codeProtocol, "the first frame is not SETTINGS"}
	case c.block.id != 0 && (h.kind != frameContinuation || h.stream != c.block.id):
		return connError{codeProtocol, "a header block was interrupted by another frame"}
	case h.length > maxFrame:
		return connError{codeFrameSize, "a frame is larger than SETTINGS_MAX_FRAME_SIZE"}
	}
	if h.kind == frameData {
		c.in.disarm()
		c.in.calm = true
		defer func() { c.in.calm = false }()
		return c.readData(h)
	}
	p, err := c.in.next(h.length)
	if err != nil {
		return err
	}
	if err := c.take(h, p); err != nil {
		return err
	}
	if c.block.id == 0 {
		c.in.disarm()
	}
	return c.waitWhileFull()
}

// take does what a frame says whose payload is p.
func (c *conn) take(h frameHeader, p []byte) error {
	switch h.kind {
	case frameHeaders:
		return c.takeHeaders(h, p)
	case frameContinuation:
		return c.takeContinuation(h, p)
	case framePriority:
		return c.takePriority(h, p)
	case frameReset:
		return c.takeReset(h, p)
	case frameSettings:
		return c.takeSettings(h, p)
	case framePush:
		return connError{codeProtocol, "a client must not push"}
	case framePing:
		return c.takePing(h, p)
	case frameGoAway:
		return c.takeGoAway(h, p)
	case frameWindowUpdate:
		return c.takeWindowUpdate(h, p)
	}
	return c.nuisance() // RFC 9113, 5.5: a type that is not known is ignored
}

// nuisance counts a frame that leads to nothing.
func (c *conn) nuisance() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spendLocked(costNuisance)
}

func (c *conn) spendLocked(n int) error {
	if c.budget.spend(n) {
		return nil
	}
	return connError{codeCalm, "too many frames that lead to nothing"}
}

// beforeWait lets what the reader has answered go out.
func (c *conn) beforeWait() error {
	if !c.answered {
		return nil
	}
	c.answered = false
	c.mu.Lock()
	c.kickLocked()
	c.mu.Unlock()
	return nil
}

// waitWhileFull makes the reader wait for a turn of the writer when what it
// answers is not taken.
func (c *conn) waitWhileFull() error {
	if !c.full {
		return nil
	}
	c.full = false
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) >= outBound && c.dead == nil {
		c.kickLocked()
		c.readRoom = true
		for c.readRoom {
			c.mu.Unlock()
			c.wake.wait(0)
			c.mu.Lock()
		}
	}
	return c.dead
}

// replyLocked notes that the reader has put something into out.
func (c *conn) replyLocked() {
	c.answered = true
	c.full = len(c.out) >= outBound
}

// unpad takes the padding of a frame away.
func unpad(h frameHeader, p []byte) ([]byte, error) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 || int(p[0]) > len(p)-1 {
		return nil, connError{codeProtocol, "a frame has more padding than payload"}
	}
	return p[1 : len(p)-int(p[0])], nil
}
