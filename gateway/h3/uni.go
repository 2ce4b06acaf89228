package h3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// Types of streams that go one way (RFC 9114, 6.2 and RFC 9204, 4.2).
const (
	uniControl = 0
	uniPush    = 1
	uniEncoder = 2
	uniDecoder = 3
)

// Settings that are told or looked at (RFC 9114, 7.2.4.1).
const settingMaxFieldSection = 0x6

// uniStreams tells which streams the client has opened that must be there once.
type uniStreams [uniDecoder + 1]atomic.Bool

// open says our settings.
func (c *conn) open() error {
	q, err := c.q.OpenUniStream()
	if err != nil {
		return err
	}
	b := appendVarint([]byte{settingMaxFieldSection}, uint64(c.s.settings.Load().HeadBytes))
	c.control = q
	return q.TryWriteAll(append([]byte{uniControl, frameSettings, byte(len(b))}, b...))
}

// acceptUni takes the streams that go one way.
func (c *conn) acceptUni() {
	for {
		q, err := c.q.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		c.requests.Go(func() { c.uniStream(q) })
	}
}

func (c *conn) uniStream(q *quic.ReceiveStream) {
	r := bufio.NewReaderSize(q, 64)
	kind, err := getVarint(r)
	if err != nil {
		q.ReleaseStreamCredit()
		return // it was reset or closed before it said what it is, or the connection has ended
	}
	switch {
	case kind == uniPush:
		c.fail(&connError{codeStreamCreation, "the client pushes"})
		return
	case kind > uniDecoder: // RFC 9114, 6.2: not known
		q.CancelRead(quic.StreamErrorCode(codeStreamCreation))
		q.ReleaseStreamCredit()
		return
	case !c.uni[kind].CompareAndSwap(false, true):
		c.fail(&connError{codeStreamCreation, "a stream of the same type again"})
		return
	}
	if kind != uniControl {
		return // there is nothing to say about a table that has no room; flow control bounds what is said
	}
	err = c.readControl(r)
	var fault *connError
	var reset *quic.StreamError
	switch {
	case errors.As(err, &fault):
		c.fail(fault)
	case err == io.EOF, errors.As(err, &reset):
		c.fail(&connError{codeClosedCritical, "the control stream was closed"})
	}
}

// getVarint reads an integer of QUIC.
func getVarint(r io.ByteReader) (uint64, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	v := uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		v = v<<8 | uint64(b)
	}
	return v, nil
}
