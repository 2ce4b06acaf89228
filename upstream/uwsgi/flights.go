package uwsgi

import (
	"sync"
	"time"
)

// flights are the exchanges whose requests a member has been given and has not
// answered: a list that goes through the exchanges, so that it costs no memory.
type flights struct {
	mu    sync.Mutex // guards the fields below, and next, prev, listed and known of exchanges
	first *exchange
	count int
}

// add takes in an exchange whose packet was written whole.
func (f *flights) add(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x.listed = true
	if x.next = f.first; x.next != nil {
		x.next.prev = x
	}
	f.first = x
	f.count++
}

// remove takes x out if it is in.
func (f *flights) remove(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !x.listed {
		return
	}
	x.listed = false
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		f.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
	f.count--
}

// know is for a request whose variables were read, from when on its body may be
// unread, and for a connection that was upgraded.
func (f *flights) know(x *exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x.known = true
}

// flight is what Load looks at without the lock.
type flight struct {
	conn *fileConn
	old  bool
}

// sort returns the requests of which the kernel is to be asked whether they were
// read, and the number of those that are known to be. Those that were sent before
// a moment are old.
func (f *flights) sort(before time.Time) (open []flight, known int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	open = make([]flight, 0, f.count)
	for x := f.first; x != nil; x = x.next {
		if file := x.conn.file; file != nil && !x.known {
			open = append(open, flight{file, x.began.Before(before)})
		} else {
			known++
		}
	}
	return open, known
}

// Load asks the kernel how many of the requests in flight the member's workers
// have read. It never blocks, and costs a system call for each.
//
// A worker reads a request when it begins with it, and until then its bytes are
// counted as sent and not received by the kernel of this host (SIOCOUTQ): they
// lie in the listen backlog, or wait in a connection for a thread of gunicorn.
// Those are unread; of them only requests count that were sent at least minAge
// ago, because a younger one may just be on its way to a worker that is free.
// All others that are known to be read are busy, and so are connections that
// were upgraded. Of a request with a body the variables count: the body is held
// back until they were read. A request that was given up by its client is not
// counted, although its worker may be at it for a while.
//
// ok is false when there is nothing to be known: no request is in flight, the
// transport does not Watch, TLS is spoken, the system is not Linux, or the
// member is not reached by a unix socket. By TCP the kernel of the other side
// acknowledges what it has received, for connections in the listen backlog too:
// SIOCOUTQ is 0 at once, over the loopback as well.
func (t *Transport) Load(minAge time.Duration) (busy, unread int, ok bool) {
	if !t.watch {
		return 0, 0, false
	}
	open, busy := t.flights.sort(time.Now().Add(-minAge))
	for _, f := range open {
		switch n, err := f.conn.unread(); {
		case err != nil: // it has ended meanwhile
		case n == 0:
			busy++
		case f.old:
			unread++
		}
	}
	return busy, unread, busy+unread > 0
}
