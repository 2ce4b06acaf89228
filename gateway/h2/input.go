package h2

import "time"

// input is what was read of a connection and not looked at yet. It has a buffer
// only while there is something in it.
type input struct {
	c     *conn
	buf   []byte // nil, or of inSize
	r, w  int
	armed bool    // there is a deadline
	calm  bool    // there is to be none: DATA may take its time
	one   [1]byte // what an idle connection reads into
}

func (in *input) begin(first []byte) {
	if len(first) == 0 {
		return
	}
	in.buf = in.c.srv.buffers.getIn()[:inSize]
	if len(first) > inSize {
		in.buf = make([]byte, len(first))
	}
	in.w = copy(in.buf, first)
}

// release gives the buffer back.
func (in *input) release() {
	if cap(in.buf) == inSize {
		in.c.srv.buffers.putIn(in.buf)
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// buffered returns what is there.
func (in *input) buffered() []byte { return in.buf[in.r:in.w] }

// next waits for n bytes, at most a frame with its header, and takes them. They
// are good until the next call.
func (in *input) next(n int) ([]byte, error) {
	if in.w-in.r < n {
		if err := in.fill(n); err != nil {
			return nil, err
		}
	}
	p := in.buf[in.r : in.r+n]
	in.r += n
	return p, nil
}

// idle waits until there is a byte, and has no buffer meanwhile. A connection may
// also wake it with none.
func (in *input) idle() error {
	if in.r < in.w {
		return nil
	}
	in.release()
	if err := in.c.beforeWait(); err != nil {
		return err
	}
	if in.c.nc == in.c.sock {
		b, err := in.c.sock.ReadLent(in)
		if len(b) > 0 {
			in.buf, in.w = b[:inSize], len(b)
		}
		return err
	}
	n, err := in.c.nc.Read(in.one[:])
	if n == 0 {
		return err
	}
	in.buf = in.Get()
	in.buf[0], in.w = in.one[0], 1
	return nil
}

// Get implements socket.Lender.
func (in *input) Get() []byte { return in.c.srv.buffers.getIn()[:inSize] }

// Put implements socket.Lender.
func (in *input) Put(b []byte) { in.c.srv.buffers.putIn(b) }

// fill reads until there are n bytes. The client has begun a frame: from the
// first wait on it has HeaderTimeout for it.
func (in *input) fill(n int) error {
	if in.buf == nil {
		in.buf = in.Get()
	}
	if len(in.buf)-in.r < n {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if err := in.c.beforeWait(); err != nil {
		return err
	}
	for in.w-in.r < n {
		in.arm()
		m, err := in.c.nc.Read(in.buf[in.w:])
		in.w += m
		if err != nil && in.w-in.r < n {
			return err
		}
	}
	return nil
}

// arm sets the deadline for what the client has begun.
func (in *input) arm() {
	if in.armed || in.calm {
		return
	}
	if d := in.c.srv.settings.Load().HeaderTimeout; d > 0 {
		in.armed = true
		in.c.setReadDeadline(time.Now().Add(d))
	}
}

// disarm takes the deadline away: it is whole.
func (in *input) disarm() {
	if in.armed {
		in.armed = false
		in.c.setReadDeadline(time.Time{})
	}
}

// setReadDeadline is for the reader. One that was told to end stays so.
func (c *conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.sock.SetReadDeadline(t) // an error shows in Read
	}
}
