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
func (t *Transport) refuses(ctx context.Context, size int) bool {
	var c *conn
	e := untilRoom(ctx, askTimeout, func() (e *Error) {
		c, e = t.dial(ctx)
		return e
	})
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

// ask finds out the dialect without running anything. The error is that of a
// member that cannot be reached.
func (t *Transport) ask(ctx context.Context) (Dialect, *Error) {
	limit := min(askTimeout, t.responseTimeoutOr(askTimeout))
	switch a, e := t.ping(ctx, limit); {
	case e != nil:
		return DialectAuto, e
	default:
		return a.dialect(), nil
	}
}

// echo is the beginning of an answer to a ping, and the error that ended it.
type echo struct {
	b   [len("HTTP/1.1 5")]byte
	n   int
	err error
}

// ping sends a ping (modifier 100): uWSGI answers it with a packet, or closes if
// it has no plugin for it, and gunicorn says in HTTP that it does not know the
// modifier. No app runs. The *Error is that of a member that cannot be reached.
func (t *Transport) ping(ctx context.Context, limit time.Duration) (a echo, e *Error) {
	c, e := t.dial(ctx)
	if e != nil {
		return a, e
	}
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	defer c.Close()
	c.arm(limit)
	if _, a.err = c.Write(AppendHeader(nil, modifierPing, 0, 0)); a.err == nil {
		a.n, a.err = io.ReadFull(c, a.b[:])
	}
	return a, nil
}

// answered: the ping plugin did.
func (a *echo) answered() bool { return a.n >= HeaderBytes && a.b[0] == modifierPing }

// dialect is that of a server which answers so.
func (a *echo) dialect() Dialect {
	switch {
	case string(a.b[:a.n]) == "HTTP/1.1 5":
		return DialectGunicorn
	case a.answered(), a.n == 0 && a.err == io.EOF:
		return DialectUWSGI
	}
	return DialectAuto
}
