package uwsgi

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// poller waits for answers. The runtime's poller would do it too, but behind an
// os.File for every connection, which costs more than the rest of an exchange.
// Here a connection is put into an epoll of our own, and only that one is known to
// the runtime. One of those who wait, the leader, waits for it there, and wakes the
// others: there is no goroutine for it. The zero value is ready.
type poller struct {
	mu      sync.Mutex // guards the fields below
	file    *os.File   // the epoll; nil while nobody has waited
	raw     syscall.RawConn
	look    func(fd uintptr) bool // collect
	fd      int
	waiters map[int32]*waiter // by descriptor
	first   *waiter           // all, by their deadlines; those without one are the last
	last    *waiter
	leader  *waiter
	nudged  bool // file has a deadline that is over, so that the leader looks
	timer   *time.Timer
	armed   bool
	over    bool // nobody waits any more soon: the epoll is closed with the last one

	spare  sync.Pool
	events [64]syscall.EpollEvent // the leader's
}

// waiter is one who waits. The poller's lock guards it.
type waiter struct {
	wake       chan struct{} // has room for one: there may be news
	deadline   time.Time     // zero: none
	fd         int32
	ready      bool // there is something to be read
	ended      bool // the time is over, or the wait was given up
	prev, next *waiter
}

func (w *waiter) done() bool { return w.ready || w.ended }

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// await blocks until there may be something to be read, and reports true; or until
// the time of reads is over or c is interrupted or closed. It is for a connection
// that has no file, and reports false at once if there is one.
func (c *fileConn) await(p *poller) bool {
	w, ok := c.enroll(p)
	if !ok {
		return false
	}
	ready := p.park(w)
	c.mu.Lock()
	c.waiter = nil
	c.mu.Unlock()
	select {
	case <-w.wake:
	default:
	}
	p.spare.Put(w)
	return ready
}

// enroll makes c one that is waited for.
func (c *fileConn) enroll(p *poller) (*waiter, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 || c.stopped {
		return nil, false
	}
	c.read = c.read.begin()
	w, ok := p.spare.Get().(*waiter)
	if !ok {
		w = &waiter{wake: make(chan struct{}, 1)}
	}
	w.fd, w.deadline, w.ready, w.ended = int32(c.fd), c.read.at, false, false
	if !p.add(w) {
		return nil, false
	}
	op := syscall.EPOLL_CTL_ADD
	if c.enrolled {
		op = syscall.EPOLL_CTL_MOD
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: w.fd}
	if epollControl(p.fd, op, c.fd, &event) != 0 {
		p.drop(w)
		return nil, false
	}
	c.enrolled, c.waiter, c.poller = true, w, p
	return w, true
}

// giveUpLocked ends the wait for c, if there is one.
func (c *fileConn) giveUpLocked() {
	if c.waiter != nil {
		c.poller.end(c.waiter)
	}
}

// add takes w in, before it can have news.
func (p *poller) add(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil && !p.openLocked() {
		return false
	}
	p.over = false
	p.waiters[w.fd] = w
	p.queueLocked(w)
	if !p.armed && !w.deadline.IsZero() {
		p.armLocked(time.Until(w.deadline))
	}
	return true
}

func (p *poller) openLocked() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return false
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil || file.SetReadDeadline(time.Time{}) != nil { // the runtime's poller does not take it
		_ = file.Close()
		return false
	}
	p.file, p.raw, p.look, p.fd = file, raw, p.collect, fd
	p.waiters = make(map[int32]*waiter)
	return true
}

// queueLocked puts w behind those whose deadlines are not later.
func (p *poller) queueLocked(w *waiter) {
	after := p.last
	for after != nil && !w.deadline.IsZero() && (after.deadline.IsZero() || after.deadline.After(w.deadline)) {
		after = after.prev
	}
	w.prev, w.next = after, p.first
	if after != nil {
		w.next = after.next
		after.next = w
	} else {
		p.first = w
	}
	if w.next != nil {
		w.next.prev = w
	} else {
		p.last = w
	}
}

// drop takes w out, and another one leads if nobody does.
func (p *poller) drop(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(w)
}

func (p *poller) dropLocked(w *waiter) {
	if p.waiters[w.fd] == w { // else it is another one's by now
		delete(p.waiters, w.fd)
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		p.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		p.last = w.prev
	}
	w.prev, w.next = nil, nil
	switch {
	case p.leader == nil && p.last != nil:
		p.last.signal() // the one that stays longest, most likely
	case p.last == nil && p.over:
		p.closeLocked()
	}
}

// park blocks until w has news, and reports whether there is something to be read.
func (p *poller) park(w *waiter) bool {
	p.mu.Lock()
	for !w.done() {
		if p.leader == nil {
			p.leader = w
			p.mu.Unlock()
			p.lead(w)
			p.mu.Lock()
			continue
		}
		p.mu.Unlock()
		<-w.wake // every wait ends: by its deadline, an interrupt, or a place as the leader
		p.mu.Lock()
	}
	p.dropLocked(w)
	ready := w.ready
	p.mu.Unlock()
	return ready
}

// lead waits for all until w itself has news.
func (p *poller) lead(w *waiter) {
	for {
		err := p.raw.Read(p.look)
		p.mu.Lock()
		if p.nudged {
			p.nudged = false
			_ = p.file.SetReadDeadline(time.Time{})
		} else if err != nil {
			w.ended = true // cannot be; the wait must not turn into a spin
		}
		if w.done() {
			p.leader = nil
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
	}
}

// collect hands out what the epoll has, without waiting, and reports whether the
// leader has news.
func (p *poller) collect(uintptr) (done bool) {
	for {
		n := epollWait(p.fd, p.events[:])
		p.mu.Lock()
		for i := range n {
			if w := p.waiters[p.events[i].Fd]; w != nil {
				w.ready = true
				if w != p.leader {
					w.signal()
				}
			}
		}
		done = p.leader.done()
		p.mu.Unlock()
		if n < len(p.events) {
			return done
		}
	}
}

// end ends the wait of w.
func (p *poller) end(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked(w)
}

func (p *poller) endLocked(w *waiter) {
	w.ended = true
	if w != p.leader {
		w.signal()
		return
	}
	p.nudged = true
	_ = p.file.SetReadDeadline(longAgo)
}

// armLocked sees to it that expire runs when the first deadline is over.
func (p *poller) armLocked(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire ends the waits whose time is over. The timer is not stopped when nobody
// waits: with much to do that would be done for every request.
func (p *poller) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	now := time.Now()
	for w := p.first; w != nil && !w.deadline.IsZero(); w = w.next {
		if left := w.deadline.Sub(now); left > 0 {
			p.armLocked(left)
			return
		}
		p.endLocked(w)
	}
}

// close gives up what is kept, at once or when nobody waits any more.
func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.last == nil {
		p.closeLocked()
	}
}

func (p *poller) closeLocked() {
	if p.file == nil {
		return
	}
	_ = p.file.Close()
	p.file, p.raw = nil, nil
	if p.timer != nil {
		p.timer.Stop()
		p.armed = false
	}
}
