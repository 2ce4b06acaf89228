package h3

import (
	"bufio"
	"io"

	"github.com/quic-go/quic-go"
)

// What a client may say at length on its control stream.
const (
	maxSettings = 4 << 10
	maxPriority = 1 << 10
)

// readControl reads the client's control stream (RFC 9114, 6.2.1) until it fails.
// A *connError is for the client.
func (c *conn) readControl(r *bufio.Reader) error {
	kind, length, err := getFrame(r)
	switch {
	case err != nil:
		return err
	case kind != frameSettings:
		return &connError{codeMissingSettings, "the control stream does not begin with settings"}
	}
	if err := readSettings(r, length); err != nil {
		return err
	}
	limits := pushLimits{goAway: 1<<62 - 1}
	for {
		kind, length, err := getFrame(r)
		if err != nil {
			return err
		}
		if err := c.controlFrame(r, kind, length, &limits); err != nil {
			return err
		}
	}
}

// pushLimits are the last words of a client about pushes, which may change only
// one way (RFC 9114, 5.2 and 7.2.7).
type pushLimits struct{ goAway, maxPush uint64 }

func (c *conn) controlFrame(r *bufio.Reader, kind, length uint64, l *pushLimits) error {
	switch kind {
	case frameData, frameHeaders, frameSettings, framePushPromise:
		return &connError{codeFrameUnexpected, "a frame that must not be on the control stream"}
	case frameGoAway:
		id, err := readID(r, length)
		if err == nil && id > l.goAway {
			err = &connError{codeID, "a GOAWAY takes back another"}
		}
		l.goAway = id
		return err
	case frameMaxPushID:
		id, err := readID(r, length)
		if err == nil && id < l.maxPush {
			err = &connError{codeID, "a MAX_PUSH_ID takes back another"}
		}
		l.maxPush = id
		return err
	case frameCancelPush, framePriorityOfPush:
		return &connError{codeID, "nothing is pushed"}
	case framePriority:
		return c.readPriority(r, length)
	}
	if ofHTTP2(kind) {
		return &connError{codeFrameUnexpected, "a frame of HTTP/2"}
	}
	return discard(r, length)
}

func getFrame(r *bufio.Reader) (kind, length uint64, err error) {
	if kind, err = getVarint(r); err == nil {
		length, err = getVarint(r)
	}
	return kind, length, err
}

// readSettings checks the client's settings. None of them changes what we do.
func readSettings(r *bufio.Reader, length uint64) error {
	if length > maxSettings {
		return &connError{codeExcessiveLoad, "too many settings"}
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return ended(err)
	}
	seen := make(map[uint64]bool)
	for len(b) > 0 {
		id, n := readVarint(b)
		_, m := readVarint(b[n:])
		switch {
		case n == 0 || m == 0:
			return &connError{codeFrame, "the settings are cut"}
		case seen[id], 2 <= id && id <= 5: // the latter are of HTTP/2 (RFC 9114, 7.2.4.1)
			return &connError{codeSettings, "a setting that must not be there, or not twice"}
		}
		seen[id] = true
		b = b[n+m:]
	}
	return nil
}

// readID reads a frame that is one integer.
func readID(r *bufio.Reader, length uint64) (uint64, error) {
	if length > 8 {
		return 0, &connError{codeFrame, "a frame has the wrong length"}
	}
	var b [8]byte
	if _, err := io.ReadFull(r, b[:length]); err != nil {
		return 0, ended(err)
	}
	id, n := readVarint(b[:length])
	if n == 0 || uint64(n) != length {
		return 0, &connError{codeFrame, "a frame has the wrong length"}
	}
	return id, nil
}

// readPriority reads what a client wishes for a request (RFC 9218, 7.2).
func (c *conn) readPriority(r *bufio.Reader, length uint64) error {
	if length > maxPriority {
		return &connError{codeExcessiveLoad, "a priority is too long"}
	}
	b := make([]byte, length)
	if _, err := io.ReadFull(r, b); err != nil {
		return ended(err)
	}
	id, n := readVarint(b)
	switch {
	case n == 0:
		return &connError{codeFrame, "a priority is cut"}
	case id%4 != 0: // not a stream of a request
		return &connError{codeID, "a priority of what is no request"}
	}
	c.wishes.Store(true)
	c.prioritize(quic.StreamID(id), string(b[n:]))
	return nil
}

// prioritize sets the priority of a request that runs. A wish that comes before
// its request is forgotten.
func (c *conn) prioritize(id quic.StreamID, wish string) {
	var q *quic.Stream
	c.mu.Lock()
	for x := c.first; x != nil; x = x.after {
		if x.q.StreamID() == id {
			q = x.q
		}
	}
	c.mu.Unlock()
	if q != nil {
		q.SetPriority(parsePriority(wish))
	}
}

func discard(r *bufio.Reader, n uint64) error {
	for n > 0 {
		k := min(n, 1<<16)
		if _, err := r.Discard(int(k)); err != nil {
			return ended(err)
		}
		n -= k
	}
	return nil
}

func ended(err error) error {
	if err == io.ErrUnexpectedEOF {
		return io.EOF
	}
	return err
}
