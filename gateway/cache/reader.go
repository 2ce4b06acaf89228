package cache

import (
	"context"
	"io"
	"os"

	"headgate/gateway/wire"
)

// content is a body that can be sent, from where it is.
type content interface {
	// send gives a n bytes from off; n is negative: all that comes. It reports
	// whether a has taken all of them.
	send(a wire.Answer, off, n int64) bool
}

// reader reads a body that may still be coming. One goroutine uses it.
type reader struct {
	b   *body
	ctx context.Context // of the client; nil: it never ends

	off int64 // guarded by b.mu: what is before it is not needed
}

// reader returns one that begins at the beginning, nil when that is gone. It has to
// be closed.
func (b *body) reader(ctx context.Context) *reader {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base > b.inFile || b.inFile > 0 && b.file == nil { // dropped, or given to its entry
		return nil
	}
	r := &reader{b: b, ctx: ctx}
	b.readers[r] = struct{}{}
	return r
}

func (r *reader) close() {
	b := r.b
	b.mu.Lock()
	delete(b.readers, r)
	b.spaceLocked()
	b.unlock()
}

func (b *body) spaceLocked() {
	if b.space != nil {
		close(b.space)
		b.space = nil
	}
}

// piece is some bytes: in memory, or n of a file from at on.
type piece struct {
	p     []byte
	file  *os.File
	at, n int64
}

// send implements content: it gives what has come, and flushes before it waits for
// more.
func (r *reader) send(a wire.Answer, off, n int64) bool {
	for n != 0 {
		p, ok := r.next(a, off)
		if !ok {
			return false
		}
		if p.n == 0 {
			return n < 0 // the end
		}
		if n >= 0 && p.n > n {
			p.n = n
			p.p = p.p[:min(n, int64(len(p.p)))]
		}
		if !p.send(a) {
			return false
		}
		off += p.n
		if n > 0 {
			n -= p.n
		}
	}
	return true
}

// next returns what is there from off on: nothing at the end. ok is false when the
// body was cut there, or the client has gone.
func (r *reader) next(a wire.Answer, off int64) (p piece, ok bool) {
	b := r.b
	for flushed := false; ; {
		b.mu.Lock()
		r.off = off
		b.spaceLocked()
		if p := b.pieceLocked(off); p.n > 0 {
			b.mu.Unlock()
			return p, true
		}
		if b.over {
			defer b.mu.Unlock()
			return piece{}, b.whole
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		if !flushed {
			flushed = true
			if a.Flush() != nil {
				return piece{}, false
			}
			continue // more may have come
		}
		if !wait(changed, r.ctx) {
			return piece{}, false
		}
	}
}

func (b *body) pieceLocked(off int64) piece {
	switch {
	case off >= b.size:
		return piece{}
	case off < b.inFile:
		return piece{file: b.file, at: off, n: b.inFile - off}
	}
	p := b.buf[off-b.base:]
	return piece{p: p, n: int64(len(p))}
}

// wait waits for c, and reports whether it came before the client went.
func wait(c <-chan struct{}, ctx context.Context) bool {
	if ctx == nil {
		<-c
		return true
	}
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p piece) send(a wire.Answer) bool {
	if p.file == nil {
		_, err := a.Write(p.p)
		return err == nil
	}
	return sendFile(a, p.file, p.at, p.n)
}

// sendFile gives a a part of a file, without a copy if a can.
func sendFile(a wire.Answer, f *os.File, at, n int64) bool {
	if s, ok := a.(wire.FileSender); ok {
		sent, err := s.SendFile(f, at, n)
		return err == nil && sent == n
	}
	buf := make([]byte, min(n, 64<<10))
	for n > 0 {
		p := buf[:min(n, int64(len(buf)))]
		if read, err := f.ReadAt(p, at); err != nil && (err != io.EOF || read < len(p)) {
			return false
		}
		if _, err := a.Write(p); err != nil {
			return false
		}
		at += int64(len(p))
		n -= int64(len(p))
	}
	return true
}

// send implements content: the body is in memory.
func (e *entry) send(a wire.Answer, off, n int64) bool {
	if n < 0 {
		n = e.size - off
	}
	if n == 0 {
		return true
	}
	_, err := a.Write(e.data[off : off+n])
	return err == nil
}

// opened is the body of an entry on disk. It has to be closed.
type opened struct {
	f    *os.File
	size int64
}

// send implements content.
func (o *opened) send(a wire.Answer, off, n int64) bool {
	if n < 0 {
		n = o.size - off
	}
	return sendFile(a, o.f, off, n)
}
