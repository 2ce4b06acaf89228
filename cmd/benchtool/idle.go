package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

func runIdle(args []string, t Terminal) error {
	set := flags("idle", "URL", t)
	proto := set.String("proto", "h1", "h1 or h2")
	n := set.Int("connections", 1000, "connections to hold")
	if err := set.Parse(args); err != nil {
		return err
	}
	target, err := targetOf(set.Arg(0), *proto)
	if err != nil {
		return err
	}
	if err := raiseFiles(*n); err != nil {
		return err
	}
	start, lost := time.Now(), make(chan error, *n)
	held := make([]net.Conn, *n)
	err = many(*n, func(i int) error {
		c, err := target.hold(i, lost)
		held[i] = c
		return err
	})
	if err != nil {
		return err
	}
	sum := Result{Requests: *n, Seconds: time.Since(start).Seconds()}
	if err := t.ready(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, t.In); err != nil {
		return err
	}
	for sum.Errors = len(lost); len(lost) > 0; {
		sum.Why = (<-lost).Error()
	}
	for _, c := range held {
		_ = c.Close() // nothing is under way
	}
	return t.print(sum)
}

// targetOf returns the target for h1 or h2.
func targetOf(url, proto string) (*target, error) {
	switch proto {
	case "h1":
		return newTarget(url, "http/1.1")
	case "h2":
		return newTarget(url, "h2")
	}
	return nil, fmt.Errorf("%q is not a protocol: write h1 or h2", proto)
}

// hold opens a connection with one request. A goroutine reads what else comes,
// and tells of its end.
func (t *target) hold(i int, lost chan<- error) (net.Conn, error) {
	c, err := t.dial(context.Background(), i)
	if err != nil {
		return nil, err
	}
	if t.config != nil && t.config.NextProtos[0] == "h2" {
		return c, t.hold2(c, lost)
	}
	c1 := newConn1(c, t)
	if err := c1.send(); err != nil {
		return c, err
	}
	if _, err := c1.receive(); err != nil {
		return c, err
	}
	c1.buf = nil
	go func() {
		_, err := c.Read(make([]byte, 1))
		lost <- errors.Join(errors.New("an idle connection was not left alone"), err)
	}()
	return c, nil
}

func (t *target) hold2(c net.Conn, lost chan<- error) error {
	c2, err := newConn2(c, t)
	if err != nil {
		return err
	}
	if err := c2.send(func(uint32) {}); err != nil {
		return err
	}
	if _, wrong, err := c2.receive(); wrong != nil || err != nil {
		return errors.Join(wrong, err)
	}
	go func() {
		_, wrong, err := c2.receive()
		lost <- errors.Join(wrong, err)
	}()
	return nil
}
