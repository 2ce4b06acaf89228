package origin

import (
	"context"
	"net/http"
	"runtime"
	"time"
)

// link is a connection and what package net/http makes of it.
type link struct {
	conn   *conn
	cc     *http.ClientConn
	reused bool      // it has carried a request before; of HTTP/2: somebody else opened it
	idled  time.Time // since when it has been idle, of HTTP/1.1
	shared *sharedLink
}

// dialed is the key of the connection in the context of NewClientConn.
type dialed struct{}

// handOver gives package net/http a connection that exists already.
func handOver(ctx context.Context) *conn { return ctx.Value(dialed{}).(*conn) }

// open dials and makes a link of the connection. Of HTTP/2 it waits for the
// member's SETTINGS (RFC 9113, 3.4), so that nothing is sent to a stranger, and
// no more than the member allows.
func (t *Transport) open(ctx context.Context) (*link, *Error) {
	c, e := t.dial(ctx)
	if e != nil {
		return nil, e
	}
	cc, err := t.http.NewClientConn(context.WithValue(ctx, dialed{}, c), "http", memberHost)
	if err != nil { // HTTP/2: the preface could not be sent
		_ = c.Close()
		return nil, t.dialFailure(ctx, err)
	}
	l := &link{conn: c, cc: cc}
	if !t.http2 {
		return l, nil
	}
	if e := t.awaitSettings(ctx, l); e != nil {
		l.close()
		return nil, e
	}
	return l, nil
}

func (t *Transport) awaitSettings(ctx context.Context, l *link) *Error {
	e := &Error{Stage: StageDial, Addr: t.name, NeverRan: true}
	var over <-chan time.Time
	if t.connectTimeout > 0 {
		limit := time.NewTimer(t.connectTimeout)
		defer limit.Stop()
		over = limit.C
	}
	select {
	case <-l.conn.greeted:
	case <-ctx.Done():
		return canceled(e, ctx)
	case <-over:
		e.Kind, e.away = KindTimeout, true
		e.Cause = "the member did not answer to HTTP/2 within " + seconds(t.connectTimeout)
		e.Cure = "does it speak HTTP/2 by prior knowledge? else write protocol: http; " + cureUWSGI
		return e
	}
	begin := l.conn.greeting()
	if e.Cause, e.Cure = strange(begin, true); e.Cause != "" {
		e.Kind = KindBadAnswer
		return e
	}
	if begin == "" || l.dead() {
		e.Kind, e.away = KindUnavailable, true
		e.Cause, e.Cure = "the connection was closed at once", cureUWSGI
		return e
	}
	l.awaitStreams()
	return nil
}

// unsaid is how many streams package net/http takes to be allowed until the
// SETTINGS are in.
const unsaid = 100

// awaitStreams waits a moment until net/http has made use of SETTINGS that have
// arrived. It cannot be seen if they allow as many as unsaid.
func (l *link) awaitStreams() {
	for begun := time.Now(); time.Since(begun) < settleTime && l.cc.Available() == unsaid; {
		runtime.Gosched()
	}
}

func (l *link) close() { _ = l.cc.Close() }

// dead reports whether the connection is gone.
func (l *link) dead() bool { return l.cc.Err() != nil }
