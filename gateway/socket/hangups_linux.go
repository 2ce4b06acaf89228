package socket

import (
	"context"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher is an epoll instance that waits in Go's own poller, so no thread does.
type watcher struct {
	epoll *os.File // nil until needed
	raw   syscall.RawConn
	ended bool
}

// Run tells until ctx ends, and returns nil then. It is called once. An error is
// that of a system that gives no epoll instance.
func (h *Hangups) Run(ctx context.Context) error {
	h.mu.Lock()
	err := h.openLocked()
	epoll, raw := h.epoll, h.raw
	h.mu.Unlock()
	if err != nil {
		return err
	}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		h.end(epoll)
		close(closed)
	})
	var events [64]unix.EpollEvent
	err = raw.Read(func(fd uintptr) bool { return h.collect(int(fd), events[:]) })
	if !stop() {
		<-closed
		return nil
	}
	h.end(epoll)
	return err
}

// openLocked makes the epoll instance if there is none yet.
func (h *Hangups) openLocked() error {
	if h.epoll != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return err
	}
	h.epoll, h.raw = f, raw
	return nil
}

func (h *Hangups) end(epoll *os.File) {
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	epoll.Close() // nothing to lose in it
}

// collect handles all events that are there. It reports false: there is always
// more to wait for.
func (h *Hangups) collect(epoll int, events []unix.EpollEvent) bool {
	for {
		n, err := unix.EpollWait(epoll, events, 0)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return false
		}
		for _, e := range events[:n] {
			if c := h.find(uint32(e.Fd), uint32(e.Pad)); c != nil {
				c.hangup()
			}
		}
		if n < len(events) {
			return false
		}
	}
}

// watch registers c for the rest of its life: to close its descriptor ends it. An
// event is found there at once if the client has gone already.
func (h *Hangups) watch(c *Conn) {
	h.mu.Lock()
	ok := !h.ended && h.openLocked() == nil && h.enterLocked(c)
	raw, at := h.raw, c.place
	h.mu.Unlock()
	if !ok {
		return
	}
	e := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(at.index), Pad: int32(at.generation)}
	err := raw.Control(func(epoll uintptr) {
		err := c.raw.Control(func(fd uintptr) {
			if unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), &e) != nil {
				h.leave(c)
			}
		})
		if err != nil { // c was closed
			h.leave(c)
		}
	})
	if err != nil { // Run has ended
		h.leave(c)
	}
}
