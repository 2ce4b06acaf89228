package h2

import (
	"io"
	"os"
	"sync"
	"time"
)

// body is what has come of the body of a request and was not read yet. One
// goroutine reads; the connection's reader adds. The zero value is empty and goes
// on; reset makes it one again.
type body struct {
	pool *buffers
	wake waker // of the one that reads

	mu         sync.Mutex // guards the fields below; taken with or without the connection's
	head, tail *chunk
	size       int
	err        error // what is behind the chunks: io.EOF, or why there is no end
	stopped    bool
	waiting    bool
	timeout    time.Duration
}

// add appends p, of which it keeps a copy.
func (b *body) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += len(p)
	for len(p) > 0 {
		t := b.tail
		if t == nil || t.w == len(t.buf) {
			t = b.pool.getChunk(len(p))
			b.linkLocked(t)
		}
		n := copy(t.buf[t.w:], p)
		t.w += n
		p = p[n:]
	}
	b.wakeLocked()
}

// addChunk appends c, which it owns from then on.
func (b *body) addChunk(c *chunk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += c.w
	b.linkLocked(c)
	b.wakeLocked()
}

func (b *body) linkLocked(c *chunk) {
	if b.tail == nil {
		b.head = c
	} else {
		b.tail.next = c
	}
	b.tail = c
}

func (b *body) wakeLocked() {
	if b.waiting {
		b.waiting = false
		b.wake.signal()
	}
}

// end says what comes behind the chunks. The first word holds.
func (b *body) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
		b.wakeLocked()
	}
}

// stop makes every Read end with os.ErrDeadlineExceeded.
func (b *body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.wakeLocked()
}

func (b *body) setTimeout(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timeout = d
}

// unread reports whether the end has not been reached.
func (b *body) unread() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size > 0 || b.err != io.EOF
}

// empty reports whether a Read would have to wait.
func (b *body) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size == 0 && b.err == nil && !b.stopped
}

// read waits for a part of the body. last reports that all has been read now.
func (b *body) read(p []byte) (n int, last bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.stopped:
			return 0, false, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, false, nil
		case b.size > 0:
			n = b.takeLocked(p)
			return n, b.size == 0 && b.err != nil, nil
		case b.err != nil:
			return 0, true, b.err
		}
		b.waiting = true
		timeout := b.timeout
		b.mu.Unlock()
		ok := b.wake.wait(timeout)
		b.mu.Lock()
		b.waiting = false
		if !ok && b.size == 0 && b.err == nil {
			return 0, false, os.ErrDeadlineExceeded
		}
	}
}

func (b *body) takeLocked(p []byte) (n int) {
	for n < len(p) && b.head != nil {
		c := b.head
		m := copy(p[n:], c.buf[c.r:c.w])
		n += m
		if c.r += m; c.r < c.w {
			break
		}
		b.dropLocked()
	}
	b.size -= n
	return n
}

func (b *body) dropLocked() {
	c := b.head
	if b.head = c.next; b.head == nil {
		b.tail = nil
	}
	b.pool.putChunk(c)
}

// discard frees what is not read and returns how much that was. The body has
// ended then.
func (b *body) discard(err error) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.size
	for b.head != nil {
		b.dropLocked()
	}
	b.size = 0
	if b.err == nil || n > 0 {
		b.err = err
	}
	b.wakeLocked()
	return n
}

// reset makes b ready for the next request.
func (b *body) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.stopped, b.waiting, b.timeout = nil, false, false, 0
	b.wake.drain()
}
