package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// lines1 are HTTP/1.1 connections that take turns: the one that has been idle
// longest gets the next request.
type lines1 struct {
	schedule *schedule

	mu      sync.Mutex // guards the fields below
	idle    queue[*line1]
	waiting queue[int] // requests that were due when no connection was idle
	open    int
	all     []*line1
}

// A line1 is one of the connections, which one goroutine reads all the time.
type line1 struct {
	*conn1
	now atomic.Int64 // the request that it carries; none: the connection is idle
}

const none = -1

func openLines1(ctx context.Context, t *target, n int, s *schedule) (*lines1, error) {
	l := &lines1{schedule: s, open: n, all: make([]*line1, n)}
	err := many(n, func(i int) error {
		c, err := t.dial(ctx, i)
		if err != nil {
			return err
		}
		c1 := &line1{conn1: newConn1(c, t)}
		c1.now.Store(none)
		l.all[i] = c1
		return c1.warm()
	})
	if err != nil {
		return nil, err
	}
	for _, c := range l.all {
		l.idle.push(c)
		go l.read(c)
	}
	return l, nil
}

// warm asks once: what a connection costs at its beginning is no part of what is
// measured.
func (c *line1) warm() error {
	if err := c.send(); err != nil {
		return err
	}
	_, err := c.receive()
	return err
}

// fire sends request i, or leaves it to the next connection that becomes idle.
func (l *lines1) fire(i int) {
	l.mu.Lock()
	c, ok := l.idle.pop()
	if !ok {
		l.waiting.push(i)
	}
	l.mu.Unlock()
	if !ok {
		return
	}
	c.now.Store(int64(i))
	_ = c.send() // read tells of it
}

// read reads the answers of one connection until it ends.
func (l *lines1) read(c *line1) {
	for {
		if _, err := c.receive(); err != nil {
			l.lost(c, err)
			return
		}
		l.schedule.done(int(c.now.Load()))
		if l.free(c) {
			_ = c.send() // receive tells of it
		}
	}
}

// free gives the connection a request that waits, or makes it idle.
func (l *lines1) free(c *line1) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, more := l.waiting.pop()
	if !more {
		c.now.Store(none)
		l.idle.push(c)
		return false
	}
	c.now.Store(int64(i))
	return true
}

// lost gives a connection up, and its request. With the last connection go
// those that wait.
func (l *lines1) lost(c *line1, err error) {
	_ = c.Close() // it is broken
	if c.now.Load() != none {
		l.schedule.failed(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open--; l.open == 0; {
		if _, ok := l.waiting.pop(); !ok {
			return
		}
		l.schedule.failed(errors.New("no connection is left"))
	}
}

func (l *lines1) close() {
	for _, c := range l.all {
		_ = c.Close() // nothing is under way
	}
}

// A queue is first in, first out, and keeps its memory.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) push(v T) {
	if q.head > 0 && len(q.items) == cap(q.items) {
		q.items = q.items[:copy(q.items, q.items[q.head:])]
		q.head = 0
	}
	q.items = append(q.items, v)
}

func (q *queue[T]) pop() (v T, ok bool) {
	if q.head == len(q.items) {
		return v, false
	}
	v = q.items[q.head]
	q.head++
	return v, true
}
