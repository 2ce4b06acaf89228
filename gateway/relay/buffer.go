package relay

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// chunkSize is the unit of memory: two TLS records.
const chunkSize = 32 << 10

// Limits bound one buffer. The zero value is 1 MiB of memory and a file of 1 GiB.
type Limits struct {
	Memory int64 // bytes in memory; 0: 1 MiB; at least one chunk of 32 KiB is used
	File   int64 // bytes in the file; 0: 1 GiB; negative: no file
}

func (l Limits) withDefaults() Limits {
	if l.Memory == 0 {
		l.Memory = 1 << 20
	}
	if l.File == 0 {
		l.File = 1 << 30
	}
	return l
}

var errClosed = errors.New("relay: buffer is closed")

// Buffer is a bounded queue of bytes between one goroutine that fills it and one
// that takes from it. Its bytes are in memory, and behind those, in the file.
type Buffer struct {
	limits Limits
	room   *Room

	ready chan struct{} // capacity 1: there may be something to take
	space chan struct{} // capacity 1: there may be room to fill

	mu      sync.Mutex // guards the fields below
	chunks  []*chunk   // oldest first
	held    int64      // bytes of memory that chunks stand for
	file    *os.File   // nil until needed
	fileErr error      // why there is no file, or no more room in it
	from    int64      // the file's bytes before from have been taken
	to      int64      // and those before to are written
	end     error      // io.EOF or what ended Fill
	closed  bool

	taken   *chunk // owned by the taker: last returned by Next
	scratch *chunk // owned by the taker: what Next read from the file
}

// chunk is a piece of memory. The filler alone writes beyond w, the taker alone
// reads below it.
type chunk struct {
	r, w  int
	bytes [chunkSize]byte
}

// New returns an empty buffer in m.
func (m *Room) New(l Limits) *Buffer {
	return &Buffer{
		limits: l.withDefaults(), room: m,
		ready: make(chan struct{}, 1), space: make(chan struct{}, 1),
	}
}

// Fill reads src to its end, waiting for the taker only when every room is used
// up. It returns nil at io.EOF, the error of src, or the context's cause; the
// taker gets the same after all the bytes before it. Fill is called once.
func (b *Buffer) Fill(ctx context.Context, src io.Reader) error {
	err := b.fill(ctx, src)
	b.mu.Lock()
	b.end = err
	b.mu.Unlock()
	wake(b.ready)
	if err == io.EOF {
		return nil
	}
	return err
}

func (b *Buffer) fill(ctx context.Context, src io.Reader) error {
	var spill *chunk // what is read here goes into the file
	defer func() {
		if spill != nil {
			b.room.put(spill)
		}
	}()
	for {
		c, err := b.tail(ctx)
		if err != nil {
			return err
		}
		inMemory := c != nil
		if !inMemory {
			if spill == nil {
				spill = b.room.get()
			}
			c = spill
		}
		n, rerr := src.Read(c.bytes[c.w:])
		if n > 0 {
			if err := b.put(ctx, c, n, inMemory); err != nil {
				return err
			}
		}
		if rerr != nil {
			return rerr
		}
	}
}

// tail returns the chunk in memory to read into, or nil when the next bytes
// belong into the file. It waits when there is room in neither.
func (b *Buffer) tail(ctx context.Context) (*chunk, error) {
	for {
		b.mu.Lock()
		caughtUp := b.from == b.to && b.to > 0
		if caughtUp { // start the file again from its front; the taker does not read it now
			b.from, b.to = 0, 0
		}
		c, file := b.tailLocked()
		f, closed := b.file, b.closed
		b.mu.Unlock()
		if caughtUp && !closed {
			b.shrink(f)
		}
		switch {
		case closed:
			return nil, errClosed
		case c != nil:
			return c, nil
		case file:
			return nil, nil
		}
		if err := wait(ctx, b.space); err != nil {
			return nil, err
		}
	}
}

func (b *Buffer) tailLocked() (c *chunk, file bool) {
	if b.from == b.to { // nothing in the file: memory keeps the order
		if n := len(b.chunks); n > 0 && b.chunks[n-1].w < chunkSize {
			return b.chunks[n-1], false
		}
		// The first chunk is free of the budget, so that every answer moves.
		if len(b.chunks) == 0 || b.held+chunkSize <= b.limits.Memory && b.room.take(chunkSize) {
			if len(b.chunks) > 0 {
				b.held += chunkSize
			}
			c := b.room.get()
			b.chunks = append(b.chunks, c)
			return c, false
		}
	}
	return nil, b.fileErr == nil && b.to+chunkSize <= b.limits.File
}

// shrink gives the file's space back. Should that fail, the space is used again
// by the next bytes that go there, so the error is of no consequence.
func (b *Buffer) shrink(f *os.File) { _ = f.Truncate(0) }

