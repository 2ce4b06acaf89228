package uwsgi

import (
	"io"
	"time"
)

// Bounds of how often the kernel is asked by itself whether the variables were
// read. It wakes those who wait, and so this is for kernels that only resemble
// Linux.
const (
	firstLook = 10 * time.Millisecond
	lastLook  = time.Second
)

// write hands the variables to the kernel and begins to send the body: where the
// kernel tells whether the variables were read, not before they were, and
// elsewhere in one call with as much of it as is at hand. That the member does
// not take it is no failure yet: it may have answered.
func (x *exchange) write(req *Request, packet []byte, body io.Reader) *Error {
	x.packet = len(packet)
	left := req.ContentLength
	if body == nil {
		left = 0
	}
	switch {
	case left <= 0:
		x.writeFirst(packet)
	case x.t.holds:
		if x.writeFirst(packet) {
			return x.writeHeld(req, body, left)
		}
	default:
		return x.writeWithBody(req, packet, body, left)
	}
	return nil
}

// writeFirst is the first write of an exchange; b begins with the packet.
func (x *exchange) writeFirst(b []byte) bool {
	n, err := x.begin(b)
	if err != nil {
		x.writeErr, x.cutPacket = err, n < x.packet
		return false
	}
	x.fly()
	return true
}

// begin starts the clocks of the exchange and writes b.
func (x *exchange) begin(b []byte) (int, error) {
	f := x.conn.file
	if f == nil {
		x.conn.arm(x.t.responseTimeout)
		return x.conn.Write(b)
	}
	n, err := f.begin(b, x.t.responseTimeout)
	if err != nil || n == len(b) {
		return n, err
	}
	x.watch()
	m, err := f.writeWaiting(b[n:])
	return n + m, err
}

// writeWithBody sends what is at hand of the body together with the variables.
func (x *exchange) writeWithBody(req *Request, packet []byte, body io.Reader, left int64) *Error {
	first := packet
	if atHand(req, body) {
		out := x.t.buffers.takeOut()
		defer x.t.buffers.putOut(out)
		n, err := x.readAhead(out.b, packet, body, left)
		if err != nil {
			return x.t.bodyFailure(StageSend, err, true)
		}
		if n > 0 {
			first, left = out.b[:len(packet)+n], left-int64(n)
		}
	}
	if x.writeFirst(first) && left > 0 {
		x.ahead = true
		x.startSending(req, body, left)
	}
	return nil
}

// writeHeld holds the body back until a worker has read the variables. A reset
// before that proves that nobody has run the request, and there is nothing to be
// sent again: the body was not touched. A short body that is at hand is sent by
// the goroutine that waits for the response anyway.
func (x *exchange) writeHeld(req *Request, body io.Reader, left int64) *Error {
	if left > aheadBytes || x.packet > aheadBytes || !atHand(req, body) {
		x.startSending(req, body, left)
		return nil
	}
	if x.writeErr = x.awaitTaken(); x.writeErr != nil {
		return nil
	}
	out := x.t.buffers.takeOut()
	defer x.t.buffers.putOut(out)
	n, err := x.readAhead(out.b, nil, body, left)
	if err != nil {
		return x.t.bodyFailure(StageSend, err, false)
	}
	x.conn.arm(x.t.responseTimeout)
	_, x.writeErr = x.transmit(out.b[:n])
	return nil
}

// awaitTaken blocks until a worker has read the variables, or the member has
// said something without that, and ends like a Write: when neither direction
// has moved for the response timeout, by an interrupt, and with EPIPE when the
// member has closed.
func (x *exchange) awaitTaken() error {
	if x.ctx.Err() != nil {
		x.conn.interrupt()
	}
	if f := x.conn.file; f != nil {
		if done, err := f.takenNow(); done {
			if err == nil {
				x.know()
			}
			return err
		}
	}
	x.watch()
	begun := time.Now()
	for look := firstLook; ; look = min(2*look, lastLook) {
		if left := x.t.responseTimeout - time.Since(begun); left > 0 {
			look = min(look, left)
		}
		x.conn.armWrite(look)
		err := x.conn.awaitTaken()
		switch {
		case err == nil:
			x.know()
			return nil
		case !isTimeout(err), x.conn.interrupted(), x.overdue(begun):
			return err
		}
	}
}

// overdue reports whether the time for the variables to be read is over.
func (x *exchange) overdue(begun time.Time) bool {
	limit := x.t.responseTimeout
	return limit > 0 && time.Since(begun) >= limit && (x.send == nil || !x.moving())
}

// readAhead puts the packet and the beginning of the body into out.
func (x *exchange) readAhead(out, packet []byte, body io.Reader, left int64) (int, error) {
	if len(packet)+aheadBytes > len(out) {
		return 0, nil
	}
	x.ahead = true
	n := copy(out, packet)
	m, err := io.ReadFull(body, out[n:n+int(min(left, aheadBytes))])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errShortBody
	}
	return m, err
}

// atHand reports whether reading the body never waits for a client.
func atHand(req *Request, body io.Reader) bool {
	if req.Rewind != nil {
		return true
	}
	_, ok := body.(interface{ Len() int })
	return ok
}

func (x *exchange) startSending(req *Request, body io.Reader, left int64) {
	x.watch()
	x.conn.armRead(0) // the clock starts with the last byte
	x.send = &sender{
		x: x, body: body, left: left, stop: req.StopBody, atHand: atHand(req, body), done: make(chan struct{}),
	}
	x.lastRead.Store(x.began.UnixNano())
	go x.send.run()
}
