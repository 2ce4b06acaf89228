package origin

import (
	"runtime"
	"sync"
	"time"
)

// Limits of idle connections.
const (
	idleTime = 1500 * time.Millisecond // gunicorn closes after 2 s, uvicorn after 5 s
	briefly  = 100 * time.Millisecond  // so soon nobody closes, unless it shuts down
	idleMax  = 256

	settleTime = time.Millisecond
)

// idleLinks keeps connections of HTTP/1.1 for later requests.
type idleLinks struct {
	mu    sync.Mutex // guards the fields below
	links []*link    // the one used last is the last
	timer *time.Timer
}

// put keeps l, or closes it when there are enough.
func (i *idleLinks) put(l *link) {
	l.idled = time.Now()
	if !i.keep(l) {
		l.close()
	}
}

func (i *idleLinks) keep(l *link) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.links) >= idleMax {
		return false
	}
	i.links = append(i.links, l)
	if i.timer == nil {
		i.timer = time.AfterFunc(idleTime, i.sweep)
	}
	return true
}

// take returns the connection used last, or nil. It has been idle for less than
// limit, is open, and nothing unread lies in it.
func (i *idleLinks) take(limit time.Duration) *link {
	for {
		l := i.pop(limit)
		if l == nil {
			return nil
		}
		l.settle()
		switch {
		case l.conn.idle() && l.cc.Available() == 1:
			l.reused = true
			return l
		case !l.conn.parked.Load() && !l.dead() && i.keep(l): // this machine is busy: the next one may have it
			return nil
		}
		l.close()
	}
}

// settle waits a moment until net/http's reader is back at the connection, or
// has closed it.
func (l *link) settle() {
	for begun := time.Now(); time.Since(begun) < settleTime && !l.conn.parked.Load() && !l.dead(); {
		runtime.Gosched()
	}
}

func (i *idleLinks) pop(limit time.Duration) *link {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.links)
	if n == 0 || time.Since(i.links[n-1].idled) >= limit {
		return nil
	}
	l := i.links[n-1]
	i.links[n-1] = nil
	i.links = i.links[:n-1]
	return l
}

// sweep closes what has been idle for too long.
func (i *idleLinks) sweep() {
	i.mu.Lock()
	old := 0
	for old < len(i.links) && time.Since(i.links[old].idled) >= idleTime {
		old++
	}
	over := append([]*link(nil), i.links[:old]...)
	rest := copy(i.links, i.links[old:])
	clear(i.links[rest:])
	i.links = i.links[:rest]
	i.timer = nil
	if rest > 0 {
		i.timer = time.AfterFunc(idleTime-time.Since(i.links[0].idled), i.sweep)
	}
	i.mu.Unlock()
	closeAll(over)
}

// clear closes all.
func (i *idleLinks) clear() {
	i.mu.Lock()
	over := i.links
	i.links = nil
	if i.timer != nil {
		i.timer.Stop()
		i.timer = nil
	}
	i.mu.Unlock()
	closeAll(over)
}

func closeAll(links []*link) {
	for _, l := range links {
		l.close()
	}
}
