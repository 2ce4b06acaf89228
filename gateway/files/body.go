package files

import (
	"errors"
	"io"
	"os"
	"sync"

	"headgate/gateway/wire"
)

// body is where the bytes of an answer come from: memory, or a file.
type body struct {
	content []byte
	f       *os.File
	buffer  *[]byte // of f, from the pool; nil if the answer takes the file itself
	have    []byte  // part of buffer that has been read already
	at      int64   // where have begins
}

// begin reads the first bytes from offset, so that a file that cannot be read is found
// out before the head is sent.
func (b *body) begin(a wire.Answer, pool *sync.Pool, offset, n int64) error {
	if b.f == nil || n == 0 {
		return nil
	}
	if _, ok := a.(wire.FileSender); ok {
		return nil
	}
	b.buffer = pool.Get().(*[]byte)
	p := (*b.buffer)[:min(n, int64(len(*b.buffer)))]
	if _, err := b.f.ReadAt(p, offset); errors.Is(err, io.EOF) {
		return errChanging
	} else if err != nil {
		return err
	}
	b.have, b.at = p, offset
	return nil
}

// end gives back what b holds.
func (b *body) end(pool *sync.Pool) {
	if b.buffer != nil {
		pool.Put(b.buffer)
	}
	if b.f != nil {
		b.f.Close()
	}
	*b = body{}
}

// send writes n bytes from offset.
func (b *body) send(a wire.Answer, offset, n int64) error {
	if b.f == nil {
		_, err := a.Write(b.content[offset : offset+n])
		return err
	}
	if b.buffer == nil {
		sent, err := a.(wire.FileSender).SendFile(b.f, offset, n)
		if sent < n && (err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
			return ErrShort
		}
		return err
	}
	for n > 0 {
		p := b.have
		if b.at != offset || len(p) == 0 {
			p = (*b.buffer)[:min(n, int64(len(*b.buffer)))]
			if _, err := b.f.ReadAt(p, offset); err != nil {
				if errors.Is(err, io.EOF) {
					err = ErrShort
				}
				return err
			}
		}
		p = p[:min(n, int64(len(p)))]
		b.have = nil
		if _, err := a.Write(p); err != nil {
			return err
		}
		offset, n = offset+int64(len(p)), n-int64(len(p))
	}
	return nil
}
