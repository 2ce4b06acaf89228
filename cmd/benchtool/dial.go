package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"
)

const (
	perSource   = 20000 // connections from one address of 127.0.0.0/8, which has 28,000 ports
	dialTimeout = 10 * time.Second

	ipBindAddressNoPort = 24 // socket option: the port is chosen on connect, not on bind
)

// A target is where a URL points to.
type target struct {
	scheme string
	host   string // of the Host header
	addr   string // to dial
	path   string
	config *tls.Config // nil without TLS
}

// newTarget returns the target of a URL; with TLS it asks for this protocol,
// and for X25519.
func newTarget(raw, alpn string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	t := &target{scheme: u.Scheme, host: u.Host, addr: u.Host, path: u.RequestURI()}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Port() == "":
		return nil, fmt.Errorf("%q: write http://HOST:PORT/PATH or https://HOST:PORT/PATH", raw)
	case u.Scheme == "https":
		t.config = &tls.Config{
			ServerName:         u.Hostname(),
			InsecureSkipVerify: true, // the benchmark's own certificate
			NextProtos:         []string{alpn},
			MinVersion:         tls.VersionTLS13,
			CurvePreferences:   []tls.CurveID{tls.X25519},
		}
	}
	return t, nil
}

// dial opens the i-th connection. It is a *tls.Conn, its handshake done, if the
// target has TLS.
func (t *target) dial(ctx context.Context, i int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{LocalAddr: source(i), Control: bindLate}
	c, err := d.DialContext(ctx, "tcp4", t.addr)
	if err != nil || t.config == nil {
		return c, err
	}
	secure := tls.Client(c, t.config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if got, want := secure.ConnectionState().NegotiatedProtocol, t.config.NextProtos[0]; got != want && got+want != "http/1.1" {
		return nil, errors.Join(fmt.Errorf("negotiated %q, not %s", got, want), c.Close())
	}
	return secure, nil
}

// source returns the address of the i-th connection; the first ones have none
// of their own.
func source(i int) net.Addr {
	if i < perSource {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perSource%250))}
}

func bindLate(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
	})
	return errors.Join(err, failed)
}

// raiseFiles lets the process open as many files as it may.
func raiseFiles(need int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if want := uint64(need) + 100; l.Max < want { // root may raise it
		l.Max = want
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("%d open files: %w: raise ulimit -n", need, err)
	}
	return nil
}

// many runs n tasks, some at a time, and returns the first error.
func many(n int, task func(i int) error) error {
	const atOnce = 64 // a backlog of a front end may be short
	next, ended := make(chan int), make(chan error, atOnce)
	for range atOnce {
		go func() {
			var first error
			for i := range next {
				if first == nil {
					first = task(i)
				}
			}
			ended <- first
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var errs []error
	for range atOnce {
		errs = append(errs, <-ended)
	}
	return firstOf(errs)
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
