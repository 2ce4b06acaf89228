package gateway

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime/debug"
	"time"

	"headgate/gateway/socket"
)

// serve speaks with whoever has connected, until the connection has ended.
func (d *door) serve(c net.Conn) {
	sock := socket.New(c, &d.g.hangups)
	who, ok := d.admit(sock)
	if !ok {
		return
	}
	if !d.secure {
		defer d.dismiss(who)
		d.speak(sock, sock, d.newConnection(who.remote, who.local, nil))
		return
	}
	t := tls.Server(sock, d.g.tlsConfig)
	if !d.shakeHands(t, sock, who) {
		d.dismiss(who)
		return
	}
	// A stack never gets smaller than what its goroutine waits with times four. That
	// of a handshake is left behind, so that no idle connection keeps it.
	d.serving.Go(func() { d.serveTLS(t, sock, who) })
}

// serveTLS is the rest of serve, after the handshake.
func (d *door) serveTLS(t *tls.Conn, sock *socket.Conn, who ends) {
	defer d.dismiss(who)
	conn, h2 := d.newSecure(t, who)
	if h2 {
		d.h2.ServeConn(t, sock, nil, conn)
		return
	}
	d.speak(t, sock, conn)
}

// newSecure returns what is known of a connection with TLS, and whether HTTP/2 was
// chosen for it.
func (d *door) newSecure(t *tls.Conn, who ends) (conn *connection, h2 bool) {
	state := t.ConnectionState()
	return d.newConnection(who.remote, who.local, &state), state.NegotiatedProtocol == "h2"
}

// speak serves HTTP/1.1, and on a plain connection HTTP/2 for a client that knows
// that it may begin with it (RFC 9113, 3.3).
func (d *door) speak(c net.Conn, sock *socket.Conn, conn *connection) {
	if preface := d.h1.ServeConn(c, sock, nil, conn); preface != nil {
		d.h2.ServeConn(c, sock, preface, conn)
	}
}

// shakeHands reports whether there is a TLS connection, and closes what does not
// become one.
func (d *door) shakeHands(t *tls.Conn, sock *socket.Conn, who ends) bool {
	defer d.recoverHandshake(sock)
	if !d.shaking.add(sock) {
		sock.Close()
		return false
	}
	defer d.shaking.remove(sock)
	if limit := d.settings.Load().headerTimeout; limit > 0 {
		sock.SetDeadline(time.Now().Add(limit))
	}
	err := t.Handshake()
	if err == nil {
		sock.SetDeadline(time.Time{})
		return true
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		_, _ = sock.Write([]byte(plainOnTLS))
	}
	d.g.engines.Debug("no TLS handshake", "listener", d.address, "client", who.remote, "err", err)
	sock.Close()
	return false
}

// recoverHandshake ends the connection alone whose handshake panics.
func (d *door) recoverHandshake(sock *socket.Conn) {
	if p := recover(); p != nil {
		d.g.log.Error("panic in a TLS handshake", "panic", p, "stack", string(debug.Stack()))
		sock.Close()
	}
}

// looksLikeHTTP reports whether what came in place of a TLS record begins a
// request in clear text.
func looksLikeHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		return true
	}
	return false
}

// plainOnTLS tells so in the version that everybody reads.
const plainOnTLS = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"400 Bad Request\n\nthe request came in clear text, and this port speaks TLS\nhint: write https:// in place of http://\n"
