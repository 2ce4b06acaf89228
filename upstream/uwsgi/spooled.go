package uwsgi

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// Spool is a body that has been taken in whole. It can be read any number of
// times, and by several readers at once. Close frees it.
type Spool struct {
	from *Spooler
	size int64

	mu     sync.RWMutex // guards the fields below; held for reading while bytes are copied out
	chunks []*chunk     // the body, all full but the last, or
	file   *os.File     // the body, in a file without a name
	closed bool
	lent   int       // pieces of chunks that are being written; they are freed after the last one
	first  [4]*chunk // backs chunks while it is short
}

// Len returns the size of the body in bytes.
func (b *Spool) Len() int64 { return b.size }

// InFile reports whether the body is kept in a file.
func (b *Spool) InFile() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.file != nil
}

// NewReader returns a reader that starts at the first byte and shares no
// position with others. After Close it fails with os.ErrClosed. It is an
// io.WriterTo as well, so that io.Copy borrows its buffer.
func (b *Spool) NewReader() io.Reader { return &spoolReader{b: b} }

// Rewind is NewReader in the shape of Request.Rewind. It never fails.
func (b *Spool) Rewind() (io.Reader, error) { return b.NewReader(), nil }

// Close frees the memory and the file. It waits for reads under way, and later
// ones fail; so it may be called while a reader is still in use. Closing again
// does nothing.
func (b *Spool) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	if b.lent == 0 {
		b.freeChunks()
	}
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

func (b *Spool) freeChunks() {
	b.from.Shared.give(int64(len(b.chunks)) * chunkBytes)
	for i, c := range b.chunks {
		b.from.chunks.Put(c)
		b.chunks[i] = nil
	}
	b.chunks = nil
}

// fill takes the body in. Nobody else knows the Spool yet.
func (b *Spool) fill(r io.Reader, size int64) error {
	c := b.from.get()
	defer func() { b.from.chunks.Put(c) }()
	limit, memory := b.from.max(), b.from.memory()
	for b.size != size {
		want := min(chunkBytes, limit+1-b.size)
		if size >= 0 {
			want = min(want, size-b.size)
		}
		n, err := readFull(r, c[:want])
		b.size += int64(n)
		switch {
		case err != nil && err != io.EOF:
			return &SpoolError{Op: SpoolRead, Err: err}
		case b.size > limit:
			return fmt.Errorf("%w: more than the %d bytes allowed", ErrBodyTooLarge, limit)
		case err == io.EOF && b.size < size:
			return &SpoolError{Op: SpoolRead, Err: fmt.Errorf("%w: %d of the %d bytes declared", io.ErrUnexpectedEOF, b.size, size)}
		case n == 0:
		case b.file != nil, max(size, b.size) > memory, !b.from.Shared.take(chunkBytes):
			if err := b.write(c[:n]); err != nil {
				return err
			}
		default:
			b.chunks = append(b.chunks, c)
			c = b.from.get()
		}
		if err == io.EOF {
			break
		}
	}
	return nil
}

// readFull fills p. Unlike io.ReadFull it calls the end io.EOF wherever it
// comes, and passes every other error on as it is.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p) && err == nil; {
		var m int
		m, err = r.Read(p[n:])
		if n += m; m > 0 {
			idle = 0
		} else if idle++; idle == 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// write appends p to the file. With the first call what was in memory moves
// there, so that a big body holds no memory while its worker is busy.
func (b *Spool) write(p []byte) error {
	if b.file == nil {
		f, err := TempFile(b.from.dir())
		if err != nil {
			return &SpoolError{Op: SpoolFile, Cure: "point TMPDIR at a directory that can be written", Err: err}
		}
		b.file = f
		for _, c := range b.chunks { // all are full: a part would have been the last
			if err := b.append(c[:]); err != nil {
				return err
			}
		}
		b.freeChunks()
	}
	return b.append(p)
}

func (b *Spool) append(p []byte) error {
	_, err := b.file.Write(p)
	if err == nil {
		return nil
	}
	e := &SpoolError{Op: SpoolWrite, Err: err}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		e.Cure = fmt.Sprintf("make room in %s or point TMPDIR at a bigger file system", b.from.dir())
	}
	return e
}

// readAt copies bytes of the body out.
func (b *Spool) readAt(p []byte, at int64) (int, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	switch {
	case b.closed:
		return 0, os.ErrClosed
	case at >= b.size:
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.size-at)]
	if b.file == nil {
		return copy(p, b.chunks[at/chunkBytes][at%chunkBytes:]), nil
	}
	n, err := b.file.ReadAt(p, at)
	if n > 0 || len(p) == 0 {
		return n, nil // an error comes back at the next offset
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the size is known: somebody cut the file
	}
	return 0, &SpoolError{Op: SpoolWrite, Err: err}
}

// lend returns what is in memory of the body at an offset, nothing if it is in a
// file. What is lent is to be given back, and stays good until then even if the
// Spool is closed.
func (b *Spool) lend(at int64) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, os.ErrClosed
	case b.file != nil || at >= b.size:
		return nil, nil
	}
	b.lent++
	p := b.chunks[at/chunkBytes][at%chunkBytes:]
	return p[:min(int64(len(p)), b.size-at)], nil
}

func (b *Spool) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lent--; b.lent == 0 && b.closed {
		b.freeChunks()
	}
}

// spoolReader reads a Spool from its start.
type spoolReader struct {
	b  *Spool
	at int64
}

// Read implements io.Reader.
func (r *spoolReader) Read(p []byte) (int, error) {
	n, err := r.b.readAt(p, r.at)
	r.at += int64(n)
	return n, err
}

// WriteTo implements io.WriterTo. The bytes are copied to a buffer first: a
// write may take long, and Close must not wait for it.
func (r *spoolReader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	c := r.b.from.get()
	defer r.b.from.chunks.Put(c)
	for {
		n, err := r.Read(c[:])
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		m, err := w.Write(c[:n])
		total += int64(m)
		if err == nil && m < n {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// namedFile makes a file and takes its name away.
func namedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "headgate-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
