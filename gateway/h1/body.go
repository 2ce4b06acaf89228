package h1

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
)

// body reads the body of a request. What is atomic may be looked at while it
// does; the rest belongs to the goroutine that reads.
type body struct {
	in    *input
	there bool // there is one

	touched atomic.Bool // it has been read from

	done    atomic.Bool  // it was read to its end
	stopped atomic.Bool  // the rest is not wanted
	failed  atomic.Bool  // it cannot be read on
	left    atomic.Int64 // of Content-Length; chunked if that is not known

	err    error // sticks
	chunks chunks
}

func (b *body) reset(in *input, length int64) {
	b.in, b.there = in, length != 0
	if !b.there {
		return
	}
	b.touched.Store(false)
	b.done.Store(false)
	b.stopped.Store(false)
	b.failed.Store(false)
	b.left.Store(length)
	b.err, b.chunks = nil, chunks{}
}

// unread reports whether it has not been read to its end.
func (b *body) unread() bool { return b.there && !b.done.Load() }

func (b *body) read(p []byte) (int, error) {
	switch {
	case !b.there || b.done.Load():
		return 0, io.EOF
	case b.err != nil:
		return 0, b.err
	case b.stopped.Load():
		return 0, os.ErrDeadlineExceeded
	case len(p) == 0:
		return 0, nil
	}
	b.touched.Store(true)
	n, err := b.readSome(p)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.done.Store(true)
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		if b.stopped.Load() {
			err = os.ErrDeadlineExceeded
		}
		return n, err // more may still come
	}
	b.err = err
	b.failed.Store(true)
	return n, err
}

// readSome returns io.EOF with the last byte or behind it.
func (b *body) readSome(p []byte) (int, error) {
	left := b.left.Load()
	if left == chunked {
		return b.chunks.read(b.in, p)
	}
	n, err := b.in.read(p[:min(int64(len(p)), left)])
	left -= int64(n)
	b.left.Store(left)
	if left == 0 {
		return n, io.EOF
	}
	return n, cut(err)
}

// skipAtHand takes a body of chunks that nobody has read out of the input, if the
// whole of it is there.
func (b *body) skipAtHand() {
	if b.left.Load() != chunked || b.touched.Load() {
		return
	}
	var scrap [512]byte
	ahead := input{src: nothing{}, buf: b.in.bytes(), end: b.in.len()}
	for k := (chunks{}); ; {
		switch _, err := k.read(&ahead, scrap[:]); err {
		case nil:
		case io.EOF:
			b.in.skip(ahead.start)
			b.done.Store(true)
			return
		default:
			return
		}
	}
}

// nothing is a connection from which nothing more comes.
type nothing struct{ net.Conn }

func (nothing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
