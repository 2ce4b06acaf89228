package h1

import (
	"bytes"
	"time"
)

// readHead reads until the head of a request is at hand, and returns its length
// with the empty line. A refusal is for what can be seen to be no head, or too
// much of one, before its end.
func (c *conn) readHead(o *Settings) (int, *refusal, error) {
	in := &c.in
	for seen := 0; ; {
		if in.len() > 0 && in.buf[in.start] == '\r' && c.skipsEmptyLine() {
			seen = 0
		}
		b := in.bytes()
		if i := bytes.Index(b[max(seen-len(headEnd)+1, 0):], headEnd); i >= 0 {
			n := max(seen-len(headEnd)+1, 0) + i + len(headEnd)
			if n > o.HeadBytes {
				return 0, c.tooLong(b[:o.HeadBytes]), nil
			}
			return n, nil, nil
		}
		if len(b) > 0 && (c.secure || !bytes.HasPrefix(prefaceHead, b)) { // else h2 may begin
			if f := c.glance(b, seen); f != nil {
				return 0, f, nil
			}
			seen = len(b)
		}
		if len(b) >= o.HeadBytes {
			return 0, c.tooLong(b), nil
		}
		if err := c.readOn(o); err != nil {
			return 0, nil, err
		}
	}
}

var headEnd = []byte("\r\n\r\n")

// readOn reads more of a head, within the time that it has.
func (c *conn) readOn(o *Settings) error {
	if !c.timed && o.HeaderTimeout > 0 {
		c.deadline(time.Now().Add(o.HeaderTimeout))
	}
	in := &c.in
	if in.len() == len(in.buf) {
		bigger := make([]byte, min(2*len(in.buf), o.HeadBytes+inSize))
		in.start, in.end, in.buf = 0, copy(bigger, in.bytes()), bigger
	}
	return in.more()
}

// glance looks for what makes it useless to wait for the rest of a head that is
// not all there, beyond the first seen bytes.
func (c *conn) glance(b []byte, seen int) *refusal {
	if !token[b[0]] && string(b) != "\r" {
		c.resetHead()
		return notHTTP(b, c.secure)
	}
	first := bytes.IndexByte(b[:seen], '\n') < 0 // its line is not complete yet
	for i := seen; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			break
		}
		i += n
		if i == 0 || b[i-1] != '\r' {
			c.parseLine(b, i)
			return bareLF()
		}
		if first {
			first = false
			if f := c.parseLine(b, i-1); f != nil {
				return f
			}
		}
		i++
	}
	return nil
}

// tooLong refuses a head of which b is the beginning.
func (c *conn) tooLong(b []byte) *refusal {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		c.resetHead()
		return lineTooLong(len(b))
	}
	if f := c.parseLine(b, i-1); f != nil {
		return f
	}
	return headTooLong(len(b))
}
