package h2

import "sync"

// Sizes of what is pooled.
const (
	inSize     = 18 << 10 // a whole frame, and what a size class of the allocator has beyond it
	smallOut   = 8 << 10
	largeOut   = 88 << 10
	outBound   = 64 << 10 // streams wait when so much is to be written
	smallChunk = 2 << 10
	largeChunk = 16 << 10
)

// buffers are the pools of a Server. Connections hold what they need only while
// there is something in it.
type buffers struct {
	in, small, large         sync.Pool // *[]byte
	smallChunks, largeChunks sync.Pool // *chunk
	boxes                    sync.Pool // *[]byte, empty: what carries a slice in and out of the pools
}

// get takes a buffer of the given capacity from p, with length 0.
func (b *buffers) get(p *sync.Pool, size int) []byte {
	box, _ := p.Get().(*[]byte)
	if box == nil {
		return make([]byte, 0, size)
	}
	s := *box
	*box = nil
	b.boxes.Put(box)
	return s
}

func (b *buffers) put(p *sync.Pool, s []byte) {
	box, _ := b.boxes.Get().(*[]byte)
	if box == nil {
		box = new([]byte)
	}
	*box = s[:0]
	p.Put(box)
}

func (b *buffers) getIn() []byte  { return b.get(&b.in, inSize) }
func (b *buffers) putIn(s []byte) { b.put(&b.in, s) }

// grow returns s with room for n more bytes.
func (b *buffers) grow(s []byte, n int) []byte {
	if cap(s)-len(s) >= n {
		return s
	}
	var bigger []byte
	switch need := len(s) + n; {
	case need <= smallOut:
		bigger = b.get(&b.small, smallOut)
	case need <= largeOut:
		bigger = b.get(&b.large, largeOut)
	default:
		bigger = make([]byte, 0, need+need/4)
	}
	bigger = append(bigger, s...)
	b.putOut(s)
	return bigger
}

// putOut takes back what grow has given.
func (b *buffers) putOut(s []byte) {
	switch cap(s) {
	case smallOut:
		b.put(&b.small, s)
	case largeOut:
		b.put(&b.large, s)
	}
}

// chunk is a part of a body.
type chunk struct {
	next *chunk
	r, w int // what is between has not been read
	buf  []byte
}

// getChunk returns a chunk for n bytes that are there, or will be soon.
func (b *buffers) getChunk(n int) *chunk {
	p, size := &b.smallChunks, smallChunk
	if n > smallChunk {
		p, size = &b.largeChunks, largeChunk
	}
	if c, _ := p.Get().(*chunk); c != nil {
		return c
	}
	return &chunk{buf: make([]byte, size)}
}

func (b *buffers) putChunk(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	if len(c.buf) == smallChunk {
		b.smallChunks.Put(c)
	} else {
		b.largeChunks.Put(c)
	}
}
