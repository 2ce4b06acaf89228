package h3

import (
	"time"

	"github.com/quic-go/quic-go"
)

// patience keeps the deadline of a stream ahead of one who waits. It is not set
// anew for every call: those that follow soon share one, which is then up to an
// eighth later than it has to be.
type patience struct {
	timeout  time.Duration
	deadline time.Time // what the stream has now
}

func (p *patience) next() (deadline time.Time, change bool) {
	if p.timeout <= 0 {
		change = !p.deadline.IsZero()
		p.deadline = time.Time{}
		return p.deadline, change
	}
	now := time.Now()
	if left := p.deadline.Sub(now); left >= p.timeout && left <= p.timeout+p.timeout/8 {
		return p.deadline, false
	}
	p.deadline = now.Add(p.timeout + p.timeout/8)
	return p.deadline, true
}

func (p *patience) readBefore(q *quic.Stream) {
	if d, change := p.next(); change {
		_ = q.SetReadDeadline(d) // a stream takes every deadline
	}
}

func (p *patience) writeBefore(q *quic.Stream) {
	if d, change := p.next(); change {
		_ = q.SetWriteDeadline(d)
	}
}
