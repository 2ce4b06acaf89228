package uwsgi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// dial opens a connection. Unix sockets are connected with two system calls, and
// a full listen backlog is an error at once; names of TCP members are looked up
// each time, so that a change is seen.
func (t *Transport) dial(ctx context.Context) (*conn, *Error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, t.dialFailure(ctx, err)
	}
	if t.tls == nil {
		return c, nil
	}
	limit := ctx
	if t.connectTimeout > 0 {
		var cancel context.CancelFunc
		limit, cancel = context.WithTimeout(ctx, t.connectTimeout)
		defer cancel()
	}
	secure := tls.Client(c.Conn, t.tls)
	if err := secure.HandshakeContext(limit); err != nil {
		_ = c.Close()
		return nil, t.tlsFailure(ctx, err)
	}
	c.Conn, c.file, c.secure = secure, nil, true
	return c, nil
}

func (t *Transport) connect(ctx context.Context) (*conn, error) {
	if t.addr.Network == "unix" {
		return t.dialUnix()
	}
	nc, err := t.dialer.DialContext(ctx, t.addr.Network, t.addr.Addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	c.bare, _ = nc.(syscall.Conn)
	return c, nil
}

// dialFailure says why there is no connection. Nothing was sent.
func (t *Transport) dialFailure(ctx context.Context, err error) *Error {
	e := &Error{Stage: StageDial, Kind: KindUnavailable, Addr: t.name, Err: err, NeverRan: true}
	if ctx.Err() != nil {
		return canceled(e, ctx)
	}
	e.away = t.isAway(err)
	var dns *net.DNSError
	switch {
	case t.addr.Network == "unix" && errors.Is(err, syscall.EAGAIN):
		e.full, e.Err = true, nil
		e.Cause = "listen backlog full: every worker is busy"
		e.Cure = "more processes or threads, a larger listen option (and net.core.somaxconn), or slots so that requests queue here"
	case errors.As(err, &dns):
		e.Cause, e.Cure = "the name "+dns.Name+" cannot be looked up", "check the address, and the resolver of this host"
	case isTimeout(err):
		e.Kind = KindTimeout
		e.Cause, e.Cure = "no connection within "+seconds(t.connectTimeout), "is the host up, and the port open in its firewall?"
	default:
		e.Cause, e.Cure = t.refusal(err)
	}
	return e
}

// isAway reports whether an error of connect is that of a member that is not
// there, and not of something that only an operator can change.
func (t *Transport) isAway(err error) bool {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns):
		return true
	case !errors.As(err, &errno):
		return isTimeout(err)
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN:
		return true
	case syscall.EACCES, syscall.EPERM: // or it is the moment between bind and chmod
		return t.addr.Network == "unix"
	}
	return false
}

// refusal puts an errno of connect into words.
func (t *Transport) refusal(err error) (cause, cure string) {
	unix := t.addr.Network == "unix"
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return "no socket at " + t.path(), "is the server running, and is this the path of its socket option?"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "permission denied for the socket " + t.path(),
			"let this user in: chmod-socket or chown-socket in uWSGI, umask or group in gunicorn, and x on every directory of the path"
	case errors.Is(err, syscall.ECONNREFUSED) && unix:
		return "nobody listens at " + t.path(), "a file is there, but no server behind it: is the server running?"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", "is the server running, and does it listen at this address?"
	case errors.Is(err, syscall.EPROTOTYPE):
		return t.path() + " is not a stream socket", "it takes datagrams (subscriptions, logs): give the address of the socket option"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no file descriptor left in this process", "raise LimitNOFILE (ulimit -n)"
	case errors.Is(err, syscall.EINVAL) && unix:
		return "the socket's path cannot be used: " + t.path(), "a path has at most 107 bytes"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the member", "check the address and the network"
	case isReset(err):
		return "reset while connecting", "the server is being stopped, or started: is it running?"
	}
	return "no connection", ""
}

// tlsFailure says why the handshake did not succeed. Nothing was sent.
func (t *Transport) tlsFailure(ctx context.Context, err error) *Error {
	e := &Error{Stage: StageDial, Kind: KindUnavailable, Addr: t.name, Err: err, NeverRan: true}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	switch {
	case ctx.Err() != nil:
		return canceled(e, ctx)
	case isTimeout(err), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.away = KindTimeout, true
		e.Cause, e.Cure = "no TLS handshake within "+seconds(t.connectTimeout), "is the member's socket a suwsgi-socket?"
	case errors.As(err, &unknown):
		e.Cause, e.Cure = "the member's certificate is not trusted", "name its root in tls.ca"
	case errors.As(err, &host):
		e.Cause, e.Cure = "the member's certificate is for another name", "set tls.server_name"
	case errors.As(err, &invalid):
		e.Cause, e.Cure = "the member's certificate is not valid", "renew it"
	case errors.As(err, &plain):
		e.Cause, e.Cure = "the member does not speak TLS", "write protocol: uwsgi, or give uWSGI a suwsgi-socket"
	default:
		e.away = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) // cut, not refused
		e.Cause, e.Cure = "the TLS handshake was not completed", "is the member's socket a suwsgi-socket?"
	}
	return e
}

// canceled turns e into the error of a caller who went away.
func canceled(e *Error, ctx context.Context) *Error {
	e.Kind, e.Cause, e.Cure, e.Err = KindCanceled, "given up by the caller", "", context.Cause(ctx)
	e.away, e.full = false, false
	return e
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) || errors.As(err, &ne) && ne.Timeout()
}

// isReset reports that the peer closed without reading what we sent.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// seconds writes a time the way people say it.
func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return fmt.Sprintf("%.0f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
