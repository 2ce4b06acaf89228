package h3

import (
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"headgate/gateway/wire"
)

// answer is what of the answer has been written.
type answer struct {
	mu      sync.Mutex // guards the fields below: the first Read may write too
	out     []byte     // what is not sent yet: the head, and the beginning of the body
	frame   int        // where the length is of a DATA frame that grows; 0: none does
	begun   bool       // the head is in out, or sent
	empty   bool       // it has no body
	length  int64      // what is declared; -1: nothing is
	written int64      // of the body
	err     error      // with what every later call ends
	wait    patience
}

// maxHeld is how much of an answer is held back until more of it comes, it is
// flushed, or it is whole.
const maxHeld = 4 << 10

// maxFrameHeader is the longest type and length of a DATA frame.
const maxFrameHeader = 9

func (a *answer) forget() {
	out := a.out[:0]
	if cap(out) > maxKept {
		out = nil
	}
	a.out, a.frame, a.begun, a.empty, a.length, a.written, a.err, a.wait = out, 0, false, false, 0, 0, nil, patience{}
}

// Interim implements wire.Stream.
func (x *stream) Interim(status int, f wire.Fields) error {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun || status < 100 || status > 199 || status == http.StatusSwitchingProtocols { // 101: RFC 9114, 4.5
		return nil
	}
	var at int
	a.out, at = beginBlock(a.out)
	a.out, _ = appendFields(appendStatus(a.out, status), f)
	a.out = endBlock(a.out, at)
	return x.sendHeld()
}

// WriteHead implements wire.Stream.
func (x *stream) WriteHead(status int, f wire.Fields, length int64) {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		x.writeHead(status, f, length)
	}
}

func (x *stream) writeHead(status int, f wire.Fields, length int64) {
	a := &x.answer
	a.begun = true
	a.empty = x.req.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	a.length = max(length, -1)
	if cap(a.out) == 0 {
		a.out = make([]byte, 0, maxHeld)
	}
	out, at := beginBlock(a.out)
	out, dated := appendFields(appendStatus(out, status), f)
	if !dated {
		out = appendDate(out, x.c.s.dates.At(time.Now()))
	}
	if length >= 0 && status != http.StatusNoContent {
		out = appendLength(out, length)
	}
	a.out = endBlock(out, at)
	if length > 0 && !a.empty { // one frame for all of it
		a.out = appendVarint(append(a.out, frameData), uint64(length))
	}
}

// Write implements wire.Stream.
func (x *stream) Write(p []byte) (int, error) {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.begun {
		x.writeHead(http.StatusOK, nil, -1)
	}
	switch {
	case x.aborted.Load():
		return 0, wire.ErrAborted
	case a.err != nil:
		return 0, a.err
	case a.length >= 0 && int64(len(p)) > a.length-a.written:
		return 0, wire.ErrTooLong
	case a.empty || len(p) == 0:
		a.written += int64(len(p))
		return len(p), nil
	}
	fits := len(a.out)+maxFrameHeader+len(p) <= maxHeld
	if a.length < 0 {
		a.grow(len(p), fits)
	}
	var n int
	var err error
	if fits {
		a.out = append(a.out, p...)
		n = len(p)
	} else if err = x.sendHeld(); err == nil {
		n, err = x.send(p)
	}
	a.written += int64(n)
	return n, err
}

// grow begins a DATA frame for n bytes, or adds them to the one that grows.
func (a *answer) grow(n int, fits bool) {
	if !fits {
		a.endFrame()
		a.out = appendVarint(append(a.out, frameData), uint64(n))
	} else if a.frame == 0 {
		a.frame = len(a.out) + 1
		a.out = append(a.out, frameData, 0, 0)
	}
}

// endFrame writes the length of the frame that grows.
func (a *answer) endFrame() {
	if a.frame > 0 {
		putShort(a.out[a.frame:], len(a.out)-a.frame-2)
		a.frame = 0
	}
}

// Flush implements wire.Stream.
func (x *stream) Flush() error {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	if x.aborted.Load() {
		return wire.ErrAborted
	}
	return x.sendHeld()
}

// sendHeld sends what is held back.
func (x *stream) sendHeld() error {
	a := &x.answer
	if a.err != nil {
		return a.err
	}
	a.endFrame()
	if len(a.out) == 0 {
		return nil
	}
	_, err := x.send(a.out)
	a.out = a.out[:0]
	return err
}

// send sends p as it is. It waits as long as the client takes something.
func (x *stream) send(p []byte) (sent int, err error) {
	for {
		x.answer.wait.writeBefore(x.q)
		n, err := x.q.Write(p[sent:])
		if sent += n; err == nil {
			return sent, nil
		}
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, x.sendFailure(err)
		}
	}
}

// sendFailure keeps why nothing more can be sent.
func (x *stream) sendFailure(err error) error {
	if x.aborted.Load() {
		err = wire.ErrAborted
	}
	x.answer.err = streamError(err)
	return x.answer.err
}

// SetWriteTimeout implements wire.Stream.
func (x *stream) SetWriteTimeout(d time.Duration) {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wait.timeout = max(d, 0)
}

var errNotWhole = errors.New("h3: the answer is not whole")

// whole returns why the stream cannot end in order, after the handler.
func (x *stream) whole() error {
	a := &x.answer
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case x.aborted.Load():
		return wire.ErrAborted
	case a.err != nil:
		return a.err
	case !a.begun || a.length > a.written && !a.empty:
		return errNotWhole
	}
	a.endFrame()
	return nil
}

// finish sends what is held back of a whole answer, and its end. It does not
// wait: an answer for which the client has no room gets a goroutine of its own.
// What comes before the end is sent by Write, which keeps no more than a packet
// for a client that takes nothing.
func (x *stream) finish() {
	a := &x.answer
	if len(a.out) > 0 {
		switch err := x.q.TryWriteAll(a.out); {
		case errors.Is(err, quic.ErrWouldBlock):
			go x.finishSlowly()
			return
		case err != nil:
			x.giveUp(err)
			return
		}
	}
	x.close()
}

func (x *stream) finishSlowly() {
	if _, err := x.send(x.answer.out); err != nil {
		x.giveUp(err)
		return
	}
	x.close()
}

// close ends a stream on which all was said.
func (x *stream) close() {
	if !x.body.whole.Load() {
		x.q.CancelRead(quic.StreamErrorCode(codeNoError)) // RFC 9114, 4.1
	}
	if err := x.q.Close(); err != nil { // the client does not want it any more
		x.giveUp(err)
		return
	}
	x.release()
}
