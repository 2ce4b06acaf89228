package h3

import (
	"runtime"
	"sync"
)

// finishing are the answers of a connection that are ready and not sent. They are
// sent together: quic-go's goroutine wakes when the first is written and makes a
// packet of what it finds, and a packet costs more than all else that we do for a
// small answer.
type finishing struct {
	mu    sync.Mutex // guards the fields below
	ready []*stream
	spare []*stream // what ready had before
	led   bool      // somebody will send what is ready
}

// finish ends the stream of an answer that is whole. The first one to come lets
// all others run that can, and then sends what they have got ready meanwhile.
func (c *conn) finish(x *stream) {
	f := &c.ending
	f.mu.Lock()
	f.ready = append(f.ready, x)
	if f.led {
		f.mu.Unlock()
		return
	}
	f.led = true
	f.mu.Unlock()
	runtime.Gosched()
	f.mu.Lock()
	ready := f.ready
	f.ready, f.spare = f.spare[:0], nil
	f.led = false
	f.mu.Unlock()
	for _, x := range ready {
		x.finish()
	}
	clear(ready)
	f.mu.Lock()
	f.spare = ready
	f.mu.Unlock()
}
