package compress

import (
	"io"
	"net/http"
	"os"

	"headgate/gateway/wire"
)

// Writer is an Answer that is coded on its way to another. One goroutine at a time
// uses it, and nobody after Close or Cut. Its errors are those of the Answer behind
// it, and wire.ErrTooLong and io.ErrUnexpectedEOF for a body that is not as long as
// was declared.
//
// The head is passed on with the first bytes that are: an answer whose coded form is
// small has its length so.
type Writer struct {
	c *Compressor
	a wire.Answer
	r *wire.Request

	state state
	head  head
	name  string   // of the coding
	left  int64    // of the declared length; -1
	held  []byte   // of the body, while it is not known whether it is long enough
	enc   *encoder // while encoding
	buf   *buffer  // while encoding
	n     int      // bytes in buf
	sent  bool     // the head, while encoding
	err   error    // sticks, while encoding
}

// state is what becomes of the body.
type state int8

const (
	passing  state = iota // it is passed on as it is
	holding               // it is held until it is long enough
	encoding              // it is coded
	nothing               // there is none
)

var (
	_ wire.Answer     = (*Writer)(nil)
	_ wire.FileSender = (*Writer)(nil)
)

// WriteHead implements wire.Answer. f is the caller's again when it returns.
func (w *Writer) WriteHead(status int, f wire.Fields, length int64) {
	if !w.c.suits(&w.head, w.r, status, f, length) {
		w.a.WriteHead(status, f, length)
		return
	}
	w.head.vary()
	switch w.name = w.c.choose(w.r); {
	case w.name == "":
		w.pass(length)
	case w.r.Method == http.MethodHead:
		w.state = nothing
		w.head.encode(w.name)
		w.a.WriteHead(status, w.head.fields, -1)
	case length < 0:
		w.state = holding
	default:
		w.begin()
	}
}

// pass passes on the body as it is.
func (w *Writer) pass(length int64) {
	w.state = passing
	w.a.WriteHead(w.head.status, w.head.fields, length)
}

// begin begins to code the body. It is passed on as it is if there are too many that
// are coded.
func (w *Writer) begin() {
	if w.enc = w.c.encoders.take(kindOf(w.name, w.c.level)); w.enc == nil {
		w.pass(w.head.length)
		return
	}
	w.state, w.left = encoding, w.head.length
	w.buf = w.c.encoders.getBuffer()
	pad := 0
	if w.c.padding && !w.head.public && mixes(w.head.mediaType) {
		pad = randomPadding()
	}
	w.head.encode(w.name)
	w.err = w.enc.begin((*gatherer)(w), pad)
}

