package uwsgi

import (
	"sync"
	"time"
)

// Limits of idle connections to gunicorn, whose keep-alive is 2 s by default.
const (
	idleUse   = 1500 * time.Millisecond // never used after this
	idleClose = 3 * time.Second         // closed after this
	idleMax   = 64
)

// idleConns keeps the connections on which gunicorn waits for another request.
// They are left to gunicorn's own timeout, because it logs an error for each
// one that is closed from this side, and closed here only after that.
type idleConns struct {
	mu    sync.Mutex // guards the fields below
	conns []*conn    // the one used last is the last
	timer *time.Timer
}

// put keeps c, or closes it when there are enough.
func (i *idleConns) put(c *conn) {
	c.idled = time.Now()
	if !i.keep(c) {
		_ = c.Close()
	}
}

func (i *idleConns) keep(c *conn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.conns) >= idleMax {
		return false
	}
	i.conns = append(i.conns, c)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleClose, i.sweep)
	}
	return true
}

// take returns the connection used last, or nil. It is fresh enough, open, and
// nothing unread lies in it.
func (i *idleConns) take() *conn {
	for {
		c := i.pop()
		if c == nil {
			return nil
		}
		if c.quiet() {
			c.reused = true
			return c
		}
		_ = c.Close()
	}
}

// pop takes the last one off. If that is too old, all are, and they stay for sweep.
func (i *idleConns) pop() *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.conns)
	if n == 0 || time.Since(i.conns[n-1].idled) >= idleUse {
		return nil
	}
	c := i.conns[n-1]
	i.conns[n-1] = nil
	i.conns = i.conns[:n-1]
	return c
}

func (i *idleConns) full() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.conns) >= idleMax
}

// sweep closes what the server has had its time to close.
func (i *idleConns) sweep() {
	i.mu.Lock()
	old := 0
	for old < len(i.conns) && time.Since(i.conns[old].idled) >= idleClose {
		old++
	}
	dead := append([]*conn(nil), i.conns[:old]...)
	i.conns = append(i.conns[:0], i.conns[old:]...)
	i.timer = nil
	if len(i.conns) > 0 {
		i.timer = time.AfterFunc(idleClose-time.Since(i.conns[0].idled), i.sweep)
	}
	i.mu.Unlock()
	closeAll(dead)
}

// clear closes all.
func (i *idleConns) clear() {
	i.mu.Lock()
	dead := i.conns
	i.conns = nil
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	i.mu.Unlock()
	closeAll(dead)
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// mayReuse reports whether req may go on a used connection. When that turns out
// to be closed nobody knows whether the request was read: one that must not run
// twice, or cannot be sent twice, gets a fresh connection.
func mayReuse(req *Request) bool {
	return Idempotent(req.Method) && (req.Body == nil || req.Rewind != nil)
}

// stale reports whether a request that failed on a used connection is to be sent
// once more on a fresh one: the server closed it, most likely, while the request
// was on its way.
func (x *exchange) stale() bool { return x.conn.reused && (x.refused || x.ended) }
