package origin

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
)

// dial opens a connection. Names of TCP members are looked up each time, so that
// a change is seen. It never waits for room in a unix socket's listen queue.
func (t *Transport) dial(ctx context.Context) (*conn, *Error) {
	c, err := t.dialer.DialContext(ctx, t.network, t.addr)
	if err != nil {
		return nil, t.dialFailure(ctx, err)
	}
	if t.http2 {
		return &conn{Conn: c, shared: true, greeted: make(chan struct{})}, nil
	}
	return &conn{Conn: c, limit: t.responseTimeout}, nil
}

// dialFailure says why there is no connection. Nothing was sent.
func (t *Transport) dialFailure(ctx context.Context, err error) *Error {
	e := &Error{Stage: StageDial, Kind: KindUnavailable, Addr: t.name, Err: err, NeverRan: true}
	if ctx.Err() != nil {
		return canceled(e, ctx)
	}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		e.away = true
		e.Cause, e.Cure = "the name "+dns.Name+" cannot be looked up", "check the address, and the resolver of this host"
	case t.network == "unix" && errors.Is(err, syscall.EAGAIN): // which also is a timeout, by its method
		e.full = true
		e.Cause, e.Cure = "listen backlog full: every worker is busy", "more workers, or a larger backlog (and net.core.somaxconn), or slots so that requests queue here"
	case isTimeout(err):
		e.Kind, e.away = KindTimeout, true
		e.Cause, e.Cure = "no connection within "+seconds(t.connectTimeout), "is the host up, and the port open in its firewall?"
	default:
		e.Cause, e.Cure, e.away = t.refusal(err)
	}
	return e
}

// refusal puts an errno of connect into words. Waiting may help against some.
func (t *Transport) refusal(err error) (cause, cure string, away bool) {
	unix, path := t.network == "unix", strings.TrimPrefix(t.name, "unix:")
	is := func(errnos ...error) bool {
		for _, errno := range errnos {
			if errors.Is(err, errno) {
				return true
			}
		}
		return false
	}
	switch {
	case is(syscall.ENOENT, syscall.ENOTDIR):
		return "no socket at " + path, "is the server running, and is this the path of its socket?", true
	case is(syscall.EACCES, syscall.EPERM) && unix:
		return "permission denied for the socket " + path, "let this user in: the mode of the socket, and x on every directory of the path", true
	case is(syscall.ECONNREFUSED) && unix:
		return "nobody listens at " + path, "a file is there, but no server behind it: is the server running?", true
	case is(syscall.ECONNREFUSED):
		return "connection refused", "is the server running, and does it listen at this address?", true
	case is(syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN):
		return "no route to the member", "check the address and the network", true
	case is(syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE):
		return "the connection was closed while it was opened", cureReset, true
	case is(syscall.EPROTOTYPE):
		return path + " is not a stream socket", "give the address of a server's socket", false
	case is(syscall.EMFILE, syscall.ENFILE):
		return "no file descriptor left in this process", "raise LimitNOFILE (ulimit -n)", false
	case is(syscall.EADDRNOTAVAIL):
		return "no local port left for a connection to the member", "let it keep connections alive, or raise net.ipv4.ip_local_port_range", false
	case is(syscall.EINVAL) && unix:
		return "the socket's path cannot be used: " + path, "a path has at most 107 bytes", false
	}
	return "no connection", "", false
}
