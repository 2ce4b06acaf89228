package h1

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// conn is one connection. Its goroutine owns it but for what is said otherwise.
type conn struct {
	srv    *Server
	c      net.Conn // what is spoken on: sock, or TLS above it
	sock   *socket.Conn
	secure bool
	h      wire.Handler
	born   time.Time

	room   *room // nil while idle
	fields wire.Fields
	in     input
	one    [1]byte // the first byte of a request over TLS
	empty  int     // lines before the request that comes
	timed  bool    // sock has a read deadline
	req    wire.Request
	head   framing
	s      stream

	state  atomic.Int32 // fresh, idle, busy or woken
	killed atomic.Bool
	mu     sync.Mutex // held while somebody wakes the goroutine
}

// States of a connection.
const (
	fresh = iota // nothing has come yet
	idle         // waits for the next request
	busy         // has a byte of a request, or an answer to give
	woken        // Shutdown has ended its wait
)

func newConn(s *Server, c net.Conn, sock *socket.Conn, h wire.Handler) *conn {
	n := &conn{srv: s, c: c, sock: sock, h: h, born: time.Now(), in: input{src: c}}
	n.secure = c != net.Conn(sock)
	n.s.c = n
	n.s.watch = n.s.watchClient
	n.s.answer.hold = outSize
	if n.secure {
		n.s.answer.hold = tlsRecord
	}
	return n
}

// enter takes a room to work in.
func (c *conn) enter() {
	c.room = c.srv.takeRoom()
	c.in.buf, c.in.start, c.in.end = c.room.in, 0, 0
	c.fields, c.s.answer.out = c.room.fields, c.room.out
}

// vacate gives the room back.
func (c *conn) vacate() {
	if c.room == nil {
		return
	}
	c.room.in, c.room.out, c.room.fields = c.in.buf, c.s.answer.out, c.fields
	c.srv.giveRoom(c.room)
	c.room, c.in.buf, c.fields, c.s.answer.out = nil, nil, nil, nil
	c.req, c.head = wire.Request{}, framing{} // their strings hold the whole head
}

// serve serves one request after the other until the connection has ended.
func (c *conn) serve(first []byte) (preface []byte) {
	defer c.vacate()
	o := c.srv.settings.Load()
	if o.HeaderTimeout > 0 {
		c.deadline(c.born.Add(o.HeaderTimeout))
	}
	if len(first) > 0 {
		c.begin(first)
	}
	for begun := false; ; begun = true {
		if !c.await(o, begun) {
			c.end()
			return nil
		}
		n, refusal, err := c.readHead(o)
		if err != nil {
			c.end()
			return nil
		}
		c.deadline(time.Time{})
		if refusal == nil {
			if !begun && !c.secure && bytes.HasPrefix(c.in.bytes(), prefaceHead) {
				return bytes.Clone(c.in.bytes())
			}
			refusal = c.parse(c.in.bytes()[:n], o.Fields)
			c.in.skip(n)
		}
		c.refuse(refusal)
		if !c.handle() {
			return nil
		}
		o = c.srv.settings.Load()
	}
}

// refuse makes the request one that is only answered; nil does nothing.
func (c *conn) refuse(f *refusal) {
	if f != nil {
		c.req.Refusal, c.req.ContentLength = f, 0
		c.head.length, c.head.expects = 0, false
	}
}

// prefaceHead is the head that the preface of HTTP/2 begins with (RFC 9113, 3.4).
var prefaceHead = []byte("PRI * HTTP/2.0\r\n\r\n")

// begin takes in what somebody else has read.
func (c *conn) begin(first []byte) {
	c.enter()
	if len(first) > len(c.in.buf) {
		c.in.buf = make([]byte, len(first))
	}
	c.in.end = copy(c.in.buf, first)
	c.state.Store(busy)
}

// deadline is the time until which the connection reads; zero: for ever.
func (c *conn) deadline(t time.Time) {
	if set := !t.IsZero(); set || c.timed {
		c.timed = set
		c.sock.SetReadDeadline(t) // its error is that of a connection that was closed
	}
}

// await waits for the first byte of a request. It reports false at the end of the
// connection, of the client's time, or of ours.
func (c *conn) await(o *Settings, begun bool) bool {
	c.empty = 0
	for {
		for c.skipsEmptyLine() {
			continue
		}
		if c.in.len() > 0 {
			return true
		}
		c.vacate()
		if begun {
			c.rest(o)
		}
		err := c.readFirst()
		if err != nil && c.state.Load() == woken {
			err = c.lastLook()
		}
		if err != nil {
			return false
		}
		c.rise(begun)
	}
}

// skipsEmptyLine skips an empty line before a request, if it is there and there
// were not too many.
func (c *conn) skipsEmptyLine() bool {
	if c.empty == maxEmptyLines || !bytes.HasPrefix(c.in.bytes(), crlf) {
		return false
	}
	c.in.skip(len(crlf))
	c.empty++
	return true
}

const maxEmptyLines = 2

var crlf = []byte("\r\n")

// rest begins the wait between two requests.
func (c *conn) rest(o *Settings) {
	if !c.secure {
		c.sock.SetReadTimeout(o.IdleTimeout)
	} else if o.IdleTimeout > 0 { // not of each byte of a record that comes slowly
		c.deadline(time.Now().Add(o.IdleTimeout))
	}
	c.state.Store(idle)
	if c.srv.draining.Load() { // either this sees it, or Shutdown sees idle
		c.wake()
	}
}

// rise ends the wait.
func (c *conn) rise(begun bool) {
	switch {
	case !begun:
	case c.secure:
		c.deadline(time.Time{})
	default:
		c.sock.SetReadTimeout(0)
	}
	if c.state.CompareAndSwap(idle, busy) || c.state.CompareAndSwap(fresh, busy) {
		return
	}
	c.mu.Lock() // else Shutdown may set its deadline only now
	defer c.mu.Unlock()
	c.state.Store(busy)
	c.timed = true
	c.deadline(time.Time{})
}

// readFirst reads what comes next into a room that it takes then.
func (c *conn) readFirst() error {
	if !c.secure {
		b, err := c.sock.ReadLent((*lender)(c))
		c.in.end = len(b)
		return err
	}
	for {
		n, err := c.c.Read(c.one[:])
		if n == 0 && err != nil {
			return err
		}
		if n > 0 {
			break
		}
	}
	c.enter()
	c.in.buf[0], c.in.end = c.one[0], 1
	return nil
}

// lastLook reads a request that came when Shutdown ended the wait.
func (c *conn) lastLook() error {
	c.mu.Lock()
	c.sock.SetReadDeadline(time.Now().Add(time.Millisecond))
	c.mu.Unlock()
	return c.readFirst()
}

// wake ends the wait of an idle connection. Anybody may call it.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.CompareAndSwap(idle, woken) || time.Since(c.born) >= freshTime && c.state.CompareAndSwap(fresh, woken) {
		c.sock.SetReadDeadline(past)
	}
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// kill ends everything. Anybody may call it.
func (c *conn) kill() {
	c.killed.Store(true)
	c.sock.Close()
	c.s.endLife()
}
