package h1

import "time"

// end closes the connection in order.
func (c *conn) end() {
	c.sayEnd()
	c.sock.Close()
}

// linger closes the connection of a client that may still send, so that the
// answer is not lost to a reset.
func (c *conn) linger() {
	c.sayEnd()
	c.vacate()
	c.sock.Linger(lingerBytes, lingerTime)
}

// Bounds of what is thrown away behind the last answer.
const (
	lingerBytes = 1 << 20
	lingerTime  = time.Second
)

// sayEnd sends the close_notify of TLS.
func (c *conn) sayEnd() {
	if t, ok := c.c.(interface{ CloseWrite() error }); ok && c.secure {
		t.CloseWrite() // it waits for 5 s at most; a client that has gone needs none
	}
}

// cutOff closes the connection so that the client sees that the answer is not
// whole. One of HTTP/1.0 takes an orderly end for the end of the answer; over TLS
// the missing close_notify tells.
func (c *conn) cutOff() {
	if c.req.Minor == 0 {
		c.sock.Reset()
		return
	}
	c.sock.Close()
}
