package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	window2  = 1 << 30 // that an answer, and a connection, may send unasked
	refill2  = 1 << 28 // bytes after which the connection's window is opened again
	stream2s = 100     // requests at once that we never exceed
)

// A conn2 is an HTTP/2 connection. One goroutine calls receive, any may call send.
type conn2 struct {
	net.Conn
	head    []byte // the request, as HPACK without the dynamic table: the same each time
	framer  *http2.Framer
	unread  int          // bytes of the connection's window that were used
	streams atomic.Int32 // requests at once that the other side allows

	mu   sync.Mutex // guards the fields below, and writing
	out  *bufio.Writer
	next uint32 // id of the next stream
}

// newConn2 begins a connection and reads the settings of the other side.
func newConn2(c net.Conn, t *target) (*conn2, error) {
	out := bufio.NewWriter(c)
	c2 := &conn2{Conn: c, head: head2(t), framer: http2.NewFramer(out, bufio.NewReaderSize(c, conn1Buffer)), out: out, next: 1}
	c2.streams.Store(stream2s)
	c2.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c2.framer.SetReuseFrames()
	if _, err := out.WriteString(http2.ClientPreface); err != nil {
		return nil, err
	}
	err := errors.Join(
		c2.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window2}),
		c2.framer.WriteWindowUpdate(0, window2),
		out.Flush(),
	)
	if err != nil {
		return nil, err
	}
	f, err := c2.framer.ReadFrame()
	if err != nil {
		return nil, err
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok {
		return nil, fmt.Errorf("the connection began with %v", f)
	}
	return c2, c2.settle(settings)
}

// head2 encodes a request. :authority is not indexed, so that a decoder's table
// stays as it is and the bytes stay true.
func head2(t *target) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: t.scheme},
		{Name: ":authority", Value: t.host, Sensitive: true},
		{Name: ":path", Value: t.path, Sensitive: t.path != "/"},
		{Name: "user-agent", Value: "benchtool", Sensitive: true},
		{Name: "accept", Value: "*/*", Sensitive: true},
	} {
		_ = e.WriteField(f) // into memory
	}
	return b.Bytes()
}

// send sends a request. before is told its stream while no answer can come yet.
func (c *conn2) send(before func(stream uint32)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next
	c.next += 2
	before(id)
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.head, EndStream: true, EndHeaders: true})
	return errors.Join(err, c.out.Flush())
}

// receive reads until a stream has ended, and returns it with what was wrong
// with it. Any other error ends the connection.
func (c *conn2) receive() (stream uint32, wrong, err error) {
	for {
		f, err := c.framer.ReadFrame()
		if err != nil {
			return 0, nil, err
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "200" {
				return f.StreamID, fmt.Errorf("answered %s", status), nil
			}
			if f.StreamEnded() {
				return f.StreamID, nil, nil
			}
		case *http2.DataFrame:
			if err := c.used(int(f.Length)); err != nil {
				return 0, nil, err
			}
			if f.StreamEnded() {
				return f.StreamID, nil, nil
			}
		case *http2.RSTStreamFrame:
			return f.StreamID, fmt.Errorf("reset with %v", f.ErrCode), nil
		default:
			if err := c.control(f); err != nil {
				return 0, nil, err
			}
		}
	}
}

// control takes in a frame that is no part of an answer.
func (c *conn2) control(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.settle(f)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.write(func() error { return c.framer.WritePing(true, f.Data) })
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the other side goes away with %v", f.ErrCode)
	}
	return nil
}

func (c *conn2) settle(f *http2.SettingsFrame) error {
	if n, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
		c.streams.Store(int32(min(stream2s, n)))
	}
	return c.write(c.framer.WriteSettingsAck)
}

// used opens the connection's window again.
func (c *conn2) used(n int) error {
	c.unread += n
	if c.unread < refill2 {
		return nil
	}
	n, c.unread = c.unread, 0
	return c.write(func() error { return c.framer.WriteWindowUpdate(0, uint32(n)) })
}

func (c *conn2) write(frame func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(frame(), c.out.Flush())
}
