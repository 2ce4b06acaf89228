package uwsgi

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
)

// framing is how the end of a body is told.
type framing uint8

const (
	frameNone    framing = iota // there is none, whatever the worker sends
	frameLength                 // Content-Length
	frameChunked                // chunked coding
	frameEOF                    // the connection's end
)

// Body is the body of a response, without its framing. As soon as its last byte
// has come from the worker the connection is given up and the worker is free,
// even if the caller has not read it yet.
//
// Read returns io.EOF only at the end that the framing tells: a body that was
// cut ends in an *Error of KindCut, one whose worker falls silent in KindTimeout.
// Read belongs to one goroutine; Abort and Close may be called from any.
type Body struct {
	x *exchange

	mu      sync.Mutex // one Read at a time, and the end of the buffer
	framing framing
	left    int64 // frameLength: bytes of the body that Read has not returned
	coding  chunked
	whole   atomic.Bool // the rest of the body is in the buffer
	err     error       // what Read returns from now on
	closed  bool
}

// ErrBodyClosed is what Read returns after Close.
var ErrBodyClosed = errors.New("uwsgi: read from a closed body")

// begin prepares reading behind the head and looks whether everything is in.
func (b *Body) begin(f framing, length int64) {
	b.framing, b.left = f, length
	b.settle()
}

// settle gives the connection up if the rest of the body is in the buffer.
func (b *Body) settle() {
	have := b.x.in.len()
	switch b.framing {
	case frameNone:
		b.complete(have > 0)
	case frameLength:
		if int64(have) >= b.left {
			b.complete(int64(have) > b.left)
		}
	case frameChunked:
		if _, used, done := b.scan(); done {
			b.complete(used < have)
		}
	}
}

func (b *Body) complete(excess bool) {
	if !b.whole.Load() {
		b.x.release(excess)
		b.whole.Store(true)
	}
}

// scan walks through the chunks in the buffer without taking them.
func (b *Body) scan() (data, used int, done bool) {
	d, src := b.coding, b.x.in.bytes()
	for used < len(src) && !d.done() {
		p, n, err := d.next(src[used:], math.MaxInt)
		if err != nil {
			return data, used, false
		}
		data, used = data+len(p), used+n
	}
	return data, used, d.done()
}

// Buffered returns how many bytes can be read without a system call.
func (b *Body) Buffered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.err != nil {
		return 0
	}
	switch b.framing {
	case frameNone:
		return 0
	case frameLength:
		return int(min(int64(b.x.in.len()), b.left))
	case frameChunked:
		data, _, _ := b.scan()
		return data
	}
	return b.x.in.len()
}

// Complete reports whether the whole rest of the body is in memory: the worker
// is free already.
func (b *Body) Complete() bool { return b.whole.Load() }

// Next takes bytes of the body that are in memory and returns them without a copy:
// they are good until the next call of Next, Read or Close, by whomever. It does
// not wait, and returns nothing where Read would, or would end in an error.
func (b *Body) Next() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.err != nil {
		return nil
	}
	in := &b.x.in
	switch b.framing {
	case frameNone:
		return nil
	case frameChunked:
		return b.nextChunk()
	case frameLength:
		p := in.bytes()[:min(int64(in.len()), b.left)]
		in.r += len(p)
		b.left -= int64(len(p))
		return p
	}
	p := in.bytes()
	in.r = in.w
	return p
}

// nextChunk takes what is in memory of one chunk.
func (b *Body) nextChunk() []byte {
	in := &b.x.in
	for in.len() > 0 && !b.coding.done() {
		data, used, err := b.coding.next(in.bytes(), math.MaxInt)
		if err != nil {
			b.err = b.x.badChunk(err)
			b.x.drop()
			return nil
		}
		in.r += used
		if len(data) > 0 {
			return data
		}
	}
	return nil
}

// Read implements io.Reader. It blocks until there is a byte, at most for the
// response timeout.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, ErrBodyClosed
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.read(p)
	if err != nil {
		b.err = err
		if err != io.EOF {
			b.x.drop()
		}
	}
	return n, err
}

func (b *Body) read(p []byte) (int, error) {
	switch b.framing {
	case frameLength:
		return b.readCounted(p)
	case frameChunked:
		return b.readChunked(p)
	case frameEOF:
		return b.readRest(p)
	}
	return 0, io.EOF
}

func (b *Body) readCounted(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.take(p)
	b.left -= int64(n)
	b.settle()
	if n > 0 {
		return n, nil
	}
	return 0, b.x.cut(err)
}

func (b *Body) readRest(p []byte) (int, error) {
	n, err := b.take(p)
	switch {
	case n > 0:
		return n, nil
	case err == io.EOF:
		b.complete(false)
		return 0, io.EOF
	}
	return 0, b.x.cut(err)
}

func (b *Body) readChunked(p []byte) (int, error) {
	total := 0
	for {
		for b.x.in.len() > 0 && total < len(p) && !b.coding.done() {
			data, used, err := b.coding.next(b.x.in.bytes(), len(p)-total)
			if err != nil {
				return total, b.x.badChunk(err)
			}
			total += copy(p[total:], data)
			b.x.in.r += used
		}
		if b.coding.done() {
			b.complete(b.x.in.len() > 0)
		}
		switch {
		case total > 0:
			return total, nil
		case b.coding.done():
			return 0, io.EOF
		}
		b.arm()
		if n, err := b.x.fill(); n == 0 {
			return 0, b.x.cut(err)
		}
		b.settle() // once per fill: it walks through the buffer
	}
}

// take gives bytes from the buffer, or else from the connection: straight into p
// if that is large enough.
func (b *Body) take(p []byte) (int, error) {
	in := &b.x.in
	if in.len() == 0 {
		if b.whole.Load() {
			return 0, io.EOF
		}
		b.arm()
		if len(p) >= inflowBytes/2 || b.framing == frameLength && int64(len(p)) == b.left {
			b.x.yield()
			return b.x.read(p)
		}
		if n, err := b.x.fill(); n == 0 {
			return 0, err
		}
	}
	n := copy(p, in.bytes())
	in.r += n
	return n, nil
}

// arm starts the clock of one read. While the request is still being sent the
// sender watches the time.
func (b *Body) arm() {
	if s := b.x.send; s == nil || s.over() {
		b.x.conn.armRead(b.x.t.responseTimeout)
	}
}

// Abort closes the connection unless the body has come to its end, so that a
// Read that is going on in another goroutine returns. It does not wait, and
// Close is still to be called.
func (b *Body) Abort() { b.x.drop() }

// Close ends the exchange: a connection that is not at the end of the body is
// closed, and the request's body is not read any more (see Request.StopBody for
// what Close waits for). It always returns nil and may be called again.
func (b *Body) Close() error {
	b.x.drop()
	if b.x.send != nil {
		b.x.send.halt()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.x.t.buffers.putIn(&b.x.in)
	}
	return nil
}
