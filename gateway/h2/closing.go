package h2

import "time"

// leaving is how far a client was told that the connection ends. That takes two
// steps, so that no request is lost that is on its way (RFC 9113, 6.8).
type leaving uint8

const (
	leavingNot   leaving = iota
	leavingAsked         // GOAWAY without a last stream, and a PING
	leavingDone          // GOAWAY with the last stream that is answered
)

// leavePing is the PING behind the first GOAWAY: when its answer comes, so has
// every stream that was begun before the client knew.
var leavePing = [8]byte{'h', 'e', 'a', 'd', 'g', 'a', 't', 'e'}

// leaveTime is how long that may take.
const leaveTime = time.Second

// drain makes the connection end when its streams have.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.timer != nil { // otherwise start does it
		c.drainSoonLocked()
	}
}

// drainSoonLocked lets a client that has just connected begin its first stream:
// some take a GOAWAY before it for a connection that failed.
func (c *conn) drainSoonLocked() {
	if c.lastID == 0 && time.Since(c.idleSince) < leaveTime {
		c.armLocked(leaveTime)
	} else {
		c.drainLocked()
	}
}

func (c *conn) drainLocked() {
	if c.leaving != leavingNot || c.dead != nil {
		return
	}
	c.leaving = leavingAsked
	c.reserveLocked(64)
	c.out = appendGoAway(c.out, maxID, codeNone, "")
	c.out = appendPing(c.out, 0, leavePing)
	c.armLocked(leaveTime)
	c.kickLocked()
}

// leaveLocked is the second step.
func (c *conn) leaveLocked() {
	c.leaving = leavingDone
	c.timer.Stop()
	c.reserveLocked(64)
	c.out = appendGoAway(c.out, c.taken, codeNone, "")
	c.kickLocked()
}

// checkOverLocked ends the reader when the last stream has ended and everything
// is sent.
func (c *conn) checkOverLocked() {
	if c.leaving != leavingDone || c.over || c.writing || c.handlers > 0 || len(c.streams) > 0 || len(c.out) > 0 {
		return
	}
	c.over = true
	c.sock.SetReadDeadline(time.Unix(1, 0)) // it does not fail but on a closed socket
}
