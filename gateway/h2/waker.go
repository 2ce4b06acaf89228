package h2

import "time"

// waker lets one goroutine wait for a signal, with a timer that is made once.
type waker struct {
	c     chan struct{}
	timer *time.Timer
}

func (w *waker) init() { w.c = make(chan struct{}, 1) }

// signal ends the wait there is, or the next one.
func (w *waker) signal() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// wait reports whether there was a signal before d was over; 0 or less: for ever.
func (w *waker) wait(d time.Duration) bool {
	if d <= 0 {
		<-w.c
		return true
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	select {
	case <-w.c:
		w.timer.Stop()
		return true
	case <-w.timer.C:
		return false
	}
}

// drain takes away a signal that nobody waits for.
func (w *waker) drain() {
	select {
	case <-w.c:
	default:
	}
}
