package uwsgi

import (
	"context"
	"io"
	"strings"
	"time"
)

// refuses asks the member about a block size without running anything: with a
// ping (modifier 100) of that size. What is too big is reset, and everything
// else is answered or closed after it was read.
func (t *Transport) refuses(ctx context.Context, s *scratch, size int) bool {
	c, e := t.dial(ctx, s)
	if e != nil {
		return false
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	defer c.Close()
	c.arm(min(askTimeout, t.responseTimeoutOr(askTimeout)))
	packet := AppendHeader(make([]byte, 0, HeaderBytes+size), modifierPing, size, 0)
	packet = AppendVar(packet, "X", strings.Repeat("x", size-len("X")-4)) // two lengths of 2 bytes
	_, err := c.Write(packet)
	if err == nil {
		var answer [64]byte
		_, err = c.Read(answer[:])
	}
	return isReset(err)
}

const (
	modifierPing = 100
	askTimeout   = 2 * time.Second
)

// ask finds out the dialect without running anything: uWSGI answers a ping with
// a packet or closes, gunicorn with its page for an error, in HTTP. The error is
// that of a member that cannot be reached.
func (t *Transport) ask(ctx context.Context, s *scratch) (Dialect, *Error) {
	c, e := t.dial(ctx, s)
	if e != nil {
		return DialectAuto, e
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	defer c.Close()
	c.arm(min(askTimeout, t.responseTimeoutOr(askTimeout)))
	if _, err := c.Write(AppendHeader(nil, modifierPing, 0, 0)); err != nil {
		return DialectAuto, nil
	}
	var answer [len("HTTP/1.1 5")]byte
	n, err := io.ReadFull(c, answer[:])
	switch {
	case string(answer[:n]) == "HTTP/1.1 5":
		return DialectGunicorn, nil
	case n >= HeaderBytes && answer[0] == modifierPing, n == 0 && err == io.EOF:
		return DialectUWSGI, nil
	}
	return DialectAuto, nil
}
