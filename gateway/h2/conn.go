package h2

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"

	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// conn is one connection. The goroutine that calls serve is its reader.
type conn struct {
	srv     *Server
	nc      net.Conn // what is spoken on
	sock    *socket.Conn
	handler wire.Handler

	// The reader's own.
	in       input
	dec      *hpack.Decoder
	block    block
	answered bool // something was put into out that nobody sends yet
	full     bool // out is beyond its bound

	mu       sync.Mutex // guards the fields below
	dead     error      // why the connection has ended; nil while it has not
	streams  []*stream  // those that are open, by id
	handlers int        // that have not returned
	busy     int        // of them, those whose answer has not ended
	maxOpen  int        // streams, as announced
	lastID   uint32     // the highest stream that the client has begun
	taken    uint32     // of those, the highest that was not thrown away after GOAWAY
	resets   resetRing
	budget   budget

	out      []byte // what the writer takes next
	writing  bool   // a writer is at work, or about to be
	enc      encoder
	window   int64   // what the client takes of DATA
	newWin   int64   // the window with which its streams begin
	ready    queue   // streams whose DATA waits
	rooms    queue   // streams that wait until out has room
	turn     *stream // of those, the one that was told to go on and has not yet
	readRoom bool    // the reader waits for that

	recv   int64 // what the client may still send of DATA
	unsent int64 // what was read of it and the client was not told yet

	idleSince time.Time // when the last handler returned
	timer     *time.Timer
	draining  bool    // it must not live on
	leaving   leaving // how far the client was told
	over      bool    // the reader has been told to end

	patience atomic.Int64 // the longest write timeout that a stream has asked for

	wake  waker // the reader, while it waits for room or for the end
	final bool  // the reader waits for the end
}

func newConn(s *Server, c net.Conn, sock *socket.Conn, h wire.Handler) *conn {
	v := &conn{
		srv: s, nc: c, sock: sock, handler: h,
		enc: newEncoder(), window: firstWindow, newWin: firstWindow, recv: connWindow,
		idleSince: time.Now(), maxOpen: s.settings.Load().MaxStreams,
	}
	v.budget.since = v.idleSince
	v.in.c = v
	v.wake.init()
	v.dec = hpack.NewDecoder(tableSize, v.onField)
	return v
}

// serve blocks until the connection is closed and its handlers have returned.
func (c *conn) serve(first []byte) {
	c.start()
	c.in.begin(first)
	err := c.read()
	c.in.release()
	c.end(err)
}

// start says who we are and begins the idle timeout.
func (c *conn) start() {
	s := c.srv.settings.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserveLocked(64)
	c.out = appendFrameHeader(c.out, 3*6, frameSettings, 0, 0)
	c.out = appendSetting(c.out, settingMaxStreams, uint32(c.maxOpen))
	c.out = appendSetting(c.out, settingWindow, streamWindow)
	c.out = appendSetting(c.out, settingMaxHeaderList, uint32(s.HeadBytes))
	c.out = appendWindowUpdate(c.out, 0, connWindow-firstWindow)
	c.sock.SetWriteTimeout(s.IdleTimeout)
	c.timer = time.AfterFunc(time.Hour, c.onTimer)
	c.armLocked(s.IdleTimeout)
	if c.draining {
		c.drainSoonLocked()
	}
	c.kickLocked()
}

// armLocked makes the timer fire after d; never if d is 0 or less.
func (c *conn) armLocked(d time.Duration) {
	if d > 0 {
		c.timer.Reset(d)
	} else {
		c.timer.Stop()
	}
}

// onTimer ends a connection that was idle for too long, and goes on with one that
// the client was asked to leave.
func (c *conn) onTimer() {
	idle := c.srv.settings.Load().IdleTimeout
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead != nil:
	case c.leaving == leavingAsked:
		c.leaveLocked()
	case c.leaving == leavingDone:
	case c.draining:
		c.drainLocked()
	case idle <= 0:
	case c.handlers > 0 || len(c.streams) > 0:
		c.armLocked(idle)
	default:
		if rest := idle - time.Since(c.idleSince); rest > 0 {
			c.armLocked(rest)
			return
		}
		c.drainLocked()
	}
}

// find returns the open stream of that id, or nil.
func (c *conn) findLocked(id uint32) *stream {
	if i, ok := c.indexLocked(id); ok {
		return c.streams[i]
	}
	return nil
}

func (c *conn) indexLocked(id uint32) (int, bool) {
	low, high := 0, len(c.streams)
	for low < high {
		mid := (low + high) / 2
		switch got := c.streams[mid].id; {
		case got == id:
			return mid, true
		case got < id:
			low = mid + 1
		default:
			high = mid
		}
	}
	return 0, false
}

func (c *conn) removeLocked(st *stream) {
	i, ok := c.indexLocked(st.id)
	if !ok {
		return
	}
	n := copy(c.streams[i:], c.streams[i+1:])
	c.streams[i+n] = nil
	c.streams = c.streams[:i+n]
}

// end closes the connection for the reason that the reader has, and returns when
// nothing of it is left.
func (c *conn) end(err error) {
	if e, ok := err.(connError); ok {
		c.srv.log.Debug("http/2 connection ended by a broken rule", "client", c.sock.RemoteAddr(), "err", e)
		c.say(e)
		c.linger()
	} else if err == errOver {
		c.linger()
	} else if err == io.EOF {
		err = errClientGone
	}
	c.fail(err)
	c.nc.Close() // if that was not done yet
	c.sock.Close()
	c.mu.Lock()
	c.timer.Stop()
	for c.handlers > 0 || c.writing {
		c.final = true
		c.mu.Unlock()
		c.wake.wait(0)
		c.mu.Lock()
	}
	c.srv.buffers.putOut(c.out)
	c.out = nil
	c.mu.Unlock()
}

// say sends a GOAWAY with the reason e. No stream survives it.
func (c *conn) say(e connError) {
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		return
	}
	c.leaving = leavingDone
	c.failStreamsLocked(e)
	c.reserveLocked(64 + len(e.why))
	c.out = appendGoAway(c.out, c.taken, e.code, e.why)
	c.sock.SetWriteTimeout(lastWords)
	c.kickLocked()
	for c.writing && c.dead == nil {
		c.final = true
		c.mu.Unlock()
		c.wake.wait(0)
		c.mu.Lock()
	}
	c.mu.Unlock()
}

// linger closes the connection so that the client can read what was sent to it:
// bytes of the client that nobody reads would make that a reset.
func (c *conn) linger() {
	if t, ok := c.nc.(*tls.Conn); ok {
		t.CloseWrite() // a client that has gone needs no end
	}
	c.sock.Linger(lingerBytes, lingerTime)
}

const (
	lastWords   = 2 * time.Second // for a GOAWAY to be taken
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// cut ends the connection at once.
func (c *conn) cut(err error) {
	c.fail(err)
	c.sock.Close()
}

// fail ends all streams.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = err
		c.failStreamsLocked(err)
		c.turnLocked()
		c.wakeReaderLocked()
	}
}

// failStreamsLocked ends all streams as if the client had reset them.
func (c *conn) failStreamsLocked(err error) {
	for _, st := range c.streams {
		st.failLocked(err)
		st.open = false
	}
	clear(c.streams)
	c.streams = c.streams[:0]
}

// wakeReaderLocked lets a reader that waits for the end look again.
func (c *conn) wakeReaderLocked() {
	if c.final {
		c.final = false
		c.wake.signal()
	}
}

// turnLocked lets a reader that waits for room go on.
func (c *conn) turnLocked() {
	if c.readRoom {
		c.readRoom = false
		c.wake.signal()
	}
}
