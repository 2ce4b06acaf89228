package socket

// plainRead reads from any net.Conn. Its deadline is armed before every call.
func (c *Conn) plainRead(p []byte) (int, error) {
	defer c.r.done()
	if !c.r.begin() {
		return 0, c.tooLate("read")
	}
	for c.r.wait() {
		n, err := c.below.Read(p)
		if n > 0 || !isTimeout(err) {
			return n, err
		}
		if !c.r.fired() {
			return 0, err
		}
	}
	return 0, c.opError("read", errTimeout)
}

// plainWrite writes to any net.Conn.
func (c *Conn) plainWrite(p []byte) (all int, err error) {
	defer c.w.done()
	if !c.w.begin() {
		return 0, c.tooLate("write")
	}
	for c.w.wait() {
		n, err := c.below.Write(p[all:])
		all += n
		if !isTimeout(err) {
			return all, err
		}
		if n > 0 {
			c.w.progress()
		}
		if !c.w.fired() {
			return all, err
		}
	}
	return all, c.opError("write", errTimeout)
}