// Write implements wire.Answer.
func (w *Writer) Write(p []byte) (int, error) {
	switch w.state {
	case nothing:
		return len(p), nil
	case encoding:
		return w.encode(p)
	case holding:
		if int64(len(w.held)+len(p)) < w.c.min {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		if err := w.unhold(); err != nil {
			return 0, err
		}
		return w.Write(p)
	}
	return w.a.Write(p)
}

// unhold begins to code what is held.
func (w *Writer) unhold() error {
	w.begin()
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.Write(w.held)
	w.held = w.held[:0]
	return err
}

func (w *Writer) encode(p []byte) (int, error) {
	switch {
	case w.err != nil:
		return 0, w.err
	case w.left >= 0 && int64(len(p)) > w.left:
		return 0, wire.ErrTooLong
	}
	if _, err := w.enc.Write(p); err != nil {
		return 0, w.fail(err)
	}
	if w.left >= 0 {
		w.left -= int64(len(p))
	}
	return len(p), nil
}

// fail keeps the first error: that of the Answer behind, if it has one.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// Flush implements wire.Answer: the client can decode all that was written. A body
// that was not long enough yet is coded nevertheless, more is to come. One of a
// declared length is no stream that somebody reads piece by piece: it is coded as a
// whole, because each flush of a coding costs time and bytes.
func (w *Writer) Flush() error {
	if w.state == holding {
		if err := w.unhold(); err != nil {
			return err
		}
	}
	if w.state != encoding {
		return w.a.Flush()
	}
	if w.err != nil {
		return w.err
	}
	if w.left >= 0 {
		return nil
	}
	if err := w.enc.Flush(); err != nil {
		return w.fail(err)
	}
	if err := w.send(nil); err != nil {
		return err
	}
	return w.fail(w.a.Flush())
}

// SendFile implements wire.FileSender. What is coded, and what goes to an Answer that
// is no FileSender, is read and written.
func (w *Writer) SendFile(f *os.File, offset, n int64) (int64, error) {
	if w.state == nothing {
		return n, nil
	}
	if to, ok := w.a.(wire.FileSender); ok && w.state == passing {
		return to.SendFile(f, offset, n)
	}
	buf := w.c.encoders.getBuffer()
	defer w.c.encoders.buffers.Put(buf)
	for done := int64(0); done < n; {
		m, err := f.ReadAt(buf[:min(n-done, bufferSize)], offset+done)
		if m == 0 {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
		if _, err := w.Write(buf[:m]); err != nil {
			return done, err
		}
		done += int64(m)
	}
	return n, nil
}

// Close ends the coding when the answer is whole. After an error it is not, and must
// be cut off. w must not be used any more in either case.
func (w *Writer) Close() error {
	err := w.finish()
	w.release()
	return err
}

func (w *Writer) finish() error {
	switch w.state {
	case passing, nothing:
		return nil
	case holding:
		w.pass(int64(len(w.held)))
		if len(w.held) == 0 {
			return nil
		}
		_, err := w.a.Write(w.held)
		return err
	}
	if w.left > 0 {
		w.fail(io.ErrUnexpectedEOF)
	}
	if w.err != nil {
		w.sendHead(-1)
		return w.err
	}
	if err := w.enc.Close(); err != nil {
		return w.fail(err)
	}
	w.giveEncoder() // the client may take what is left slowly
	w.sendHead(int64(w.n))
	return w.send(nil)
}

// Cut gives back what w has in use of an answer that will not be whole. The head is
// passed on if it was not yet; the coding is not ended. w must not be used any more.
func (w *Writer) Cut() {
	switch w.state {
	case holding:
		w.pass(-1)
	case encoding:
		w.sendHead(-1)
	}
	w.release()
}

// sendHead passes the head on if it was not yet.
func (w *Writer) sendHead(length int64) {
	if !w.sent {
		w.sent = true
		w.a.WriteHead(w.head.status, w.head.fields, length)
	}
}

// send passes on what was gathered, and p.
func (w *Writer) send(p []byte) error {
	w.sendHead(-1)
	for _, part := range [...][]byte{w.buf[:w.n], p} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.a.Write(part); err != nil {
			return w.fail(err)
		}
	}
	w.n = 0
	return nil
}

// gatherer is where an encoder writes to: it gathers the small pieces.
type gatherer Writer

// Write implements io.Writer.
func (g *gatherer) Write(p []byte) (int, error) {
	w := (*Writer)(g)
	if w.err != nil {
		return 0, w.err
	}
	if w.n+len(p) > bufferSize {
		n := 0
		if w.n > 0 { // whole buffers
			n = copy(w.buf[w.n:], p)
			w.n += n
		}
		big := p[n:]
		rest := big[len(big)-len(big)%bufferSize:]
		if err := w.send(big[:len(big)-len(rest)]); err != nil {
			return 0, err
		}
		w.n = copy(w.buf[:], rest)
		return len(p), nil
	}
	w.n += copy(w.buf[w.n:], p)
	return len(p), nil
}

func (w *Writer) giveEncoder() {
	if w.enc != nil {
		w.c.encoders.give(w.enc)
		w.enc = nil
	}
}

// maxHeldKept is how much memory for what is held a Writer keeps for the next answer.
const maxHeldKept = 16 << 10

func (w *Writer) release() {
	c := w.c
	w.giveEncoder()
	if w.buf != nil {
		c.encoders.buffers.Put(w.buf)
	}
	held := w.held[:0]
	if cap(held) > maxHeldKept {
		held = nil
	}
	w.head.clear()
	*w = Writer{head: w.head, held: held}
	c.writers.Put(w)
}
