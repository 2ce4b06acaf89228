package h1

import (
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"headgate/gateway/wire"
)

// answer is what is known of the answer that is being written.
type answer struct {
	out  []byte // not sent yet
	hold int    // bytes that are held back at most

	minor     int  // of the request
	noBody    bool // to HEAD, with 204 and 304
	toHead    bool
	begun     bool // WriteHead was called
	sent      bool // the head is out
	chunks    bool
	length    int64 // as declared; -1
	wrote     int64
	keepAlive bool // the client of HTTP/1.0 asked for it
	closing   bool // the connection ends with this answer
	ours      bool // the client has not asked for that
	shared    bool // somebody else may write 100 Continue
	said      int  // where in out the field may stand that says so; 0 if it is there
	err       error

	parts   [3][]byte
	buffers net.Buffers
}

// tlsRecord is how much one record of TLS carries.
const tlsRecord = 16 << 10

var errNoHead = errors.New("h1: the body of an answer whose head was not written")

func (a *answer) begin(r *wire.Request, h *framing) {
	a.out = a.out[:0]
	a.minor, a.toHead, a.noBody = r.Minor, r.Method == http.MethodHead, r.Method == http.MethodHead
	a.begun, a.sent, a.chunks = false, false, false
	a.wrote, a.err, a.said = 0, nil, 0
	a.keepAlive = h.keepAlive
	a.ours = !h.close && (r.Minor > 0 || h.keepAlive) || r.Refusal != nil
	a.closing = !a.ours || r.Refusal != nil
}

func (s *stream) interim(status int, f wire.Fields) error {
	a := &s.answer
	switch {
	case a.minor == 0:
		return nil
	case a.begun || s.aborted.Load():
		return wire.ErrAborted
	case a.err != nil:
		return a.err
	}
	a.out = appendStatus(a.out, a.minor, status)
	a.out, _ = appendFields(a.out, f)
	a.out = append(a.out, "\r\n"...)
	return s.send(nil, nil)
}

// writeHead encodes the head; it goes out with the first bytes of the body.
func (s *stream) writeHead(status int, f wire.Fields, length int64) {
	a, c := &s.answer, s.c
	if a.begun {
		return
	}
	if status < 200 || status > 999 {
		panic("h1: the status of an answer is " + strconv.Itoa(status))
	}
	a.begun, a.length = true, length
	if status == http.StatusNoContent || status == http.StatusNotModified {
		a.noBody = true
	}
	out := appendStatus(a.out, a.minor, status)
	out, dated := appendFields(out, f)
	if !dated {
		out = append(append(append(out, "Date: "...), c.srv.dates.At(time.Now())...), "\r\n"...)
	}
	switch {
	case length >= 0 && status != http.StatusNoContent:
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, length, 10)
		out = append(out, "\r\n"...)
	case a.noBody:
	case a.minor > 0:
		a.chunks = true
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	default: // the end of the connection is that of the body
		a.closing = true
	}
	a.said = len(out)
	a.closing = a.closing || c.srv.draining.Load()
	if a.closing {
		out = append(out, closeLine...)
		a.said = 0
	} else if a.minor == 0 {
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	a.out = append(out, "\r\n"...)
}

const closeLine = "Connection: close\r\n"

// write holds p back if it is small, and sends it otherwise.
func (s *stream) write(p []byte) (int, error) {
	a := &s.answer
	switch {
	case a.err != nil:
		return 0, a.err
	case !a.begun || s.hijacked:
		return 0, errNoHead
	case a.noBody || len(p) == 0:
		return len(p), nil
	case a.length >= 0 && int64(len(p)) > a.length-a.wrote:
		return 0, wire.ErrTooLong
	}
	var tail []byte
	if a.chunks {
		a.out = strconv.AppendUint(a.out, uint64(len(p)), 16)
		a.out = append(a.out, "\r\n"...)
		tail = crlf
	}
	if len(a.out)+len(p)+len(tail) <= a.hold {
		a.out = append(append(a.out, p...), tail...)
		a.wrote += int64(len(p))
		return len(p), nil
	}
	if err := s.send(p, tail); err != nil {
		return 0, err
	}
	a.wrote += int64(len(p))
	return len(p), nil
}

// flush sends what is held back.
func (s *stream) flush() error {
	a := &s.answer
	switch {
	case a.err != nil:
		return a.err
	case !a.begun || s.hijacked:
		return errNoHead
	case len(a.out) == 0:
		return nil
	}
	return s.send(nil, nil)
}

// send sends what is held back, and p and tail behind it.
func (s *stream) send(p []byte, tail []byte) error {
	a := &s.answer
	if a.shared {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if a.begun && !a.sent {
		s.seal()
	}
	var err error
	switch {
	case len(p) == 0:
		_, err = s.c.c.Write(a.out)
		a.out = a.out[:0]
	case s.c.secure:
		err = s.sendRecords(p, tail)
	default:
		err = s.sendParts(p, tail)
	}
	if err != nil {
		a.err = err
		s.endLife()
	}
	return err
}

// seal is called when the head goes out: it says in it that the connection ends,
// if that has become known since.
func (s *stream) seal() {
	a := &s.answer
	a.sent = true
	unasked := a.shared && s.waits.Swap(false)
	if s.body.unread() && (unasked || s.body.stopped.Load() || s.body.failed.Load() || !s.drainable()) {
		a.closing = true
	}
	if a.closing && a.said > 0 {
		a.out = slices.Insert(a.out, a.said, []byte(closeLine)...)
		a.said = 0
	}
}

// drainable reports whether what is left of the body is not too much to be thrown
// away.
func (s *stream) drainable() bool {
	left := s.body.left.Load()
	return left != chunked && left <= drainBytes
}

// sendParts leaves p where it is.
func (s *stream) sendParts(p []byte, tail []byte) error {
	a := &s.answer
	a.parts = [...][]byte{a.out, p, tail}
	a.buffers = a.parts[:]
	_, err := s.c.sock.WriteBuffers(&a.buffers)
	a.out, a.parts = a.out[:0], [3][]byte{}
	return err
}

// sendRecords fills records of TLS, and holds back what makes no whole one.
func (s *stream) sendRecords(p []byte, tail []byte) error {
	a := &s.answer
	for len(a.out)+len(p)+len(tail) > tlsRecord {
		if n := len(p) - len(p)%tlsRecord; len(a.out) == 0 && n > 0 {
			if _, err := s.c.c.Write(p[:n]); err != nil {
				return err
			}
			p = p[n:]
			continue
		}
		n := min(len(p), max(tlsRecord-len(a.out), 0))
		a.out = append(a.out, p[:n]...)
		p = p[n:]
		_, err := s.c.c.Write(a.out)
		a.out = a.out[:0]
		if err != nil {
			return err
		}
	}
	a.out = append(append(a.out, p...), tail...)
	return nil
}

// finish sends the end of the answer. An error is that of an answer that is not
// whole.
func (s *stream) finish() error {
	a := &s.answer
	switch {
	case a.err != nil:
		return a.err
	case !a.begun:
		return errNoHead
	}
	if a.chunks && !a.noBody {
		a.out = append(a.out, "0\r\n\r\n"...)
	}
	if s.body.unread() {
		s.body.skipAtHand() // nobody reads any more
	}
	if len(a.out) > 0 {
		if err := s.send(nil, nil); err != nil {
			return err
		}
	}
	if !a.noBody && a.length >= 0 && a.wrote < a.length {
		return errShort
	}
	return nil
}

var errShort = errors.New("h1: less than the declared length of the answer")
