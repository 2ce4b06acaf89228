package cache

import (
	"context"
	"errors"
	"hash/crc32"
	"os"
	"sync"
)

// window is how much of a body that is not kept the app may be ahead of the slowest
// client.
const window = 64 << 10

var errNobody = errors.New("cache: nobody wants the answer any more")

// errSlow is why a fetch ends for which there is something else to give.
var errSlow = errors.New("cache: the app has not begun its answer, and what is kept may be given")

// body is a body that is coming: one goroutine writes it, several read it from its
// beginning. What is written never waits for a reader, as long as the body can be
// kept; from then on it is only handed through.
type body struct {
	s      *Store
	length int64 // that was declared, or -1
	limit  int64 // of what is kept
	large  int64 // from which size on it goes into dir
	dir    *directory

	// Of the writer alone.
	sum      uint32 // of what is in the file
	why      refusal
	diskHeld int64

	mu      sync.Mutex // guards the fields below
	buf     []byte     // what comes from base on
	base    int64
	file    *os.File
	inFile  int64 // bytes that are there
	size    int64
	held    int64 // bytes of memory, of those that are being fetched
	over    bool
	whole   bool
	writing bool // the writer is not done
	adopted bool // an entry has it
	readers map[*reader]struct{}
	changed chan struct{} // closed when there is more; nil: nobody waits
	space   chan struct{} // the same for the writer
}

func (s *Store) newBody(p *Policy, length int64) *body {
	b := s.bounds.Load()
	n := &body{s: s, length: length, large: b.large, dir: b.dir, limit: min(p.maxBody, b.memory/8)}
	n.readers, n.writing = make(map[*reader]struct{}, 1), true
	if n.dir != nil {
		n.limit = p.maxBody
	}
	return n
}

// write adds p. The error is that nobody reads what cannot be kept.
func (b *body) write(ctx context.Context, p []byte) error {
	if b.why == admitted {
		if b.why = b.keep(p); b.why == admitted {
			return nil
		}
		if b.why == refusedBusy || b.why == refusedSize || b.why == refusedDisk {
			b.s.refuse(b.why)
		}
	}
	return b.pass(ctx, p)
}

// keep adds p to what is kept, or says why it cannot.
func (b *body) keep(p []byte) refusal {
	size := b.size + int64(len(p))
	switch {
	case size > b.limit:
		return refusedSize
	case b.file == nil && b.dir != nil && max(size, b.length) >= b.large:
		if err := b.spill(); err != nil {
			b.s.diskFailed(b.dir, err)
			return refusedDisk
		}
	}
	if b.file != nil {
		return b.keepInFile(p)
	}
	return b.keepInMemory(p)
}

func (b *body) keepInMemory(p []byte) refusal {
	need := len(b.buf) + len(p)
	buf := b.buf
	if need > cap(buf) {
		room := max(need, 2*cap(buf), 2<<10)
		if b.length >= 0 {
			room = max(need, int(b.length))
		}
		if !b.s.reserve(int64(room - cap(buf))) {
			return refusedBusy
		}
		b.held += int64(room - cap(buf))
		buf = append(make([]byte, 0, room), buf...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf = append(buf, p...)
	b.size += int64(len(p))
	b.wakeLocked()
	return admitted
}

func (b *body) keepInFile(p []byte) refusal {
	if need := b.size + int64(len(p)); need > b.diskHeld {
		step := max(need, b.length, min(2*b.diskHeld, need+64<<20)) - b.diskHeld
		if !b.s.reserveDisk(step) {
			return refusedDisk
		}
		b.diskHeld += step
	}
	if _, err := b.file.WriteAt(p, b.size); err != nil {
		b.s.diskFailed(b.dir, err)
		return refusedDisk
	}
	b.sum = crc32.Update(b.sum, castagnoli(), p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += int64(len(p))
	b.inFile, b.base = b.size, b.size
	b.wakeLocked()
	return admitted
}

// spill moves what has come so far into a file.
func (b *body) spill() error {
	room := max(b.size, b.length)
	if !b.s.reserveDisk(room) {
		return errDiskFull
	}
	f, err := b.dir.create()
	if err == nil {
		if _, err = f.WriteAt(b.buf, 0); err != nil {
			b.dir.discard(f)
		}
	}
	if err != nil {
		b.s.diskFilling.Add(-room)
		return err
	}
	b.diskHeld = room
	b.sum = crc32.Checksum(b.buf, castagnoli())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.inFile, b.base, b.buf = f, b.size, b.size, nil
	b.releaseLocked()
	return nil
}

// pass hands p through: it waits for the slowest reader.
func (b *body) pass(ctx context.Context, p []byte) error {
	for {
		b.mu.Lock()
		b.trimLocked()
		if len(b.readers) == 0 {
			b.mu.Unlock()
			return errNobody
		}
		if len(b.buf) < window {
			b.buf = append(b.buf, p...)
			b.size += int64(len(p))
			b.wakeLocked()
			b.mu.Unlock()
			return nil
		}
		if b.space == nil {
			b.space = make(chan struct{})
		}
		space := b.space
		b.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// trimLocked lets go of what every reader has.
func (b *body) trimLocked() {
	at := b.size
	for r := range b.readers {
		at = min(at, r.off)
	}
	if at > b.base {
		b.buf = b.buf[at-b.base:]
		b.base = at
	}
	if len(b.buf) == 0 {
		b.buf = nil
		b.releaseLocked()
	}
}

func (b *body) wakeLocked() {
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}

func (b *body) releaseLocked() {
	b.s.filling.Add(-b.held)
	b.held = 0
}

// end says that all has come, or that no more comes.
func (b *body) end(whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over, b.whole = true, whole
	b.wakeLocked()
}

// adopt says that an entry has what was kept: the bytes, or the file that has its
// name by then. The writer calls it between end and done.
func (b *body) adopt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.adopted = true
	b.releaseLocked()
}

// done says that the writer needs the body no more.
func (b *body) done() {
	b.mu.Lock()
	b.writing = false
	b.unlock()
}

// unlock is the end of what may have been the last use: it gives back what nobody
// needs any more.
func (b *body) unlock() {
	if b.writing || len(b.readers) > 0 {
		b.mu.Unlock()
		return
	}
	b.releaseLocked()
	f, adopted := b.file, b.adopted
	b.file = nil
	b.mu.Unlock()
	switch {
	case f == nil:
	case adopted:
		f.Close() // the entry opens it by its name
	default:
		b.dir.discard(f)
		b.s.diskFilling.Add(-b.diskHeld)
	}
}