// put makes the n bytes that were read into c visible to the taker.
func (b *Buffer) put(ctx context.Context, c *chunk, n int, inMemory bool) error {
	if inMemory {
		b.mu.Lock()
		c.w += n
		b.mu.Unlock()
		wake(b.ready)
		return nil
	}
	if err := b.spill(c.bytes[:n]); err == nil {
		wake(b.ready)
		return nil
	}
	return b.putLater(ctx, c.bytes[:n])
}

// spill appends p to the file. After a failure the file takes no more.
func (b *Buffer) spill(p []byte) error {
	b.mu.Lock()
	f, at := b.file, b.to
	b.mu.Unlock()
	var err error
	if f == nil {
		f, err = b.room.open()
	}
	if err == nil {
		_, err = f.WriteAt(p, at)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		if f != nil {
			f.Close() // made after Close; closing twice does no harm
		}
		return errClosed
	}
	if f != nil {
		b.file = f
	}
	if err != nil {
		b.fileErr = err
		return err
	}
	b.to += int64(len(p))
	return nil
}

// putLater keeps p, which found no place in the file, until memory has room.
func (b *Buffer) putLater(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		c, err := b.tail(ctx)
		if err != nil {
			return err
		}
		n := copy(c.bytes[c.w:], p)
		p = p[n:]
		if err := b.put(ctx, c, n, true); err != nil {
			return err
		}
	}
	return nil
}

// FileErr returns why the file could not be used, or nil.
func (b *Buffer) FileErr() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fileErr
}

// Empty reports that Next would wait.
func (b *Buffer) Empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end == nil && b.from == b.to && !b.memoryLocked()
}

func (b *Buffer) memoryLocked() bool {
	for _, c := range b.chunks[:min(len(b.chunks), 2)] { // the first may be taken, and the second new
		if c.r < c.w {
			return true
		}
	}
	return false
}

// Next returns the next bytes, at least one, and waits for them if there are
// none. They are valid until the next call of Next or Close. After the last
// bytes it returns io.EOF, or the error that ended Fill.
func (b *Buffer) Next(ctx context.Context) ([]byte, error) {
	for {
		b.mu.Lock()
		b.recycleLocked()
		p, from, n := b.nextLocked()
		f, end := b.file, b.end
		b.mu.Unlock()
		switch {
		case p != nil:
			return p, nil
		case n > 0:
			return b.readFile(f, from, n)
		case end != nil:
			return nil, end
		}
		if err := wait(ctx, b.ready); err != nil {
			return nil, err
		}
	}
}

// nextLocked takes bytes from memory, or tells which of the file come next.
func (b *Buffer) nextLocked() (p []byte, from int64, n int) {
	if len(b.chunks) > 0 {
		if c := b.chunks[0]; c.r < c.w {
			p = c.bytes[c.r:c.w]
			c.r = c.w
			b.taken = c
			return p, 0, 0
		}
	}
	return nil, b.from, int(min(b.to-b.from, chunkSize))
}

// recycleLocked gives back a chunk that is full and taken, and makes the filler
// go on if it waits.
func (b *Buffer) recycleLocked() {
	if c := b.taken; c != nil {
		b.taken = nil
		if c.r == chunkSize || (c.r == c.w && b.end != nil) {
			b.dropLocked()
		}
		wake(b.space)
	}
}

// dropLocked removes the oldest chunk.
func (b *Buffer) dropLocked() {
	c := b.chunks[0]
	b.chunks[0] = nil
	b.chunks = b.chunks[1:]
	if b.held > 0 {
		b.held -= chunkSize
		b.room.give(chunkSize)
	}
	b.room.put(c)
}

func (b *Buffer) readFile(f *os.File, from int64, n int) ([]byte, error) {
	if b.scratch == nil {
		b.scratch = b.room.get()
	}
	p := b.scratch.bytes[:n]
	if _, err := f.ReadAt(p, from); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from += int64(n)
	wake(b.space)
	return p, nil
}

// Close gives back memory and file and makes Fill, if it still waits, fail. The
// taker calls it; a taker that leaves early ends Fill's source first: memory that Fill
// may still write into is not recycled.
func (b *Buffer) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	wake(b.space)
	if b.end != nil { // Fill is over: nobody writes into the chunks
		for len(b.chunks) > 0 {
			b.dropLocked()
		}
	}
	if b.scratch != nil {
		b.room.put(b.scratch)
	}
	b.room.give(b.held)
	b.chunks, b.held, b.scratch, b.taken = nil, 0, nil, nil
	if b.file != nil {
		b.file.Close()
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func wait(ctx context.Context, c chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
