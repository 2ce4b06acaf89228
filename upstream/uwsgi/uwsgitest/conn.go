package uwsgitest

import (
	"io"
	"net"
	"strconv"
	"syscall"

	"headgate/upstream/uwsgi"
)

// Request is what a worker received.
type Request struct {
	Modifier1, Modifier2 byte
	Vars                 []uwsgi.Var
	Size                 int // of the block of variables
	Body                 []byte
	Conn                 int // Number of the connection
}

// Var returns the value of the last variable of that name, which is the one that
// a Python app sees, or "".
func (r *Request) Var(key string) string {
	for i := len(r.Vars) - 1; i >= 0; i-- {
		if r.Vars[i].Key == key {
			return r.Vars[i].Value
		}
	}
	return ""
}

// Length returns CONTENT_LENGTH.
func (r *Request) Length() int {
	n, _ := strconv.Atoi(r.Var("CONTENT_LENGTH")) // like uWSGI: what is no number is 0
	return n
}

// Conn is one connection to a worker, for its script.
type Conn struct {
	net.Conn
	Number int // 1 for the worker's first connection

	w *Worker
}

// Receive reads one request with its body. It returns nil at the end of the
// connection, in the middle of a request too.
func (c *Conn) Receive() *Request {
	r := c.read()
	if r == nil {
		return nil
	}
	r.Body = make([]byte, r.Length())
	if _, err := io.ReadFull(c, r.Body); err != nil {
		return nil
	}
	c.w.record(r)
	return r
}

// ReceiveVars reads a request and leaves its body unread.
func (c *Conn) ReceiveVars() *Request {
	r := c.read()
	if r != nil {
		c.w.record(r)
	}
	return r
}

func (c *Conn) read() *Request {
	var header [uwsgi.HeaderBytes]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil
	}
	r := &Request{Conn: c.Number}
	r.Modifier1, r.Size, r.Modifier2 = uwsgi.ParseHeader(header)
	block := make([]byte, r.Size)
	if _, err := io.ReadFull(c, block); err != nil {
		return nil
	}
	vars, err := uwsgi.ParseVars(block)
	if err != nil {
		c.w.t.Errorf("the worker received a bad packet: %v", err)
		return nil
	}
	r.Vars = vars
	return r
}

// Send writes s. That the peer is gone is no failure of the test.
func (c *Conn) Send(s string) { _, _ = io.WriteString(c.Conn, s) }

// SendBytes writes s one byte at a time.
func (c *Conn) SendBytes(s string) {
	for i := range len(s) {
		c.Send(s[i : i+1])
	}
}

// CloseWrite ends the sending half.
func (c *Conn) CloseWrite() {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}

// WaitClosed reads and forgets until the peer closes, or the worker is stopped.
func (c *Conn) WaitClosed() { _, _ = io.Copy(io.Discard, c.Conn) }

// Reset closes the connection so that the peer meets ECONNRESET once it has read
// what was sent. On a unix socket this takes a byte from the peer that has not
// been received: Reset waits for one.
func (c *Conn) Reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	} else {
		c.waitUnread()
	}
	_ = c.Conn.Close()
}

func (c *Conn) waitUnread() {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	var one [1]byte
	_ = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return err != syscall.EAGAIN
	})
}
