package gateway

import "sync"

// buffer takes the first part of a worker's answer: most answers as a whole.
type buffer [32 << 10]byte

// buffers recycles them. The zero value is ready to use.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *buffer {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p
	}
	return new(buffer)
}

func (b *buffers) put(p *buffer) { b.pool.Put(p) }
