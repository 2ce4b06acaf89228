package socket

// OnHangup makes f be called, at most once and from another goroutine, when the
// client has closed its sending half or the connection has broken, whether or not
// what it sent before has been read. If that has happened already, f is called at
// once. The next OnHangup replaces f, nil takes it away; a call that has begun
// goes on meanwhile. f must return soon: one goroutine serves all connections.
//
// The first call on a connection costs one system call, the others none. Nothing
// is told when the Hangups do not run, on connections without a descriptor, when
// the system refuses to watch another one, and after Close; what was written to a
// client that has gone then tells.
// Other systems than Linux look twice a second, and see an end only when what came
// before it has been read; what is not Unix does not look.
func (c *Conn) OnHangup(f func()) {
	c.mu.Lock()
	watch := f != nil && !c.watched
	if watch {
		c.watched = true
	}
	now := c.hung && f != nil
	if now {
		c.onHang = nil
	} else {
		c.onHang = f
	}
	c.mu.Unlock()
	switch {
	case now:
		go f()
	case watch && c.hangups != nil && c.raw != nil:
		c.hangups.watch(c)
	}
}

// hangup is called when the client has gone.
func (c *Conn) hangup() {
	c.mu.Lock()
	f := c.onHang
	c.onHang, c.hung = nil, true
	c.mu.Unlock()
	if f != nil {
		f()
	}
}
