package main

import (
	"cmp"
	"context"
	"sync"
)

// lines2 are HTTP/2 connections that take turns, with many requests at once.
type lines2 struct {
	schedule *schedule
	all      []*line2

	mu      sync.Mutex // guards the fields below, and those of the lines
	next    int
	waiting queue[int] // requests that were due when all connections were full
}

// A line2 is one of the connections.
type line2 struct {
	*conn2
	asked map[uint32]int // stream: request
	busy  int            // requests under way, those that are being sent included
	gone  bool
}

func openLines2(t *target, n int, s *schedule) (*lines2, error) {
	l := &lines2{schedule: s, all: make([]*line2, n)}
	err := many(n, func(i int) error {
		c, err := t.dial(context.Background(), i)
		if err != nil {
			return err
		}
		c2, err := newConn2(c, t)
		if err != nil {
			return err
		}
		l.all[i] = &line2{conn2: c2, asked: map[uint32]int{}}
		return l.all[i].warm()
	})
	if err != nil {
		return nil, err
	}
	for _, c := range l.all {
		go l.read(c)
	}
	return l, nil
}

// warm asks once, as that of line1 does.
func (c *line2) warm() error {
	if err := c.send(func(uint32) {}); err != nil {
		return err
	}
	_, wrong, err := c.receive()
	return cmp.Or(err, wrong)
}

// fire sends request i, or leaves it until an answer has come.
func (l *lines2) fire(i int) {
	l.mu.Lock()
	for range l.all {
		c := l.all[l.next]
		l.next = (l.next + 1) % len(l.all)
		if !c.gone && c.busy < int(c.streams.Load()) {
			c.busy++
			l.mu.Unlock()
			l.ask(c, i)
			return
		}
	}
	l.waiting.push(i)
	l.mu.Unlock()
}

func (l *lines2) ask(c *line2, i int) {
	err := c.send(func(stream uint32) {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.asked[stream] = i
	})
	if err != nil {
		_ = c.Close() // read tells of it
	}
}

// read reads the answers of one connection until it ends.
func (l *lines2) read(c *line2) {
	for {
		stream, wrong, err := c.receive()
		if err != nil {
			l.lost(c, err)
			return
		}
		l.answered(c, stream, wrong)
	}
}

func (l *lines2) answered(c *line2, stream uint32, wrong error) {
	l.mu.Lock()
	i, asked := c.asked[stream]
	delete(c.asked, stream)
	again, waits := 0, false
	if asked {
		if again, waits = l.waiting.pop(); !waits {
			c.busy--
		}
	}
	l.mu.Unlock()
	switch {
	case !asked: // the rest of one that was wrong already
	case wrong != nil:
		l.schedule.failed(wrong)
	default:
		l.schedule.done(i)
	}
	if waits {
		l.ask(c, again)
	}
}

// lost gives a connection up, and what was asked on it.
func (l *lines2) lost(c *line2, err error) {
	_ = c.Close() // it is broken
	l.mu.Lock()
	defer l.mu.Unlock()
	c.gone = true
	for range c.asked {
		l.schedule.failed(err)
	}
}

func (l *lines2) close() {
	for _, c := range l.all {
		_ = c.Close() // nothing is under way
	}
}
