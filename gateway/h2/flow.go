package h2

// Flow control (RFC 9113, 5.2): what the client may send and what it takes.

// shiftWindowsLocked changes the window of every stream by what the client's
// setting has changed.
func (c *conn) shiftWindowsLocked(by int64) error {
	c.newWin += by
	for _, st := range c.streams {
		if st.window += by; st.window > maxWindow {
			return connError{codeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large"}
		}
		c.readyLocked(st)
	}
	return nil
}

// widenLocked makes the window of the connection larger.
func (c *conn) widenLocked(n int64) error {
	switch {
	case n == 0:
		return connError{codeProtocol, "WINDOW_UPDATE of 0 on the connection"}
	case c.window+n > maxWindow:
		return connError{codeFlowControl, "the window of the connection is too large"}
	}
	c.window += n
	if c.ready.first != nil && c.window > 0 {
		c.kickLocked()
	}
	return nil
}

// readyLocked puts st into the queue of those that can send, if it can.
func (c *conn) readyLocked(st *stream) {
	if len(st.pend) > 0 && st.window > 0 && st.in == nil {
		c.ready.push(st)
		if c.window > 0 {
			c.kickLocked()
		}
	}
}

// refundLocked gives the client back n bytes of the connection's window that were
// read or thrown away. It is told when it is worth a frame.
func (c *conn) refundLocked(n int) (told bool) {
	c.unsent += int64(n)
	if c.unsent < connWindow/4 || c.dead != nil {
		return false
	}
	c.reserveLocked(frameHeaderLen + 4)
	c.out = appendWindowUpdate(c.out, 0, uint32(c.unsent))
	c.recv += c.unsent
	c.unsent = 0
	return true
}

// refund gives the client back n bytes of the body of st that were read. last: no
// more will come.
func (c *conn) refund(st *stream, n int, last bool) {
	if st.credit += n; st.credit == 0 || st.credit < streamWindow/4 && !last {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.refundLocked(st.credit)
	if st.open && !st.remoteEnd && c.dead == nil {
		c.reserveLocked(frameHeaderLen + 4)
		c.out = appendWindowUpdate(c.out, st.id, uint32(st.credit))
		st.recv += int64(st.credit)
		told = true
	}
	st.credit = 0
	if told {
		c.kickLocked()
	}
}

// queue is a list of streams in the order of their turns. A stream is in one at most.
type queue struct{ first, last *stream }

func (q *queue) push(st *stream) {
	st.in, st.prev, st.next = q, q.last, nil
	if q.last == nil {
		q.first = st
	} else {
		q.last.next = st
	}
	q.last = st
}

// drop takes st out of the queue that it is in, if any.
func drop(st *stream) {
	q := st.in
	if q == nil {
		return
	}
	if st.prev == nil {
		q.first = st.next
	} else {
		st.prev.next = st.next
	}
	if st.next == nil {
		q.last = st.prev
	} else {
		st.next.prev = st.prev
	}
	st.in, st.prev, st.next = nil, nil, nil
}
